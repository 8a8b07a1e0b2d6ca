"""A perceptron of N inputs stores 2 N random labels: every run is decided, and the curves of all N are one curve.

The probability that P random labels can be realised is known exactly (Cover's function), so that simulation, collapse and
exponents are all held against the truth.
"""

import numpy as np

from jaxscale.dynamics.newton import Newton
from jaxscale.dynamics.until import Until
from jaxscale.models.random_labels import RandomLabels
from jaxscale.phase.collapsing import collapse
from jaxscale.plot import figures, scaling
from jaxscale.study import Claim, Found, Study
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


def measure(runs):
    """Count undecided runs, compare with Cover's function cell by cell, and collapse the sizes."""
    runs = runs["storage"]
    stored, truth = separable(runs), exact(runs)
    count, mean = stored.count("seed").values, stored.mean("seed").values
    z2 = (mean - truth) ** 2 * count / np.maximum(truth * (1 - truth), 1 / count)
    found = {
        "undecided": Found(float(stored.isnull().mean()), note="share of runs, left out"),
        "chi2": Found(float(z2.mean()), float(np.sqrt(2 / z2.size)), f"squared deviation in standard errors, {z2.size} cells"),
    }
    if stored.sizes["d"] > 2:
        fit = collapse(stored, size="d", control="alpha", exponent=0, progress=False)
        note = f"S = {fit.quality:.2f}, {fit.status}"
        found |= {name: Found(fit[name].value, fit[name].seeds, note) for name in ("threshold", "nu")}
        found["quality"] = Found(fit.quality, note=fit.status)
    return found


def draw(runs, found):
    """Draw simulated and exact curves, and the collapse where there are sizes enough."""
    runs = runs["storage"]
    stored, truth = separable(runs), exact(runs)
    many = runs.sizes["d"] > 2
    figure, axes = figures.new_axes(1, 3 if many else 2)
    figures.curves(stored, x="alpha", hue="d", log="", axes=axes[0], title="simulated; lines: Cover's function")
    for i, curve in enumerate(truth):
        axes[0].plot(runs["alpha"], curve, lw=1, color=figures.COLOURS[i])
    if many:
        fit = collapse(stored, size="d", control="alpha", exponent=0, progress=False)
        scaling.collapse_pair(fit, axes=axes[1:], control="alpha", value="probability of storage")
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
    claims=(
        Claim("undecided", "every run is decided by a certificate", 0, 0.01, "Gordan's theorem"),
        Claim("chi2", "the share of realisable labellings is Cover's function", 0.5, 1.6, "Cover 1965, exact at every size"),
        Claim("threshold", "the curves of all sizes collapse at alpha_c = 2", 1.97, 2.03, "Cover 1965"),
        Claim("nu", "with nu = 2", 1.7, 2.3, "the central limit of Cover's function"),
        Claim("quality", "quality of the collapse S, about 1", 0, 5, "Houdayer & Hartmann 2004"),
    ),
)
