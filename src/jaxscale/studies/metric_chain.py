"""Why do multiple-choice scores follow scale less well than the loss? Step by step from log-probability to accuracy.

Questions with four choices about the next symbol of a known source. Compute is training at several widths; the right choice is
the symbol that came, the wrong ones are fixed.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.data.markov import Markov
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.fitting.measures.metric_chain import STEPS, chain, correlations, survival
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import shuffled

SYMBOLS, CONTEXT, BATCH = 16, 12, 16
ITEMS, CHOICES = 24, 4
SOURCE = "Schaeffer et al. 2024"


def questions(model, params, data, logits, sites):
    """Return the log-probability of every choice of every question, item_I_C; choice 0 is the right one."""
    del model, params, sites
    log_p = jax.nn.log_softmax(logits[:ITEMS, -1])  # (items, symbols) at the last place of the test windows
    right = data.test.targets[:ITEMS, -1]
    at = (right[:, None] + jnp.arange(CHOICES)[None, :] * (SYMBOLS // CHOICES + 1)) % SYMBOLS
    asked = jnp.take_along_axis(log_p, at, axis=1)
    return {f"item_{i:02d}_{c}": asked[i, c] for i in range(ITEMS) for c in range(CHOICES)}


def answering(learning_rate, *, width):
    """Train one block by AdamW on a Markov source, and ask."""
    world = Markov(vocabulary=SYMBOLS, context=CONTEXT)
    network = Decoder(vocabulary=SYMBOLS, context=CONTEXT, mixer=Attention(heads=2), width=width, depth=1)
    model = LanguageModel(world=world, network=network, batch=BATCH, evaluation=64, probes=(questions,))
    return Descent(model=model, learning_rate=learning_rate, rule=AdamW())


def _scale(widths, seeds, last, records, lanes):
    times = np.unique(np.concatenate([[0], np.geomspace(10, last, records).round()])).astype(int)
    grid, static = {"learning_rate": [3e-3]}, {"width": widths}
    return {"answering": dict(grid=grid, static=static, seeds=seeds, times=times, share=("width",), width=lanes)}


SCALES = {
    "smoke": _scale((8,), 4, 300, 12, 4),
    "laptop": _scale((8, 16, 32), 8, 2000, 14, 4),
    "accelerator": _scale((16, 32, 64, 128, 256), 256, 50_000, 24, None),
}


def scores(runs):
    """Return {step: (seeds, models, items)} along the chain, and the compute of every model, (models,)."""
    runs = runs["answering"].isel(learning_rate=0, time=slice(1, None))
    items = np.stack([
        np.stack([runs[f"item_{i:02d}_{c}"].transpose("seed", "width", "time").values for c in range(CHOICES)], -1)
        for i in range(ITEMS)
    ], -2).astype(float)  # (seed, width, time, item, choice)  # fmt: skip
    width, time = (runs[name].values.astype(float) for name in ("width", "time"))
    compute = (6 * (12 * width**2 + 2 * SYMBOLS * width))[:, None] * time[None, :] * BATCH * CONTEXT
    made = [chain(one.reshape(-1, ITEMS, CHOICES), np.zeros(ITEMS, int)) for one in items]
    return {step: np.stack([seed[step] for seed in made]) for step in STEPS}, compute.ravel()


def areas(runs):
    """Return {step: (seeds,) area under the share of questions whose score follows compute}, by rank correlation."""
    made, compute = scores(runs)
    return {step: np.array([survival(correlations(one, compute)[0]) for one in values]) for step, values in made.items()}


def measure(runs):
    """Measure how much of the relation to compute each step of the score loses, source by source."""
    area = areas(runs)
    drops = {
        f"{after}:": Found.over(area[before] - area[after]) for before, after in zip(STEPS[1:], STEPS[2:])
    }  # ranks see no difference between log p and p
    by_step = ", ".join(f"{step} {values.mean():.3f}" for step, values in area.items())
    return {
        "degrades": Found.every(drops, f"fall of the area under the survival of rank correlations; areas {by_step}"),
        "first": Found.over(area["log p"], "area of log p; 1 by chance, 2 at best"),
        "whole": Found.over(area["log p"] - area["accuracy"], "area of log p less that of accuracy"),
        "wrong": Found.over(_wrong(runs), "spread of p on wrong choices, over that on the right one, across models"),
    }


def _wrong(runs):
    """(seeds,) how much the mass on the wrong choices moves with training and size, against that on the right one."""
    runs = runs["answering"].isel(learning_rate=0, time=slice(1, None))
    p = np.exp(np.stack([[runs[f"item_{i:02d}_{c}"].transpose("seed", "width", "time").values for c in range(CHOICES)]
                         for i in range(ITEMS)]))  # (item, choice, seed, width, time)  # fmt: skip
    spread = p.reshape(*p.shape[:3], -1).std(-1)
    return spread[:, 1:].sum(1).mean(0) / spread[:, 0].mean(0)


def wrong_frozen(runs):
    """Hold the wrong choices' probabilities still: nothing but the right one's moves."""
    data = runs["answering"]
    still = {f"item_{i:02d}_{c}": data["item_00_0"] * 0 - 3.0 for i in range(ITEMS) for c in range(1, CHOICES)}
    return {"answering": data.assign(still)}


def draw(runs, found):
    """Draw the survival of correlations with compute, a curve for every step of the score."""
    made, compute = scores(runs)
    figure, axes = figures.new_axes()
    for step, shade in zip(STEPS, figures.colours(range(len(STEPS)))):
        rho = np.sort(np.concatenate([correlations(one, compute)[0] for one in made[step]]))
        axes.plot(np.r_[-1, rho, 1], np.r_[1, 1 - np.arange(1, len(rho) + 1) / len(rho), 0], color=shade, label=step)
    axes.set_xlabel("rank correlation of the score with compute")
    axes.set_ylabel("share of questions above it")
    axes.legend()
    return {"survival": figure}


STUDY = Study(
    name="metric_chain",
    question="why do multiple-choice scores follow scale less well than log-probabilities?",
    paper="Schaeffer et al. 2024, Why has predicting downstream capabilities of frontier AI models with scale remained "
    "elusive?, arXiv:2406.04391",
    world="questions of four choices on a Markov source of 16 symbols; one block, widths 8 to 32, up to 2,000 steps",
    experiments={"answering": answering},
    scales=SCALES,
    measure=measure,
    draw=draw,
    controls={"time shuffled": shuffled("time"), "wrong frozen": wrong_frozen},
    claims=(
        Claim("degrades", "each step from log p towards accuracy loses correlation with compute", 0, 2, "abstract; section 4",
              null="time shuffled"),
        Claim("wrong", "because the mass on wrong choices moves too: its spread over that on the right one", 0.2, np.inf,
              "abstract; section 5", null="wrong frozen"),
        Claim("first", "log p itself follows compute: area", 1.2, 2, "abstract", null="time shuffled"),
    ),  # fmt: skip
)
