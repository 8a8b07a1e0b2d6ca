"""The three regions of a learning curve, in a model where each is known: best guess, power law, irreducible error.

Kernel regression with eigenvalues i^-b and squared target coefficients i^-a: the error falls as P^-min(a - 1, 2 b).
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxscale.dynamics.solved import Solved
from jaxscale.fitting.curve_fit import fit
from jaxscale.fitting.double_precision import float64
from jaxscale.fitting.laws import hestness, power
from jaxscale.models.random_features import RandomFeatures
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study
from jaxscale.theory import kernel_regression as theory
from jaxscale.theory.random_features import power_law

RIDGE = 1e-5
B, A = np.array([1.5, 2.0, 1.5]), np.array([1.5, 1.6, 2.2])  # three spectra; the axis `spectrum` counts them
REGIONS: dict[str, Any] = dict(b=1.5, a=2.2, onset=8.0)
NOISE = 0.03  # of the curve with three regions; its square is 1.3 % of the best guess's error
FAR, MORE_MODES = np.geomspace(100, 10_000, 12), 100_000


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
        "regions": dict(grid={"samples": n}, static=static, seeds=4 * seeds, times=[0]),
    }


SCALES = {"smoke": _scale(128, 8, 64), "laptop": _scale(256, 17, 64), "accelerator": _scale(1024, 31, 1024)}


def closed_form(samples, *, b, a, modes, onset=0.0, noise=0.0, tail=False):
    """Return the (n,) error. `tail` adds the modes that are left out: too small to be learned, they act as ridge and noise."""
    with float64():
        lam, v2 = power_law(modes, b=b, a=a, onset=onset)
        ridge, noise2 = (modes ** (1 - b) / (b - 1), modes ** (1 - a) / (a - 1)) if tail else (RIDGE, 0.0)
        n = jnp.asarray(np.asarray(samples, float))
        return np.asarray(theory.learning_curve(n, lam, v2, ridge=ridge, noise=noise2 + noise**2))


def measure(runs):
    """Measure exponents far out, simulated against closed form, and the three regions."""
    error, found = runs["decay"]["error"].isel(time=0, most=0), {}
    n, modes = np.asarray(error["samples"], float), 8 * int(error["most"])
    for i, (b, a) in enumerate(zip(B, A)):
        far = {"x": FAR, "y": closed_form(FAR, b=b, a=a, modes=MORE_MODES, tail=True)}
        slope = fit(power.LAW, far, x="x", y="y", resamples=50, progress=False)["exponent"]
        off = slope.value - theory.exponent(b, a)
        found[f"exponent_{i}"] = Found(off, slope.window, f"{slope.value:.3f}, P = 100 to 10,000")
        found[f"simulated_{i}"] = _drift(error.isel(spectrum=i), n, closed_form(n, b=b, a=a, modes=modes))
    curve = runs["regions"]["error"].isel(time=0, most=0)
    exact = closed_form(curve["samples"], modes=modes, noise=NOISE, **REGIONS)
    ratio, spread = curve.mean("seed").values / exact, curve.std("seed", ddof=1).values / curve.sizes["seed"] ** 0.5 / exact
    found["ratio"] = Found(float(ratio.mean()), float(np.sqrt(np.sum(spread**2)) / len(ratio)), "simulated over closed form")
    return found | _regions()


def _drift(error, n, exact):
    """How much steeper or flatter the simulated errors fall than the closed form's, with its error over seeds."""
    ratio = error.transpose("samples", "seed").values / exact[:, None]
    rng, seeds = np.random.default_rng(0), ratio.shape[1]
    picks = [np.arange(seeds), *(rng.integers(seeds, size=seeds) for _ in range(200))]
    slopes = [np.polyfit(np.log(n), np.log(ratio[:, pick].mean(1)), 1)[0] for pick in picks]
    return Found(-float(slopes[0]), float(np.std(slopes[1:])), f"P = {n[0]:g} to {n[-1]:g}")


def _regions():
    """Slopes of the closed form at its ends over the steepest one, and Hestness's law on it."""
    n = np.geomspace(1, 2e4, 26)
    error = closed_form(n, modes=MORE_MODES, noise=NOISE, tail=True, **REGIONS)
    slopes = -np.gradient(np.log(error), np.log(n))
    law = fit(hestness.LAW, {"x": n, "y": error}, x="x", y="y", resamples=50, progress=False)
    note = f"over the steepest, {slopes.max():.2f}"
    return {
        "guess": Found(float(slopes[0] / slopes.max()), note=note),
        "floor": Found(float(slopes[-1] / slopes.max()), note=note),
        "hestness_exponent": Found(law["exponent"].value, law["exponent"].window, f"{law.status}; spectra say 1.2"),
    }


def draw(runs, found):
    """Draw power laws with their closed forms, and the three regions."""
    figure, axes = figures.new_axes(1, 2)
    error = runs["decay"]["error"].isel(time=0, most=0)
    figures.curves(error, x="samples", hue="spectrum", axes=axes[0], title="simulated; lines: closed form")
    most = int(error["most"])
    dense = np.geomspace(16, most, 40)
    for i, (b, a) in enumerate(zip(B, A)):
        axes[0].plot(dense, closed_form(dense, b=b, a=a, modes=8 * most), lw=1, color=figures.COLOURS[i])
    curve = runs["regions"]["error"].isel(time=0, most=0)
    figures.curves(curve, x="samples", axes=axes[1], title="best guess, power law, irreducible error")
    dense = np.geomspace(1, 2 * most, 80)
    axes[1].plot(dense, closed_form(dense, modes=8 * most, noise=NOISE, **REGIONS), lw=1, color=figures.COLOURS[0])
    axes[1].axhline(NOISE**2, color="0.4", ls="--", lw=0.8)
    return {"regions": figure}


def _claims():
    for i, (b, a) in enumerate(zip(B, A)):
        says = f"b = {b:g}, a = {a:g}: error ~ P^-{theory.exponent(b, a):g}"
        yield Claim(f"exponent_{i}", f"{says}; closed form's exponent less this", -0.03, 0.03, "Bordelon et al. 2020")
        yield Claim(f"simulated_{i}", f"{says}; simulated exponent less the closed form's", -0.03, 0.03, "derived")
    yield Claim("ratio", "three regions: simulated error over closed form", 0.97, 1.03, "Bordelon et al. 2020")
    yield Claim("guess", "P = 1: the slope is a fraction of the power law's", 0, 0.25, "Hestness et al. 2017, figure 6")
    yield Claim("floor", "P = 20,000: the slope falls off again", 0, 0.25, "Hestness et al. 2017, figure 6")


STUDY = Study(
    name="kernel_regression_regions",
    question="does a learning curve have three regions, and is the exponent of the middle one what the spectra say?",
    paper="Hestness et al. 2017, arXiv:1712.00409; Bordelon, Canatar & Pehlevan 2020, arXiv:2002.02561",
    experiments={"decay": decay, "regions": regions},
    scales=SCALES,
    measure=measure,
    draw=draw,
    claims=tuple(_claims()),
)
