"""How many examples does a deep network need to learn a hierarchy? About n_c m^L, polynomial in the length of the strings."""

import numpy as np

from jaxscale.data.hierarchy import Hierarchy
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.fitting.curve_fit import fit
from jaxscale.fitting.laws import power
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.language.token_mlp import TokenMlp
from jaxscale.phase.boundaries import crossing
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import shuffled, untrained

V = 8


def hierarchy(points, *, synonyms):
    """Train a perceptron of three hidden layers on P strings, P traced: one program for the whole learning curve."""
    world = Hierarchy(features=V, classes=V, synonyms=synonyms, levels=2)
    network = TokenMlp(vocabulary=V, context=world.context, width=96, depth=3)
    model = LanguageModel(world=world, network=network, batch=64, evaluation=512, points=points)
    return Descent(model=model, learning_rate=1e-3, rule=AdamW())


def _scale(synonyms, points, seeds, steps, width):
    grid, static = {"points": points}, {"synonyms": synonyms}
    return {"hierarchy": dict(grid=grid, static=static, seeds=seeds, times=[0, steps // 2, steps], width=width)}


SCALES = {
    "smoke": _scale((4,), [32.0, 512.0], 2, 800, 2),
    "laptop": _scale((2, 3, 4, 6), 2.0 ** np.arange(3, 12), 4, 2000, 9),
    "accelerator": _scale((2, 3, 4, 6, 8), 2.0 ** np.arange(3, 15), 64, 50_000, None),
}


def measure(runs):
    """Measure errors well below and above P* = n_c m^L, and the exponent of the points needed in m."""
    runs = runs["hierarchy"]
    error = runs["error"].isel(time=-1)
    stars = {
        int(m): Hierarchy(features=V, classes=V, synonyms=int(m), levels=2).sample_complexity()
        for m in error["synonyms"].values
    }
    chance = 1 - 1 / V
    at = error.sel(synonyms=4)
    low = at.sel(points=stars[4] / 4, method="nearest")
    high = at.sel(points=4 * stars[4], method="nearest")
    found = {
        "few": Found.over(low / chance, "error at P*/4 over chance, m = 4"),
        "many": Found.over(high, "error at 4 P*, m = 4"),
    }
    if len(stars) > 2:
        # points at which the error has fallen to half of chance, each seed its own
        needed = crossing(error.clip(min=1e-3), along="points", level=chance / 2, scale="log")
        found["exponent"] = Found.fitted(
            lambda: fit(power.LAW, needed, x="synonyms", statistic="log mean", progress=False), "exponent",
            "points to half of chance ~ m^this; L = 2", times=-1.0,
        )  # fmt: skip
    return found


def draw(runs, found):
    """Draw learning curves against P and against P / P*."""
    error = runs["hierarchy"]["error"].isel(time=-1)
    figure, axes = figures.new_axes(1, 2)
    figures.curves(error, x="points", hue="synonyms", axes=axes[0], log="x")
    shades = figures.colours(error["synonyms"].values.tolist())
    for m, shade in zip(error["synonyms"].values, shades):
        star = Hierarchy(features=V, classes=V, synonyms=int(m), levels=2).sample_complexity()
        mean = error.sel(synonyms=m).mean("seed")
        axes[1].plot(mean["points"] / star, mean, "o-", ms=3, color=shade, label=f"$m$ = {m}")
    axes[1].set_xscale("log")
    axes[1].set_xlabel("$P / (n_c m^L)$")
    axes[1].set_ylabel("error")
    axes[1].legend()
    return {"curves": figure}


STUDY = Study(
    name="random_hierarchy",
    question="do a few times n_c m^L examples suffice to learn the random hierarchy model?",
    paper="Cagnetta, Petrini, Tomasini, Favero & Wyart 2023, arXiv:2307.02129",
    experiments={"hierarchy": hierarchy},
    scales=SCALES,
    measure=measure,
    draw=draw,
    world="a perceptron of three hidden layers of 96 units on two levels of the hierarchy, 2,000 steps at most",
    controls={"points shuffled": shuffled("points"), "untrained": untrained, "synonyms shuffled": shuffled("synonyms")},
    symbols={"points": "examples $P$", "synonyms": "$m$"},
    claims=(
        Claim("few", "a few times n_c m^L examples are needed: at a quarter of them the error is close to chance", 0.7, 1.1,
              "abstract; their section 3", null="points shuffled"),
        Claim("many", "and they suffice: at four times as many it is small", 0, 0.35, "abstract; their section 3",
              null="untrained"),
        Claim("exponent", "the examples needed grow as m^L, L = 2", 1.5, 2.5, "their equation 1", null="synonyms shuffled"),
    ),  # fmt: skip
)
