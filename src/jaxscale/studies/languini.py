"""A transformer against a quasi-LSTM at equal compute: who is ahead, and where would the order change?

Character models of real prose. Compute is counted in flops, 6 N a token, since throughput on a shared machine is no constant.
"""

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


def _scale(widths, last, records, seeds, lanes):
    times = np.unique(np.concatenate([[0], np.geomspace(20, last, records).round()])).astype(int)
    grid, static = {"learning_rate": [3e-3]}, {"mixer": tuple(MIXERS), "width": widths}
    return {"model": dict(grid=grid, static=static, seeds=seeds, times=times, width=lanes)}


SCALES = {
    "smoke": _scale((12,), 240, 10, 3, 3),
    "laptop": _scale((8, 16, 32), 2000, 24, 4, 2),
    "accelerator": _scale((32, 64, 128, 256), 100_000, 100, 64, None),
}


def frontier(runs):
    """Return the lowest loss of any width at each class of compute, a (mixer, compute, seed) DataArray."""
    loss = runs["loss"].isel(learning_rate=0).transpose("mixer", "width", "time", "seed")
    times, widths = loss["time"].values[1:], loss["width"].values
    budgets = {m: np.array([flops_per_step(m, int(w)) for w in widths])[:, None] * times for m in loss["mixer"].values}
    low = max(b[:, 0].min() for b in budgets.values())
    high = min(b[:, -1].max() for b in budgets.values())
    compute = np.geomspace(1.5 * low, high, CLASSES)
    best = np.full((len(budgets), CLASSES, loss.sizes["seed"]), np.inf)
    for i, (mixer, budget) in enumerate(budgets.items()):
        for k in range(len(widths)):
            inside = (compute >= budget[k, 0]) & (compute <= budget[k, -1] * (1 + 1e-9))
            curve = loss.sel(mixer=mixer).isel(width=k).values[1:]
            made = np.stack([np.interp(np.log(compute), np.log(budget[k]), c) for c in curve.T], axis=1)
            best[i] = np.where(inside[:, None], np.minimum(best[i], made), best[i])
    return xarray.DataArray(best, {"mixer": list(budgets), "compute": compute}, ("mixer", "compute", "seed"), name="loss")


def measure(runs):
    """Measure who is ahead at the largest class, seed by seed; fit the laws in compute, and find where they would cross."""
    best = frontier(runs["model"])
    gap = (best.sel(mixer="quasi-LSTM") - best.sel(mixer="transformer")).values
    last = gap[-1]
    spread = last.std(ddof=1) / len(last) ** 0.5
    found = {
        "gap": Found(float(last.mean()), float(spread), "nats, quasi-LSTM less transformer, largest class"),
        "ordering": Found(
            float(np.mean(np.sign(gap) == np.sign(gap.mean(axis=1, keepdims=True)))),
            note="share of seeds and classes that agree with their class's mean on who is ahead",
        ),
    }
    laws = {m: fit(power_floor.LAW, best.sel(mixer=m), x="compute", progress=False) for m in MIXERS}
    crossing = crossover(laws["transformer"], laws["quasi-LSTM"], to=BEYOND * float(best["compute"][-1]))
    found["no_crossing"] = Found(crossing.none, note=str(crossing))
    return found


def draw(runs, found):
    """Draw the loss against compute, every width thin, the frontier and its law thick."""
    best = frontier(runs["model"])
    figure, axes = figures.new_axes()
    for i, mixer in enumerate(MIXERS):
        curve = best.sel(mixer=mixer)
        law = fit(power_floor.LAW, curve, x="compute", progress=False)
        axes.errorbar(
            curve["compute"], curve.mean("seed"), curve.std("seed"), fmt="o", ms=4, color=figures.COLOURS[i], label=mixer
        )
        axes.plot(curve["compute"], law.predict(curve["compute"].values)[0], color=figures.COLOURS[i], lw=1)
    axes.set_xscale("log")
    axes.set_xlabel("compute (flops)")
    axes.set_ylabel("held-out loss (nats per character)")
    axes.legend(fontsize=7, frameon=False)
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
    claims=(Claim("ordering", "who is ahead at a class of compute is stable over seeds", 0.8, 1.0, "Languini, figure 6"),),
)
