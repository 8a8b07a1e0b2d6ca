"""How small can a language model be and still tell a story? Grammar, consistency and a two-step entailment, in that order.

Stories of forty words; each skill is a choice between the right word and a minimally wrong one, on pairs of name and object
that were never told.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.data.stories import Stories
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.phase.first_passage import time_to
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import untrained

SKILLS = ("grammar", "consistency", "entailment")
PROBES, KNOWN = 128, 0.9
SOURCE = "Eldan & Li 2023"


def skills(model, params, data, logits, sites):
    """Return how often the right word is likelier than the wrong one, for every skill."""
    found = {}
    key = jax.random.key(7, impl="threefry2x32")  # any fixed stories will do
    for name, probe in model.world.probes(key, data.frozen, PROBES).items():
        out = jnp.take_along_axis(model.apply(params, probe.tokens)[0], probe.at[:, None, None], axis=1)[:, 0]
        right, wrong = (jnp.take_along_axis(out, word[:, None], axis=1)[:, 0] for word in (probe.right, probe.wrong))
        found[name] = jnp.mean(right > wrong)
    return found


def telling(learning_rate, *, width, depth):
    """Train a decoder by AdamW on stories."""
    world = Stories(untold=4)
    network = Decoder(vocabulary=world.vocabulary, context=world.context, mixer=Attention(heads=2), width=width, depth=depth)
    model = LanguageModel(world=world, network=network, batch=32, evaluation=64, probes=(skills,))
    return Descent(model=model, learning_rate=learning_rate, rule=AdamW())


def _scale(widths, depths, seeds, last, every, lanes):
    static, times = {"width": widths, "depth": depths}, np.arange(0, last + 1, every)
    return {"telling": dict(grid={"learning_rate": [3e-3]}, static=static, seeds=seeds, times=times, width=lanes)}


SCALES = {
    "smoke": _scale((16,), (1,), 2, 600, 20, 2),
    "laptop": _scale((16, 32), (1, 2), 6, 2000, 20, 6),
    "accelerator": _scale((16, 32, 64, 128), (1, 2, 4), 256, 20_000, 50, None),
}


def sizes(runs):
    """Return {size: Dataset over seed and time} of every width and depth."""
    runs = runs["telling"].isel(learning_rate=0)
    return {
        f"{w} x {d}": runs.sel(width=w, depth=d).transpose("seed", "time")
        for d in runs["depth"].values for w in runs["width"].values
    }  # fmt: skip


def measure(runs):
    """Measure skills at the end, which comes first, and how long each takes, at every size."""
    every = sizes(runs)
    smallest, largest = next(iter(every.values())), list(every.values())[-1]
    times = {s: {k: time_to(one[k], KNOWN).values for k in SKILLS} for s, one in every.items()}
    pairs = list(zip(SKILLS, SKILLS[1:]))
    ahead = {
        f"{first[0]} - {second[0]}, {size}:": Found.over((one[first] - one[second]).mean("time"))
        for size, one in every.items() for first, second in pairs
    }  # fmt: skip
    last = {name: Found.shares(smallest[name].isel(time=-1), PROBES) for name in ("grammar", "consistency")}
    return {
        "small": Found.every(last, f"share right at the end, {next(iter(every))}"),
        "order": Found.every(ahead, "share right, earlier skill less later one, mean over training"),
        "reasons": Found.shares(largest["entailment"].isel(time=-1), PROBES, f"right at the end, {list(every)[-1]}"),
        "excess": Found.over(largest["excess"].isel(time=-1), "nats over the floor, largest model"),
        **{f"steps_{k}": Found.median(times[next(iter(every))][k], f"steps to {KNOWN:g}, smallest model") for k in SKILLS},
    }


def reversed_order(runs):
    """Put every skill in the place of the one at the other end."""
    data = runs["telling"]
    return {"telling": data.assign(grammar=data["entailment"], entailment=data["grammar"])}


def draw(runs, found):
    """Draw the skills of the smallest and of the largest model against the step."""
    every = sizes(runs)
    shown = dict([list(every.items())[0], list(every.items())[-1]])
    figure, axes = figures.new_axes(1, len(shown))
    for ax, (size, one) in zip(np.atleast_1d(axes), shown.items()):
        for i, name in enumerate(SKILLS):
            figures.curves(one[name], x="time", axes=ax, log="", colour=i, label=name, title=f"width x depth: {size}")
        ax.axhline(0.5, color="0.6", ls="--", lw=0.7)
        ax.set_ylabel("share right on pairs never told")
        ax.set_xlabel("step")
    return {"skills": figure}


STUDY = Study(
    name="small_stories",
    question="how small can a language model be and still tell a coherent story, and what does it learn first?",
    paper="Eldan & Li 2023, TinyStories: how small can language models be and still speak coherent English?, arXiv:2305.07759",
    world="stories of 41 words and 19 tokens; transformers of one and two blocks, widths 16 and 32, 2,000 steps",
    experiments={"telling": telling},
    scales=SCALES,
    measure=measure,
    draw=draw,
    controls={"untrained": untrained, "reversed": reversed_order},
    claims=(
        Claim("small", "one transformer block of width 16 is grammatical and consistent: share right", 0.85, 1,
              f"{SOURCE}, abstract", null="untrained"),
        Claim("reasons", "a small model reasons: entailment on pairs never told, share right", 0.85, 1, f"{SOURCE}, abstract",
              null="untrained"),
        Claim("order", "grammar comes before consistency before entailment, at every size", 0, 1,
              f"{SOURCE}, section 4, order of emergence", null="reversed"),
    ),  # fmt: skip
)
