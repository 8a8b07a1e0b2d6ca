"""How many measurements does descent need to recover a low-rank matrix? A threshold in m over the degrees of freedom.

Information asks for one measurement per degree of freedom. Gradient descent on factors needs a few; how many, and how sharp
the onset is at finite size, is measured by the probability of recovery over measurements and sides, and its collapse.
"""

import numpy as np

from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.until import Until, below
from jaxscale.models.matrix_sensing import SymmetricSensing
from jaxscale.models.operators import Gaussian
from jaxscale.phase.collapsing import collapse
from jaxscale.phase.success import success_boundary
from jaxscale.plot import figures, scaling
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import shuffled
from jaxscale.theory.sensing import degrees_of_freedom

RANK, COLUMNS, MOST = 1, 2, 8.0
RECOVERED = 0.02  # relative error


def recovery(load, *, n):
    """Descend on m = load * degrees of freedom Gaussian measurements of a rank-1 matrix, until recovered."""
    freedom = degrees_of_freedom(n, RANK)
    m = load * freedom
    # few measurements make the loss steep: the largest singular value of A grows as 1 + sqrt(unknowns / m)
    rate = 1.0 / (1 + (n * (n + 1) / 2 / m) ** 0.5) ** 2
    operator = Gaussian(m=round(MOST * freedom), used=m)
    model = SymmetricSensing(n=n, rank=RANK, k=COLUMNS, alpha=0.1, operator=operator)
    return Until(system=Descent(model=model, learning_rate=rate), when=below("relative_error", RECOVERED), every=10)


def _scale(sizes, loads, seeds, last):
    return {"recovery": dict(grid={"load": loads}, static={"n": sizes}, seeds=seeds, times=[0, last // 4, last // 2, last])}


SCALES = {
    "smoke": _scale((8, 16), [1.0, 2.0, 3.0, 4.0, 6.0], 24, 200),
    "laptop": _scale((8, 16, 24, 32), np.arange(1.0, 6.01, 0.5), 96, 400),
    "accelerator": _scale((16, 32, 64, 128), np.arange(1.0, 6.01, 0.25), 2048, 2000),
}


def success(runs):
    """Return 0/1 of every run at the last step; a run that has not recovered by then has not."""
    return runs["stopped"].isel(time=-1).astype(float).rename("probability of recovery")


def line(runs):
    """Find where half the runs recover, per n, with a band from the counts."""
    won = success(runs)
    return success_boundary(won.sum("seed"), won.count("seed"), along="load")


def collapsed(won):
    """Collapse the recovery of all sizes."""
    return collapse(won, size="n", control="load", exponent=0, degree=5, progress=False)


def shares(won, load):
    """Return the share of runs that recover at a load, for every side n."""
    at = won.sel(load=load, method="nearest")
    return {f"n {int(n)}:": Found.share(int(at.sel(n=n).sum()), at.sizes["seed"]) for n in won["n"].values}


def onset(won):
    """Return the rise of (seeds, n, load) successes from a load of 2 to one of 4, largest side less smallest."""
    return won[:, -1].mean(0) @ [-1, 1] - won[:, 0].mean(0) @ [-1, 1]


def measure(runs):
    """Measure hopeless and easy ends, the threshold, its sharpening with size, and the collapse."""
    runs = runs["recovery"]
    won, half = success(runs), line(runs)
    early = runs["stopped"].isel(time=-2).mean() / runs["stopped"].isel(time=-1).mean()
    found = {
        "information": Found.every(shares(won, 1.0), "probability at one per degree of freedom"),
        "easy": Found.every(shares(won, won["load"].values[-1]), f"probability at load {float(won['load'][-1]):g}"),
        "half": Found.placed(half.isel(n=-1), f"n = {int(won['n'][-1])}, measurements per degree of freedom"),
        "sharper": Found.jackknife(
            onset, won.sel(load=[2.0, 4.0], method="nearest").transpose("seed", "n", "load").values,
            note="rise from load 2 to 4, largest n less smallest",
        ),
        "settled": Found(float(early), note="recovered at half the time over at the end"),
    }  # fmt: skip
    if won.sizes["n"] > 2:
        fit = collapsed(won)
        found |= {name: Found.fitted(fit, name, f"S = {fit.quality:.2f}") for name in ("threshold", "nu")}
    return found


def draw(runs, found):
    """Draw the probability over load and side with its boundary and the information limit, and the collapse."""
    runs = runs["recovery"]
    won, half = success(runs), line(runs)
    many = won.sizes["n"] > 2
    figure, axes = figures.new_axes(1, 3 if many else 2)
    title = "line: half; dashed: counting"
    chance, information = won.mean("seed", keep_attrs=True), (won["n"].values[[0, -1]], [1.0, 1.0])
    figures.phase_diagram(chance, x="n", y="load", band=half, theory=information, axes=axes[0], log="x", title=title)
    if many:
        fit = collapsed(won)
        scaling.collapse_pair(fit, axes=axes[1:], control="load", value="probability of recovery")
    else:
        figures.curves(won, x="load", hue="n", log="", axes=axes[1])
    return {"threshold": figure}


STUDY = Study(
    name="sensing_threshold",
    question="how many Gaussian measurements per degree of freedom does descent need to recover a rank-1 matrix?",
    paper="Candes & Plan 2011, arXiv:1001.0339 (degrees of freedom); Li, Ma & Zhang 2018, arXiv:1712.09203 (descent)",
    experiments={"recovery": recovery},
    scales=SCALES,
    measure=measure,
    draw=draw,
    world="a rank-1 matrix of side up to 32, X X^T with two columns, Gaussian measurements",
    controls={"loads shuffled": shuffled("load"), "sizes shuffled": shuffled("n")},
    symbols={"load": "$m$ / degrees of freedom", "n": "side $n$"},
    claims=(
        Claim("half", "recovery takes measurements of the order of the degrees of freedom: half of the runs at a load", 1, 5,
              "Candes & Plan 2011, order r n measurements", null="loads shuffled"),
        Claim("easy", "with six per degree of freedom every run recovers, at every side: probability", 0.9, 1,
              "Candes & Plan 2011", null="loads shuffled"),
        Claim("information", "one per degree of freedom is not enough, at any side: probability", 0, 0.2, "counting",
              kind="derived", null="loads shuffled"),
        Claim("sharper", "the onset sharpens with size", 0, np.inf, "finite-size scaling", kind="derived",
              null="sizes shuffled"),
    ),  # fmt: skip
)
