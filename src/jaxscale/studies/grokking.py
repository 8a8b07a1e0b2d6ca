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
    fit, general = (time_to(c, level).sel(cell, method="nearest").median("seed") for c, level in ((train, 0.99), (test, 0.9)))
    weak = test.sel(share=0.6, decay=1e-4, method="nearest").isel(time=-1)
    found = {
        "fit": Found(float(fit), note="median steps to 99 % of the training pairs"),
        "generalise": Found(float(general), note="median steps to 90 % of the held-out pairs"),
        "delay": Found(float(general / fit), note="the second over the first"),
        "no_decay": Found.over(weak, "held-out accuracy at the end, decay 1e-4"),
    }
    if runs.sizes["share"] > 1:
        strong = test.isel(time=-1).sel(decay=1.0, method="nearest").mean("seed")
        found["share"] = Found(float(strong.isel(share=-1) - strong.isel(share=0)), note="accuracy at share .8 less at .3")
    return found


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
    first.legend(fontsize=7, frameon=False)
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
    claims=(
        Claim(
            "delay", "held-out pairs are learned several times later than training pairs", 2, np.inf, "Power et al., figure 1"
        ),
        Claim("no_decay", "without weight decay they are not learned in that time", 0, 0.3, "Power et al., figure 2 right"),
        Claim("share", "a larger share of the table generalises better", 0.2, 1, "Power et al., figure 2 left"),
    ),
)
