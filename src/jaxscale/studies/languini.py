"""A transformer against a quasi-LSTM at equal compute: who is ahead, and where would the order change?

Character models of real prose. Compute is counted in flops, 6 N a token, since throughput on a shared machine is no constant.
"""

import dataclasses

import numpy as np
import xarray

from jaxscale.data.text import CharacterText
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.dynamics.schedules import Schedule
from jaxscale.fitting.crossovers import crossover
from jaxscale.fitting.curve_fit import fit
from jaxscale.fitting.laws import power_floor
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.language.recurrent import QuasiLstm
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import shuffled

BATCH, CONTEXT, ALPHABET = 16, 64, 64
MIXERS = {"transformer": Attention(heads=2), "quasi-LSTM": QuasiLstm()}
PRODUCTS = {"transformer": 4, "quasi-LSTM": 5}  # square matrices of a mixer
CLASSES = 6  # of compute, even in its logarithm
BEYOND = 1e4  # times the largest class, as far as a crossing is looked for


def flops_per_step(mixer, width, depth=1):
    """Count 6 N a token, N in matrices that multiply (8 in the perceptron), and attention's products with the context."""
    matrices = depth * (PRODUCTS[mixer] + 8) * width**2 + ALPHABET * width
    attention = 12 * depth * width * CONTEXT if mixer == "transformer" else 0
    return BATCH * CONTEXT * (6 * matrices + attention)


def model(learning_rate, *, mixer, width):
    """Train by AdamW on fresh windows of the text at a constant rate: every record is the end of a shorter run."""
    world = CharacterText(source="pydoc", context=CONTEXT, alphabet=ALPHABET)
    network = Decoder(vocabulary=world.vocabulary, context=CONTEXT, mixer=MIXERS[mixer], width=width, depth=1)
    trained = LanguageModel(world=world, network=network, batch=BATCH, evaluation=128)
    return Descent(model=trained, learning_rate=learning_rate, rule=AdamW(), schedule=Schedule(warmup=30.0))


def _scale(widths, last, records, seeds, lanes, rates=(1e-3, 3e-3, 1e-2)):
    times = np.unique(np.concatenate([[0], np.geomspace(20, last, records).round()])).astype(int)
    grid, static = {"learning_rate": rates}, {"mixer": tuple(MIXERS), "width": widths}
    return {"model": dict(grid=grid, static=static, seeds=seeds, times=times, width=lanes)}


SCALES = {
    "smoke": _scale((12,), 240, 10, 3, 3, (3e-3, 1e-2)),
    "laptop": _scale((8, 16, 32), 2000, 24, 4, 2),
    "accelerator": _scale((32, 64, 128, 256), 100_000, 100, 64, None),
}


def frontier(runs):
    """Return the loss at each class of compute of the width and rate that are best there in the mean over seeds, each mixer's
    own: (mixer, compute, seed).
    """
    loss = runs["loss"].transpose("mixer", "width", "learning_rate", "seed", "time")
    times, widths = loss["time"].values[1:], loss["width"].values
    budgets = {m: np.array([flops_per_step(m, int(w)) for w in widths])[:, None] * times for m in loss["mixer"].values}
    low = max(b[:, 0].min() for b in budgets.values())
    high = min(b[:, -1].max() for b in budgets.values())
    compute = np.geomspace(1.5 * low, high, CLASSES)
    best = np.full((len(budgets), CLASSES, loss.sizes["seed"]), np.nan)
    for i, (mixer, budget) in enumerate(budgets.items()):
        for j, c in enumerate(compute):
            inside = [k for k in range(len(widths)) if budget[k, 0] <= c <= budget[k, -1] * (1 + 1e-9)]
            runs_at = {k: loss.sel(mixer=mixer).values[k, :, :, 1:] for k in inside}  # (rate, seed, time) each
            at = [[np.interp(np.log(c), np.log(budget[k]), run) for run in rate] for k, of in runs_at.items() for rate in of]
            best[i, j] = min(at, key=np.mean)
    return xarray.DataArray(best, {"mixer": list(budgets), "compute": compute}, ("mixer", "compute", "seed"), name="loss")


def laws_of(best):
    """Fit the law in compute of either mixer."""
    return {m: fit(power_floor.LAW, best.sel(mixer=m), x="compute", progress=False) for m in MIXERS}


def measure(runs):
    """Measure who is ahead at every class; fit the laws in compute, and find where they would cross."""
    best = frontier(runs["model"])
    gap = (best.sel(mixer="quasi-LSTM") - best.sel(mixer="transformer")).transpose("compute", "seed").values
    laws = laws_of(best)
    crossing = crossover(laws["transformer"], laws["quasi-LSTM"], to=BEYOND * float(best["compute"][-1]))
    slopes = {m: Found.fitted(law, "exponent") for m, law in laws.items()}
    note = "; ".join(f"{m} {dataclasses.replace(one, note='')}" for m, one in slopes.items())
    classes = {f"{c:.1e}:": Found.over(row) for c, row in zip(best["compute"].values, gap)}
    return {
        "ahead": Found.every(classes, "nats, quasi-LSTM less transformer, by class of compute in flops"),
        "steeper": dataclasses.replace(slopes["quasi-LSTM"] - slopes["transformer"], note=f"exponents: {note}"),
        "crossing": Found(1 - crossing.none, 0.0, str(crossing), status=_worse(laws)),
    }


def _worse(laws):
    """Return the worst status of the laws that would cross."""
    return max((law.status for law in laws.values()), key=["ok", "weak", "failed"].index)


def draw(runs, found):
    """Draw the loss against compute, every width thin, the frontier and its law thick."""
    best = frontier(runs["model"])
    figure, axes = figures.new_axes()
    laws = laws_of(best)
    for i, mixer in enumerate(MIXERS):
        curve = best.sel(mixer=mixer)
        law = laws[mixer]
        axes.errorbar(
            curve["compute"], curve.mean("seed"), curve.std("seed"), fmt="o", ms=4, color=figures.COLOURS[i], label=mixer
        )
        axes.plot(curve["compute"], law.predict(curve["compute"].values)[0], color=figures.COLOURS[i], lw=1)
    axes.set_xscale("log")
    axes.set_xlabel("compute (flops)")
    axes.set_ylabel("held-out loss (nats per character)")
    axes.legend()
    return {"frontier": figure}


STUDY = Study(
    name="languini",
    question="at equal compute, is a transformer ahead of a quasi-LSTM, and does the order change with scale?",
    paper="Stanic et al. 2023, The Languini Kitchen: enabling language modelling research at different scales of compute, "
    "arXiv:2309.11197",
    experiments={"model": model},
    scales=SCALES,
    measure=measure,
    draw=draw,
    world="character models of one layer, widths 8 to 32, on CPython's documentation; flops, the best of three rates",
    controls={"mixers exchanged": shuffled("mixer")},
    claims=(
        Claim("ahead", "the transformer has the lower loss at every class of compute: the other's less its own", 0, np.inf,
              "abstract", null="mixers exchanged"),
        Claim("steeper", "the recurrent model has the steeper law: its exponent less the transformer's", 0, np.inf, "abstract",
              null="mixers exchanged"),
        Claim("crossing", "so that their laws cross within 10,000 times the compute: probability", 0.9, 1, "abstract",
              null="mixers exchanged"),
    ),  # fmt: skip
)
