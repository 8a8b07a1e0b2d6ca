"""Loss of a model trained on far more tokens than its size asks for, predicted from smaller models.

Character models of real prose, the learning rate constant after the warm-up, so that every record is a run of its own length.
"""

import numpy as np

from jaxscale.data.text import CharacterText
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.dynamics.schedules import Schedule
from jaxscale.fitting.laws import over_training as law
from jaxscale.fitting.solver import solve
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import shuffled

BATCH, CONTEXT, ALPHABET = 8, 32, 64
FEW = 20.0  # tokens a parameter
RATIOS = 5  # from there to the most
RATE = 3e-3


def parameters(width):
    """Count N of the network, embeddings included: an embedding, a readout, one block and its norms."""
    return 2 * ALPHABET * width + 12 * width**2 + 3 * width


def steps_at(width, ratio):
    """Return the steps after which a network of this width has seen `ratio` tokens a parameter."""
    return int(round(ratio * parameters(width) / (BATCH * CONTEXT)))


def model(learning_rate, *, width):
    """Train by AdamW on fresh windows of the text."""
    world = CharacterText(source="pydoc", context=CONTEXT, alphabet=ALPHABET)
    network = Decoder(vocabulary=world.vocabulary, context=CONTEXT, mixer=Attention(heads=2), width=width, depth=1)
    trained = LanguageModel(world=world, network=network, batch=BATCH, evaluation=512)
    return Descent(model=trained, learning_rate=learning_rate, rule=AdamW(), schedule=Schedule(warmup=30.0))


def _scale(widths, many, seeds, lanes):
    ratios = np.geomspace(FEW, many, RATIOS)
    times = sorted({0} | {steps_at(w, r) for w in widths for r in ratios})
    grid, static = {"learning_rate": [RATE]}, {"width": widths}
    return {"model": dict(grid=grid, static=static, seeds=seeds, times=times, share=("width",), width=lanes)}


SCALES = {
    "smoke": _scale((4, 8, 12), 30.0, 2, 2),
    "laptop": _scale((8, 12, 16, 20, 24), 320.0, 4, 2),
    "accelerator": _scale((8, 16, 32, 64, 128), 320.0, 64, None),
}


def prediction(runs, *, five=False):
    """Fit the law through the smaller models, and say what it predicts of the largest at the most tokens.

    Args:
      runs: of the sweep.
      five: fit as the paper does, all at 20 tokens a parameter and the smallest at the most, and not at every ratio.

    Returns:
      N and D of the target; its loss; the law's loss there, both by seed; the law's parameters, seeds in the mean; its R2 over
      the smaller models; tokens a parameter.
    """
    loss = runs["loss"].isel(learning_rate=0)
    widths = loss["width"].values.tolist()
    many = loss["time"].values[-1] * BATCH * CONTEXT / parameters(widths[-1])
    ratios = np.geomspace(FEW, many, RATIOS)

    def at(width, ratio):
        return loss.sel(width=width).sel(time=steps_at(width, ratio), method="nearest").values

    use = [(w, FEW) for w in widths[:-1]] + [(widths[0], many)] if five else [(w, r) for w in widths[:-1] for r in ratios]
    n = np.array([parameters(w) for w, _ in use], float)
    d = np.array([steps_at(w, r) for w, r in use]) * float(BATCH * CONTEXT)
    y = np.stack([at(w, r) for w, r in use], axis=1)  # a fit for each seed, and one of their mean
    found = solve(law.LAW, (n, d), np.vstack([y, y.mean(axis=0)]), np.ones(len(use)), space="raw", iterations=200).values
    laws = [dict(zip(law.LAW.params, row)) for row in found]
    target = np.array([[float(parameters(widths[-1]))], [float(loss["time"].values[-1] * BATCH * CONTEXT)]])
    made = np.array([law.LAW.at(target, one)[0] for one in laws[:-1]])
    gap = law.LAW.at(np.stack([n, d]), laws[-1]) - y.mean(axis=0)
    return target, at(widths[-1], many), made, laws[-1], 1 - np.mean(gap**2) / np.var(y.mean(axis=0)), many


def measure(runs):
    """Measure the relative error of the prediction, seed by seed, from all records and from the paper's five points; and how
    much better it is than the loss of the next smaller model.
    """
    target, seen, made, values, _, many = prediction(runs["model"])
    note = f"N {target[0, 0]:.3g}, {many:.0f} tokens a parameter; law {made.mean():.4f}, measured {seen.mean():.4f}"
    loss = runs["model"]["loss"].isel(learning_rate=0, time=-1)
    smaller = loss.isel(width=-2).values
    miss = (made - seen) / seen
    found = {
        "prediction": Found.over(miss, note),
        "naive": Found.over(
            np.abs(smaller / seen - 1) - np.abs(miss), "relative error of the next smaller model's loss, less the law's"
        ),
        "eta": Found(values["eta"], note=f"exponent in compute; floor {values['E']:.3f} nats"),
    }
    five = prediction(runs["model"], five=True)
    found["five_points"] = Found.over((five[2] - seen) / seen, "from five points for four parameters, as the paper")
    return found


def draw(runs, found):
    """Draw the loss against compute, a curve for each size, and the law through the points that were fitted."""
    runs = runs["model"]
    target, _, made, values, _, _ = prediction(runs)
    figure, axes = figures.new_axes()
    shades = figures.colours(runs["width"].values.tolist())
    for width, shade in zip(runs["width"].values, shades):
        n = parameters(int(width))
        d = runs["time"].values[1:] * float(BATCH * CONTEXT)
        enough = d >= FEW * n * 0.99
        y = runs["loss"].isel(learning_rate=0).sel(width=width).mean("seed").values[1:]
        axes.plot(6 * n * d[enough], y[enough], "o", ms=2.5, color=shade, label=f"$N$ = {n:,}")
        axes.plot(6 * n * d[enough], law.LAW.at(np.stack([np.full(enough.sum(), float(n)), d[enough]]), values),
                  color=shade, lw=1)  # fmt: skip
    axes.plot(6 * target[0] * target[1], [made.mean()], "k*", ms=7, label="predicted")
    axes.set_xscale("log")
    axes.set_xlabel("compute $6ND$ (flops)")
    axes.set_ylabel("held-out loss (nats per character)")
    axes.legend()
    return {"over_training": figure}


STUDY = Study(
    name="over_training",
    question="do small models, from 20 tokens a parameter on, foretell the loss of a larger one at 320?",
    paper="Gadre et al. 2024, Language models scale reliably with over-training and on downstream tasks, arXiv:2403.08540",
    experiments={"model": model},
    scales=SCALES,
    measure=measure,
    draw=draw,
    world="character models of one layer, widths 8 to 24, on CPython's documentation, 20 to 320 tokens a parameter",
    controls={"time shuffled": shuffled("time")},
    claims=(
        Claim("five_points", "five cheap runs foretell the loss of the over-trained model: relative error", -0.02, 0.02,
              "abstract; table 2", null="time shuffled"),
        Claim("prediction", "so does a law through all records of four smaller models", -0.02, 0.02, "abstract; equation 4",
              null="time shuffled"),
        Claim("naive", "it foretells more than the next smaller model's loss does", 0, np.inf, "a baseline", kind="derived",
              null="time shuffled"),
    ),  # fmt: skip
)
