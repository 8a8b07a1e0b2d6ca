"""A perceptron of N inputs stores 2 N random labels: every run is decided, and the curves of all N are one curve.

The probability that P random labels can be realised is known exactly (Cover's function), so that simulation, collapse and
exponents are all held against the truth.
"""

import numpy as np

from jaxscale.dynamics.newton import Newton
from jaxscale.dynamics.until import Until
from jaxscale.models.random_labels import RandomLabels
from jaxscale.phase.boundaries import boundary
from jaxscale.phase.collapsing import collapse
from jaxscale.plot import figures, scaling
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import scrambled, shuffled
from jaxscale.theory import cover

BALANCED = 1e-4  # gradient over its largest possible value; float32 leaves 1e-6


def decided(system, state, data):
    """Say whether a certificate holds: all points are on their side, or nothing pulls any more."""
    seen = system.observe(state, data)
    return seen["separated"] | (seen["balance"] < BALANCED)


def storage(alpha, *, d):
    """Run Newton's method on P = alpha d random labels, until they are separated or proved inseparable."""
    return Until(system=Newton(model=RandomLabels(d=d, alpha=alpha, alpha_max=3.0)), when=decided)


def _scale(sizes, step, seeds):
    loads = np.arange(1.5, 2.5 + step / 2, step)
    return {"storage": dict(grid={"alpha": loads}, static={"d": sizes}, seeds=seeds, times=[0, 10, 20, 40, 80])}


SCALES = {
    "smoke": _scale((8, 16), 1 / 8, 96),
    "laptop": _scale((16, 32, 64), 1 / 16, 600),
    "accelerator": _scale((16, 32, 64, 128, 256), 1 / 16, 20_000),
}


def separable(runs):
    """Return 0/1 of every decided run, NaN where neither certificate was found."""
    last = runs.isel(time=-1)
    return last["separated"].where(last["stopped"]).rename("probability of storage")


def exact(runs):
    """Return Cover's function at the cells of the run, (d, alpha)."""
    return np.array([cover.separable(np.round(runs["alpha"].values * d), int(d)) for d in runs["d"].values])


def collapsed(stored):
    """Collapse the curves of all sizes."""
    return collapse(stored, size="d", control="alpha", exponent=0, progress=False)


def measure(runs):
    """Count undecided runs, compare with Cover's function, find where half are stored, and collapse the sizes."""
    runs = runs["storage"]
    stored, truth = separable(runs), exact(runs)
    count, mean = stored.count("seed").values, stored.mean("seed").values
    gap, variance = mean - truth, np.maximum(truth * (1 - truth), 0.25 / count) / count
    sizes = [f"N {int(d)}:" for d in runs["d"].values]
    halves = {"below 2,": runs["alpha"].values < 2, "above 2,": runs["alpha"].values > 2}
    off = {
        f"{side} {n}": Found(float(g[at].mean()), float(np.sqrt(v[at].sum()) / at.sum()))
        for n, g, v in zip(sizes, gap, variance) for side, at in halves.items()
    }  # fmt: skip
    half = boundary(stored, along="alpha", level=0.5, direction="down")
    found = {
        "undecided": Found.share(int(stored.isnull().sum()), stored.size, "runs that are left out"),
        "cover": Found.every(off, "share of realisable labellings less Cover's function"),
        "half": Found.every({n: Found.placed(half.isel(d=i)) for i, n in enumerate(sizes)}, "load at which half are stored"),
    }
    if stored.sizes["d"] > 2:
        fit = collapsed(stored)
        found["threshold"], found["nu"] = (Found.fitted(fit, name) for name in ("threshold", "nu"))
    return found


def draw(runs, found):
    """Draw simulated and exact curves, and the collapse where there are sizes enough."""
    runs = runs["storage"]
    stored, truth = separable(runs), exact(runs)
    many = runs.sizes["d"] > 2
    figure, axes = figures.new_axes(1, 3 if many else 2)
    figures.curves(stored, x="alpha", hue="d", log="", axes=axes[0], title="simulated; lines: Cover's function")
    for curve, shade in zip(truth, figures.colours(runs["d"].values.tolist())):
        axes[0].plot(runs["alpha"], curve, lw=1, color=shade)
    if many:
        fit = collapsed(stored)
        scaling.collapse_pair(fit, axes=axes[1:], control=r"$\alpha$", value="probability of storage")
    else:
        steps = runs["steps"].isel(time=-1)
        figures.curves(steps, x="alpha", hue="d", log="", axes=axes[1], title="Newton steps until decided")
    return {"capacity": figure}


STUDY = Study(
    name="cover_capacity",
    question="how many random labels can a perceptron store, and how sharp is the limit at finite size?",
    paper="Cover 1965, IEEE Trans. Electron. Comput. EC-14, 326; Gardner 1988, J. Phys. A 21, 257",
    experiments={"storage": storage},
    scales=SCALES,
    measure=measure,
    draw=draw,
    quick=True,
    world="Newton's method on Gaussian points with random labels, up to 64 inputs",
    controls={"loads shuffled": shuffled("alpha"), "scrambled": scrambled()},
    symbols={"alpha": r"load $\alpha = P/N$", "d": "$N$"},
    claims=(
        Claim("cover", "the share of realisable labellings is Cover's function, below and above 2 N", -0.06, 0.06, "Cover 1965",
              null="loads shuffled"),
        Claim("half", "half of them are at P = 2 N, at every size", 1.9, 2.1, "Cover 1965", null="loads shuffled"),
        Claim("threshold", "the curves of all sizes collapse at alpha_c = 2", 1.97, 2.03, "Cover 1965", null="scrambled"),
        Claim("nu", "with nu = 2", 1.7, 2.3, "the central limit of Cover's function", kind="derived", null="scrambled"),
        Claim("undecided", "every run is decided by a certificate", 0, 0.01, "Gordan's theorem", kind="gate"),
    ),  # fmt: skip
)
