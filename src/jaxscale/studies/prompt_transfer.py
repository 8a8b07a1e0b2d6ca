"""When does the soft prompt of one task help with another? Eight drifts on a ring, their overlap set by the angle between them.

A run is a transformer of its own, trained on walks of every angle and frozen, and every pair of tasks by every method on it:
what is left to learn is a prompt that names the angle.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.data.drift import Drift
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.prompt_transfer import PromptTransfer
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.language.prompt import Prompted
from jaxscale.plot import figures
from jaxscale.protocol import advance
from jaxscale.records import record, static
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import untrained

CONTEXT, LENGTH = 16, 4
STRENGTHS = (0.1, 0.3, 1.0)  # of distillation
METHODS = ("afresh", "vanilla", *(f"distilled_{strength:g}" for strength in STRENGTHS))
FEW = 8  # tasks, below which pairs are too few for a rank correlation
NETWORK = Decoder(vocabulary=32, context=CONTEXT + LENGTH, mixer=Attention(heads=2), width=32, depth=2, hidden=2)


@record
class AnyDrift:
    """A world of walks at an angle of their own each, over the whole context."""

    vocabulary: int = static(default=32)
    context: int = static(default=CONTEXT + LENGTH)

    def sample(self, key):
        """Draw nothing: no disorder is frozen."""
        return ()

    def example(self, key, frozen):
        """Draw one walk at a random angle."""
        key_angle, key_walk = jax.random.split(key)
        return Drift(angle=2 * np.pi * jax.random.uniform(key_angle), context=self.context).example(key_walk, frozen)


class Frozen(NamedTuple):
    """One draw of the quenched disorder."""

    trunk: Any  # the transformer's parameters
    key: jax.Array  # of every task's held-out walks


@record
class Pairs:
    """All pairs of different tasks by all of `METHODS`, side by side; prompts of one target begin and see alike.

    Attributes:
      learning_rate: of the prompts.
      tasks: drifts at even angles. Static.
      trunk_steps: of the transformer, on walks at every angle. Static.
      before: steps of the source's prompt. Static.
    """

    learning_rate: float
    tasks: int = static(default=8)
    trunk_steps: int = static(default=2000)
    before: int = static(default=100)

    def sample(self, key):
        """Train a transformer on walks at any angle, and keep a key for every task's held-out walks. Consumes `key`."""
        key_data, key_init, key_step, key_tasks = jax.random.split(key, 4)
        system = Descent(model=LanguageModel(world=AnyDrift(), network=NETWORK, batch=64), learning_rate=3e-3, rule=AdamW())
        data = system.sample(key_data)
        state = advance(system, key_step, system.init(key_init, data), data, (0, self.trunk_steps))
        return Frozen(state.params, key_tasks)

    def init(self, key, data):
        """Begin the prompt of every pair and method. Consumes `key`."""
        return self._each(lambda system, own, target: system.init(jax.random.fold_in(key, target), own), data)

    def step(self, key, state, data):
        """Take one step on every prompt."""
        return self._each(lambda system, own, target, s: system.step(jax.random.fold_in(key, target), s, own), data, state)

    def observe(self, state, data):
        """Return the loss over its floor by method, on the liker and the unliker half of the pairs; likeness of prompts and
        gains.
        """
        found = self._each(lambda system, own, target, s: system.observe(s, own), data, state)
        excess, likeness = found["excess"].reshape(len(METHODS), -1), found["similarity"].reshape(len(METHODS), -1)[0]
        like = likeness > jnp.median(likeness)
        seen = {"rank": ranked(likeness, excess[0] - excess[1])}
        for name, values in zip(METHODS, excess):
            for half, inside in (("like", like), ("unlike", ~like)):
                seen[f"{name}_{half}"] = jnp.sum(jnp.where(inside, values, 0)) / jnp.sum(inside)
        near = self._apart() == 1
        return seen | {
            "near": jnp.mean(likeness, where=near),
            "opposite": jnp.mean(likeness, where=self._apart() == self.tasks // 2),
        }

    def _pairs(self):
        """(source, target) of every pair, (n,) each."""
        source, target = (g.ravel() for g in np.meshgrid(*[np.arange(self.tasks)] * 2, indexing="ij"))
        return source[source != target], target[source != target]

    def _apart(self):
        source, target = self._pairs()
        around = np.abs(source - target)
        return np.minimum(around, self.tasks - around)

    def _each(self, function, data, *state):
        source, target = (np.tile(one, len(METHODS)) for one in self._pairs())
        method = np.repeat(np.arange(len(METHODS)), len(source) // len(METHODS))

        def one(source, target, method, *state):
            system = self._system(data.trunk, source, target, method)
            own = system.sample(jax.random.fold_in(data.key, target))
            return function(system, own, target, *state)

        return jax.vmap(one)(jnp.array(source), jnp.array(target), jnp.array(method), *state)

    def _system(self, trunk, source, target, method):
        def task(number):
            world = Drift(angle=2 * np.pi * number / self.tasks, context=CONTEXT)
            model = LanguageModel(world=world, network=NETWORK, batch=16, evaluation=256)
            return Prompted(model=model, trunk=trunk, length=LENGTH)

        strengths: Any = jnp.asarray((0.0, 0.0, *STRENGTHS))
        return PromptTransfer(
            target=task(target), source=task(source), learning_rate=self.learning_rate, inherit=1.0 * (method == 1),
            strength=strengths[method], before=self.before,
        )  # fmt: skip


def ranked(a, b):
    """Return the rank correlation of two (n,) arrays without ties; NaN if any value is."""
    known = jnp.all(jnp.isfinite(a) & jnp.isfinite(b))
    a, b = (jnp.argsort(jnp.argsort(v)).astype(jnp.float32) for v in (a, b))
    return jnp.where(known, jnp.corrcoef(a, b)[0, 1], jnp.nan)


def transfer(learning_rate, *, tasks, trunk_steps, before):
    """Run every pair of tasks on one transformer."""
    return Pairs(learning_rate=learning_rate, tasks=tasks, trunk_steps=trunk_steps, before=before)


def _scale(tasks, seeds, trunk_steps, before, times):
    static = {"tasks": (tasks,), "trunk_steps": (trunk_steps,), "before": (before,)}
    # each run is up to hundreds of prompts wide, so that blocks of two fill a chip
    return {"transfer": dict(grid={"learning_rate": [0.01]}, static=static, seeds=seeds, times=times, width=2)}


SCALES = {
    "smoke": _scale(2, 2, 1000, 20, [0, 30, 60]),
    "laptop": _scale(4, 4, 1000, 50, [0, 3, 6, 12, 25]),
    "accelerator": _scale(16, 256, 20_000, 1000, [0, 3, 10, 30, 100, 300, 1000]),
}


def measure(runs):
    """Return each transformer's numbers: gains over the curve after its start, harms at its end, of the best strength."""
    runs = runs["transfer"].isel(learning_rate=0, tasks=0, trunk_steps=0, before=0).transpose("seed", "time")
    first, last = runs.isel(time=0), runs.isel(time=-1)
    fresh = last["afresh_unlike"] / first["afresh_unlike"]
    both = {name: (last[f"{name}_like"] + last[f"{name}_unlike"]).values / 2 for name in METHODS}
    best = min(METHODS[2:], key=lambda name: both[name].mean())
    by_strength = ", ".join(f"{name.removeprefix('distilled_')}: {both[name].mean():.3f}" for name in METHODS[2:])
    found = {
        "prompt": Found.over(fresh, f"of {float(first['afresh_unlike'].mean()):.2f} nats over the floor"),
        "panda": Found.over(both[best] - both["vanilla"], f"nats, all pairs, {best}; by strength {by_strength}"),
        "afresh": Found.over(both[best] - both["afresh"], f"nats, {best} less a fresh prompt"),
    }
    curve = runs.isel(time=slice(1, None)).mean("time", skipna=False)
    found |= {
        "gain": Found.over(curve["afresh_like"] - curve["vanilla_like"], "nats, mean over the curve"),
        "unlike": Found.over(last[f"{best}_unlike"] - last["vanilla_unlike"], f"nats, at the end, {best}"),
    }
    if int(runs["tasks"]) < FEW:
        return found
    apart = f"neighbours {float(last['near'].mean()):.2f}, opposite {float(last['opposite'].mean()):.2f}"
    return found | {
        "order": Found.over(last["near"] - last["opposite"], f"cosine of prompts: {apart}"),
        "metric": Found.over(curve["rank"], "over all pairs, mean over the curve"),
    }


def alike(runs):
    """Make all methods and distances alike, and turn every other rank correlation round."""
    data = runs["transfer"]
    methods = {f"{m}_{half}": data[f"afresh_{half}"] for m in METHODS for half in ("like", "unlike")}
    sign = 1 - 2 * (data["seed"] % 2)
    return {"transfer": data.assign({**methods, "near": data["opposite"], "rank": data["rank"] * sign})}


def draw(runs, found):
    """Draw the loss over its floor against the step by method, for like and for unlike pairs."""
    runs = runs["transfer"].isel(learning_rate=0, tasks=0, trunk_steps=0, before=0).mean("seed")
    figure, axes = figures.new_axes(1, 2)
    for ax, half in zip(axes, ("like", "unlike")):
        for i, name in enumerate(METHODS):
            ax.plot(runs["time"], runs[f"{name}_{half}"], color=figures.COLOURS[i], label=name.replace("_", ", strength "))
        ax.set_title(f"{half} pairs")
        ax.set_xlabel("step")
    axes[0].set_ylabel("loss over its floor (nats)")
    axes[0].legend()
    return {"transfer": figure}


SOURCE = "Zhong et al. 2022"
STUDY = Study(
    name="prompt_transfer",
    question="do tasks with like soft prompts help each other, and does distillation do no harm?",
    paper="Zhong et al. 2022, PANDA, arXiv:2208.10160; Vu et al. 2022, SPoT, arXiv:2110.07904; here on tasks of known overlap",
    experiments={"transfer": transfer},
    scales=SCALES,
    measure=measure,
    draw=draw,
    world="four tokens of prompt on frozen transformers of width 32, four drifts on a ring; distillation at three strengths",
    controls={"all alike": alike, "untrained": untrained},
    claims=(
        Claim("metric", "likeness of prompts predicts the gain of transfer: rank correlation over pairs", 0.5, 1,
              f"{SOURCE}, abstract 1", null="all alike"),
        Claim("panda", "distillation outperforms beginning from the source's prompt, over all pairs, nats", -np.inf, -1e-3,
              f"{SOURCE}, abstract 2", null="all alike"),
        Claim("unlike", "above all where the source is unlike", -np.inf, -1e-3, f"{SOURCE}, abstract (i)", null="all alike"),
        Claim("gain", "beginning from a like task's prompt helps, nats", 1e-3, np.inf, "Vu et al. 2022", null="all alike"),
        Claim("order", "neighbouring tasks have liker prompts than opposite ones", 0.2, 2, "Vu et al. 2022, section 5",
              null="all alike"),
        Claim("prompt", "a prompt alone tells a frozen model of its task: loss over the floor, share left", 0, 0.6,
              "Lester et al. 2021", kind="derived", null="untrained"),
    ),  # fmt: skip
)
