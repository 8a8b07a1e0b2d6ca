"""The three regions of a learning curve, in a model where each is known: best guess, power law, irreducible error.

Kernel regression with eigenvalues i^-b and squared target coefficients i^-a: the error falls as P^-min(a - 1, 2 b).
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxscale.dynamics.solved import Solved
from jaxscale.fitting.curve_fit import fit
from jaxscale.fitting.double_precision import float64
from jaxscale.fitting.laws import hestness
from jaxscale.models.random_features import RandomFeatures
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import scrambled, shuffled
from jaxscale.theory import kernel_regression as theory
from jaxscale.theory.random_features import power_law

RIDGE = 1e-5
B, A = np.array([1.5, 2.0, 1.5]), np.array([1.5, 1.6, 2.2])  # three spectra; the axis `spectrum` counts them
REGIONS: dict[str, Any] = dict(b=1.5, a=2.2, onset=4.0)
NOISE = 0.14  # of the curve with three regions: by P = 256 only its floor is left
WINDOW = 16, 64  # samples: from where modes count one by one to where those that are left out begin to


def decay(samples, spectrum, *, most):
    """Solve a noiseless regression next to ridgeless: the power law alone."""
    b, a = jnp.asarray(B)[spectrum], jnp.asarray(A)[spectrum]
    return Solved(model=RandomFeatures(modes=8 * most, samples_max=most, samples=samples, b=b, a=a, ridge=RIDGE))


def regions(samples, *, most):
    """Solve a regression whose first modes are alike, with noise: all three regions on one curve."""
    model = RandomFeatures(modes=8 * most, samples_max=most, samples=samples, ridge=RIDGE, noise=NOISE, **REGIONS)
    return Solved(model=model)


def _scale(most, points, seeds):
    n, static = np.unique(np.geomspace(1, most, points).round()), {"most": (most,)}
    return {
        "decay": dict(grid={"samples": n[n >= 16], "spectrum": np.arange(len(B))}, static=static, seeds=seeds, times=[0]),
        "regions": dict(grid={"samples": n}, static=static, seeds=2 * seeds, times=[0]),
    }


SCALES = {"smoke": _scale(128, 8, 64), "laptop": _scale(256, 17, 64), "accelerator": _scale(1024, 31, 1024)}


def closed_form(samples, *, b, a, modes, onset=0.0, noise=0.0):
    """Return the (n,) error by the theory."""
    with float64():
        lam, v2 = power_law(modes, b=b, a=a, onset=onset)
        n = jnp.asarray(np.asarray(samples, float))
        return np.asarray(theory.learning_curve(n, lam, v2, ridge=RIDGE, noise=noise**2))


def slope(error, n, low=0.0, high=np.inf):
    """Return -d ln (mean error) / d ln n of (seeds, n) errors, between two sizes."""
    inside = (n >= low) & (n <= high)
    return -float(np.polyfit(np.log(n[inside]), np.log(error.mean(0)[inside]), 1)[0])


def measure(runs):
    """Measure exponents of the simulated curves, by themselves and against the closed form, and the slopes of the regions."""
    error = runs["decay"]["error"].isel(time=0, most=0).transpose("spectrum", "seed", "samples")
    n, modes = np.asarray(error["samples"], float), 8 * int(error["most"])
    powers, drifts = {}, {}
    for i, (b, a) in enumerate(zip(B, A)):
        name, one = f"b {b:g}, a {a:g}:", error.values[i].astype(float)
        powers[name] = Found.jackknife(lambda e: slope(e, n, *WINDOW), one) - theory.exponent(b, a)
        ratio = one / closed_form(n, b=b, a=a, modes=modes)
        drifts[name] = Found.jackknife(lambda r: slope(r, n), ratio)
    curve = runs["regions"]["error"].isel(time=0, most=0).transpose("seed", "samples")
    n, values = np.asarray(curve["samples"], float), curve.values.astype(float)
    law = closed_form(n, modes=modes, noise=NOISE, **REGIONS)

    def over_middle(low, high):
        return Found.jackknife(lambda e: slope(e, n, low, high) / slope(e, n, 4, 32), values)

    return {
        "power": Found.every(powers, f"exponent at P = {WINDOW[0]} to {WINDOW[1]} less that of the spectra"),
        "drift": Found.every(drifts, "simulated exponent less the closed form's"),
        "ratio": Found.over((values / law).mean(1), "simulated over closed form, all P"),
        "guess": over_middle(0, 2),
        "floor": over_middle(n[-1] / 2, np.inf),
        "hestness_exponent": Found.fitted(
            lambda: fit(hestness.LAW, curve, x="samples", statistic="mean", progress=False), "exponent", "spectra say 1.2"
        ),
    }


def draw(runs, found):
    """Draw power laws with their closed forms, and the three regions."""
    figure, axes = figures.new_axes(1, 2)
    error = runs["decay"]["error"].isel(time=0, most=0)
    figures.curves(error, x="samples", hue="spectrum", axes=axes[0], title="simulated; lines: closed form")
    most = int(error["most"])
    dense, shades = np.geomspace(16, most, 40), figures.colours(error["spectrum"].values.tolist())
    for i, (b, a) in enumerate(zip(B, A)):
        axes[0].plot(dense, closed_form(dense, b=b, a=a, modes=8 * most), lw=1, color=shades[i])
    curve = runs["regions"]["error"].isel(time=0, most=0)
    figures.curves(curve, x="samples", axes=axes[1], title="best guess, power law, irreducible error")
    dense = np.geomspace(1, 2 * most, 80)
    axes[1].plot(dense, closed_form(dense, modes=8 * most, noise=NOISE, **REGIONS), lw=1, color=figures.COLOURS[0])
    axes[1].axhline(NOISE**2, color="0.4", ls="--", lw=0.8)
    return {"regions": figure}


STUDY = Study(
    name="kernel_regression_regions",
    question="does a learning curve have three regions, and is the exponent of the middle one what the spectra say?",
    paper="Hestness et al. 2017, arXiv:1712.00409; Bordelon, Canatar & Pehlevan 2020, arXiv:2002.02561",
    world="kernel regression with power-law spectra, up to 256 samples and 2048 modes",
    experiments={"decay": decay, "regions": regions},
    scales=SCALES,
    measure=measure,
    draw=draw,
    controls={"samples shuffled": shuffled("samples"), "scrambled": scrambled()},
    symbols={"samples": "samples $P$", "spectrum": "spectrum"},
    claims=(
        Claim("power", "the error falls as a power of the data, P^-min(a - 1, 2 b), for three spectra", -0.1, 0.1,
              "Hestness et al., abstract; Bordelon et al.", null="samples shuffled"),
        Claim("guess", "below it lies a region of best guesses: slope up to P = 2 over the power law's", -0.25, 0.25,
              "Hestness et al., figure 6", null="samples shuffled"),
        Claim("floor", "above it one of irreducible error: slope of the last doubling over the power law's", -0.25, 0.25,
              "Hestness et al., figure 6", null="samples shuffled"),
        Claim("drift", "simulated exponents are those of the closed form", -0.03, 0.03, "Bordelon et al. 2020",
              kind="derived", null="scrambled"),
        Claim("ratio", "so are the errors: simulated over closed form", 0.97, 1.03, "Bordelon et al. 2020", kind="derived",
              null="scrambled"),
    ),  # fmt: skip
)
