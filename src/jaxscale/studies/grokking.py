"""Grokking: a network fits modular addition long before it generalises, and generalises only if its weights decay."""

import numpy as np

from jaxscale.data.modular import ModularAddition
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.models.language.model import LanguageModel, answers
from jaxscale.models.language.token_mlp import TokenMlp
from jaxscale.phase.first_passage import time_to
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import switched_off

DECAYS = [1e-4, 1.0]


def train_accuracy(model, params, data, logits, sites):
    """Return the accuracy on the training pairs; the logits are of the whole table."""
    seen = answers(model.world.training(data.frozen), logits)
    right = (logits.argmax(-1) == seen.targets) * seen.weight
    return {"train_accuracy": right.sum() / seen.weight.sum()}


def addition(decay, share, *, p):
    """Train a perceptron with squares by full-batch AdamW; the weight decay is rate times `decay` a step."""
    network = TokenMlp(vocabulary=p, context=2, width=128, activation="square")
    world = ModularAddition(p=p, share=share)
    model = LanguageModel(world=world, network=network, batch=0, probes=(train_accuracy,))
    return Descent(model=model, learning_rate=3e-3, rule=AdamW(b2=0.98, decay=decay, matrices_only=True))


def _scale(p, shares, decays, seeds, last, width):
    times = np.unique(np.concatenate([[0], np.geomspace(10, last, 40).round()])).astype(int)
    return {
        "addition": dict(grid={"decay": decays, "share": shares}, static={"p": (p,)}, seeds=seeds, times=times, width=width)
    }


SCALES = {
    "smoke": _scale(23, [0.6], DECAYS, 2, 1500, 2),
    "laptop": _scale(23, [0.3, 0.45, 0.6, 0.8], [1e-4, 0.1, 0.3, 1.0], 8, 4000, 8),
    "accelerator": _scale(97, np.linspace(0.2, 0.9, 15), np.geomspace(1e-3, 3, 15), 64, 100_000, None),
}


def measure(runs):
    """Measure the steps to fit and to generalise at share .6, with and without decay."""
    runs = runs["addition"].isel(p=0)
    test, train = (1 - runs["error"]).rename("test accuracy"), runs["train_accuracy"]
    cell = dict(share=0.6, decay=1.0)
    fit, general = (time_to(c, level).sel(cell, method="nearest") for c, level in ((train, 0.99), (test, 0.9)))
    weak = test.sel(share=0.6, decay=1e-4, method="nearest").isel(time=-1)
    found = {
        "fit": Found.median(fit, "steps to 99 % of the training pairs"),
        "generalise": Found.median(general, "steps to 90 % of the held-out pairs"),
        "delay": Found.median(general / fit, "the second over the first, median"),
        "no_decay": Found.over(weak, "held-out accuracy at the end, decay 1e-4"),
        "decay": Found.over(
            test.sel(cell, method="nearest").isel(time=-1).values - weak.values, "held-out accuracy, decay 1 less 1e-4"
        ),
    }
    if runs.sizes["share"] > 1:
        strong = test.isel(time=-1).sel(decay=1.0, method="nearest")
        ends = (strong.isel(share=i).values for i in (-1, 0))
        found["share"] = Found.over(np.subtract(*ends), "held-out accuracy, share .8 less .3")
    return found


def no_gap(runs):
    """Put the training pairs' accuracy in the place of the held-out pairs'."""
    return {name: data.assign(error=1 - data["train_accuracy"]) for name, data in runs.items()}


def draw(runs, found):
    """Draw curves of both accuracies, and the diagram of generalisation over share and decay."""
    runs = runs["addition"].isel(p=0)
    many = runs.sizes["share"] > 1
    figure, axes = figures.new_axes(1, 2 if many else 1)
    first = axes[0] if many else axes
    cell = runs.sel(share=0.6, decay=1.0, method="nearest")
    for i, (name, curve) in enumerate((("training pairs", cell["train_accuracy"]), ("held-out pairs", 1 - cell["error"]))):
        for k, seed in enumerate(curve.transpose("seed", "time").values):
            first.plot(curve["time"][1:], seed[1:], color=figures.COLOURS[i], lw=0.8, label=None if k else name)
    first.set_xscale("log")
    first.set_xlabel("step")
    first.set_ylabel("accuracy")
    first.legend()
    if many:
        steps = time_to((1 - runs["error"]).rename("accuracy"), 0.9).median("seed").rename("steps to generalise")
        shown = steps.where(np.isfinite(steps)).assign_attrs(units="steps")
        figures.phase_diagram(shown, x="share", y="decay", axes=axes[1], log="y", log_colour=True, title="white: never")
    return {"accuracies": figure}


STUDY = Study(
    name="grokking",
    question="does generalisation come long after fitting, and only with weight decay?",
    paper="Power et al. 2022, Grokking: generalization beyond overfitting on small algorithmic datasets, arXiv:2201.02177",
    experiments={"addition": addition},
    scales=SCALES,
    measure=measure,
    draw=draw,
    world="a perceptron with squares on addition modulo 23, up to 4,000 steps of AdamW",
    controls={"no gap": no_gap, "one decay": switched_off("decay", 1.0), "one share": switched_off("share", 0.6)},
    symbols={"decay": "weight decay", "share": "share of the table"},
    claims=(
        Claim("delay", "held-out pairs are learned several times later than training pairs", 2, np.inf,
              "Power et al., figure 1", null="no gap"),
        Claim("decay", "weight decay brings it about: held-out accuracy with decay less without", 0.3, 1,
              "Power et al., figure 2 right", null="one decay"),
        Claim("no_decay", "without it they are not learned in that time", 0, 0.3, "Power et al., figure 2 right",
              null="one decay"),
        Claim("share", "a larger share of the table generalises better", 0.2, 1, "Power et al., figure 2 left",
              null="one share"),
    ),  # fmt: skip
)
