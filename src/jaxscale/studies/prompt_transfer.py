"""When does the soft prompt of one task help with another? Eight drifts on a ring, their overlap set by the angle between them.

One transformer is trained on walks of every angle and frozen; what is left to learn is a prompt that names the angle.
"""

import functools
import itertools

import jax
import numpy as np

from jaxscale.data.drift import Drift
from jaxscale.dynamics.prompt_transfer import PromptTransfer
from jaxscale.dynamics.trained import Trained
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.language.prompt import Prompted
from jaxscale.plot import figures
from jaxscale.record import record, static
from jaxscale.study import Claim, Found, Study

CONTEXT, LENGTH, TASKS = 16, 4, 8
METHODS = ("afresh", "vanilla", "distilled")
NETWORK = Decoder(vocabulary=32, context=CONTEXT + LENGTH, mixer=Attention(heads=2), width=32, depth=2, hidden=2)


@record
class AnyDrift:
    """Walks at an angle of their own each, over the whole context."""

    vocabulary: int = static(default=32)
    context: int = static(default=CONTEXT + LENGTH)

    def sample(self, key):
        """Nothing is frozen."""
        return ()

    def example(self, key, frozen):
        """One walk at a random angle."""
        key_angle, key_walk = jax.random.split(key)
        return Drift(angle=2 * np.pi * jax.random.uniform(key_angle), context=self.context).example(key_walk, frozen)


@functools.lru_cache
def trunk(steps):
    """Parameters after so many steps on walks at all angles, the same for every run."""
    system = Trained(model=LanguageModel(world=AnyDrift(), network=NETWORK, batch=64), learning_rate=3e-3)

    @jax.jit
    def train(key):
        key_data, key_init, key_step = jax.random.split(key, 3)
        data = system.sample(key_data)
        state = system.init(key_init, data)
        step = lambda t, state: system.step(jax.random.fold_in(key_step, t), state, data)  # noqa: E731
        return jax.lax.fori_loop(0, steps, step, state).params

    with jax.ensure_compile_time_eval():
        return jax.device_get(train(jax.random.key(0)))


def transfer(source, target, method, *, trunk_steps, before):
    """A prompt for the drift at `target` turns, with the help of the one at `source` turns, by one of `METHODS`."""

    def task(turns):
        world = Drift(angle=2 * np.pi * turns, context=CONTEXT)
        model = LanguageModel(world=world, network=NETWORK, batch=16, evaluation=512)
        return Prompted(model=model, trunk=trunk(trunk_steps), length=LENGTH)

    return PromptTransfer(
        target=task(target), source=task(source), learning_rate=0.03, inherit=1.0 * (method == 1), strength=1.0 * (method == 2),
        before=before,
    )  # fmt: skip


def _scale(tasks, seeds, trunk_steps, before, last, width):
    turns = [i / TASKS for i in range(0, TASKS, TASKS // tasks)]
    grid = {"source": turns, "target": turns, "method": [0, 1, 2]}
    static = {"trunk_steps": (trunk_steps,), "before": (before,)}
    times = np.linspace(0, last, 6).round().astype(int)
    return {
        "transfer": dict(
            grid=grid, static=static, seeds=seeds, times=times, width=width,
            share=("source", "method"),  # beginnings, batches and held-out walks are those of the target alone
        )
    }  # fmt: skip


SCALES = {
    "smoke": _scale(2, 2, 300, 30, 30, 4),
    "laptop": _scale(8, 2, 2000, 100, 100, 16),
    "accelerator": _scale(8, 64, 20_000, 1000, 1000, None),
}


def measure(runs):
    """Similarity against gain over the pairs of different tasks, and both ways of helping on the pairs that are unlike."""
    runs = runs["transfer"].isel(trunk_steps=0, before=0).transpose("method", "source", "target", "seed", "time")
    loss = runs["excess"].mean("time").values  # over the curve, so that a head start counts
    similarity = runs["similarity"].isel(time=-1, method=0).mean("seed").values
    pairs = [(i, j) for i, j in itertools.product(*map(range, similarity.shape)) if i != j]
    like = np.array([similarity[pair] for pair in pairs])
    gain = np.array([(loss[0] - loss[1])[pair] for pair in pairs])  # (pair, seed)
    over = np.array([(loss[2] - loss[1])[pair] for pair in pairs])
    found = {"same": Found(float(np.diagonal(similarity).mean()), note="cosine of a task's prompt with its own, other data")}
    unlike = like <= np.median(like)
    found["unlike"] = _found(over[unlike].mean(axis=0), "nats, distilled less vanilla transfer")
    if len(similarity) == TASKS:
        found["metric"] = _spearman(like, gain)
        found["gain"] = _found(gain[like > np.quantile(like, 0.75)].mean(axis=0), "nats, from the likest quarter of sources")
    return found


def _found(values, note):
    return Found(float(values.mean()), float(values.std(ddof=1) / values.size**0.5), note)


def _spearman(like, gain):
    """Rank correlation of the mean gain, and the standard error of those of the seeds."""
    by_seed = [_ranked(like, one) for one in gain.T]
    error = float(np.std(by_seed, ddof=1) / len(by_seed) ** 0.5)
    return Found(_ranked(like, gain.mean(axis=1)), error, f"{len(like)} pairs")


def _ranked(a, b):
    return float(np.corrcoef(np.argsort(np.argsort(a)), np.argsort(np.argsort(b)))[0, 1])


def draw(runs, found):
    """Gain against similarity, and the curves of the likest and the unlikest pairs."""
    runs = runs["transfer"].isel(trunk_steps=0, before=0).mean("seed").transpose("method", "source", "target", "time")
    figure, axes = figures.new_axes(1, 2)
    similarity = runs["similarity"].isel(time=-1, method=0).values
    loss = runs["excess"].mean("time").values
    off = ~np.eye(len(similarity), dtype=bool)
    for i, name in ((1, "vanilla"), (2, "distilled")):
        axes[0].plot(similarity[off], (loss[0] - loss[i])[off], "o", ms=3, color=figures.COLOURS[i], label=name)
    axes[0].set_xlabel("cosine of the tasks' prompts")
    axes[0].set_ylabel("gain over a fresh prompt (nats)")
    excess = runs["excess"].values[:, off]  # (method, pair, time)
    last = excess[:, np.argmin(similarity[off])]
    for i, name in enumerate(METHODS):
        axes[1].plot(runs["time"], last[i], color=figures.COLOURS[i], label=f"{name}, unlikest")
    axes[1].set_xlabel("step")
    axes[1].set_ylabel("loss over its floor (nats)")
    for ax in axes:
        ax.legend(fontsize=7, frameon=False)
    return {"transfer": figure}


SOURCE = "Zhong et al. 2022"
STUDY = Study(
    name="prompt_transfer",
    question="do tasks with like soft prompts help each other, and does distillation do less harm to unlike ones?",
    paper="Zhong et al. 2022, PANDA, arXiv:2208.10160; Vu et al. 2022, SPoT, arXiv:2110.07904; here on tasks of known overlap",
    experiments={"transfer": transfer},
    scales=SCALES,
    measure=measure,
    draw=draw,
    claims=(
        Claim("same", "prompts of one task lie the same way", 0.5, 1, "derived"),
        Claim("unlike", "on pairs that are unlike distillation is at least as good as vanilla transfer", -np.inf, 0, SOURCE),
        Claim(
            "metric", "likeness of prompts and gain of transfer, rank correlation over pairs", 0.5, 1, f"{SOURCE}, section 4"
        ),
        Claim("gain", "the likest sources help", 0, np.inf, "Vu et al. 2022"),
    ),
)
