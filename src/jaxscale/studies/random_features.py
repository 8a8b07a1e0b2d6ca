"""Ridge regression on random features: does the finite-size theory predict every cell of the (samples, features) plane?

And where two ridges change places as the data grow, as closed forms and simulated: a crossover of scaling laws whose place is
known exactly, against which extrapolated crossings can be held.
"""

import jax.numpy as jnp
import numpy as np

from jaxscale.dynamics.solved import Solved
from jaxscale.fitting.double_precision import float64
from jaxscale.models.random_features import RandomFeatures
from jaxscale.phase.boundaries import crossing
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import scrambled, shuffled, switched_off
from jaxscale.theory import random_features as theory

B = A = 1.5
MODES, RIDGE = 1024, 1e-2
RIDGES, NOISE = (10.0, 1e-3), 1.0  # change places near n = 46
MAX_N = 128
RESAMPLES = 400


def surface(samples, features, *, most):
    """Solve the regression at one cell of the plane."""
    model = RandomFeatures(
        modes=MODES, samples_max=most, features_max=most, samples=samples, features=features, b=B, a=A, ridge=RIDGE
    )
    return Solved(model=model)


def ridges(samples, ridge):
    """Solve kernel regression on noisy labels at one of two ridges."""
    return Solved(model=RandomFeatures(modes=2048, samples_max=MAX_N, samples=samples, b=B, a=A, ridge=ridge, noise=NOISE))


def _scale(sizes, seeds, more):
    n = np.geomspace(16, MAX_N, 7).round()
    return {
        "surface": dict(grid={"samples": sizes, "features": sizes}, static={"most": (max(sizes),)}, seeds=seeds, times=[0]),
        "ridges": dict(grid={"samples": n, "ridge": RIDGES}, seeds=more, times=[0], share=("ridge",)),
    }


SCALES = {
    "smoke": {"surface": _scale([32, 64], 48, 1)["surface"]},
    "laptop": _scale([8, 16, 32, 64, 128], 256, 400),
    "accelerator": _scale([2**i for i in range(3, 11)], 1024, 16_384),
}


def predicted(samples, features):
    """Return the (n, k) error by the closed form."""
    with float64():
        lam, v2 = theory.power_law(MODES, b=B, a=A)
        n, k = (jnp.asarray(np.asarray(axis, float)) for axis in (samples, features))
        return np.asarray(theory.error(n[:, None], k[None, :], lam, v2, ridge=RIDGE))


def measure(runs):
    """Compare with the theory where min(n, k) >= 32, and find the crossing of the two ridges."""
    error = runs["surface"]["error"].isel(time=0, most=0).transpose("samples", "features", "seed")
    ratio = error.values / predicted(error["samples"], error["features"])[..., None]
    n, k = (error[name].values for name in ("samples", "features"))
    cells = {
        f"({n[i]:g}, {k[j]:g}):": Found.over(ratio[i, j]) for i, j in np.ndindex(*ratio.shape[:2]) if min(n[i], k[j]) >= 32
    }
    found = {
        "cells": Found.every(cells, "simulated over closed form"),
        "average": Found(
            float(np.mean([one.value for one in cells.values()])),
            float(np.sqrt(np.sum([one.error**2 for one in cells.values()])) / len(cells)), f"mean of {len(cells)} cells",
        ),
    }  # fmt: skip
    if "ridges" in runs:
        two = runs["ridges"]["error"].isel(time=0)
        found |= {"crossover": _crossover(two), "swap": _swap(two)}
    return found


def _swap(error):
    """Return by how much, in ln, the weak ridge is ahead at few samples and the strong one at many."""
    log = {
        (i, j): Found.over(error.isel(samples=i, ridge=j), f"at P = {float(error['samples'][i]):g}").log
        for i in (0, -1) for j in (0, 1)
    }  # fmt: skip
    return Found.every({"few:": log[0, 0] - log[0, 1], "many:": log[-1, 1] - log[-1, 0]}, "ln of errors, loser over winner")


def gap(error):
    """Return ln of the mean error at one ridge over that at the other, along samples."""
    log = np.log(error.mean("seed"))
    return log.isel(ridge=0, drop=True) - log.isel(ridge=1, drop=True)


def exact_crossover():
    """Return P_x by the closed form."""
    with float64():
        lam, v2 = theory.power_law(2048, b=B, a=A)
        return theory.ridge_crossover(jnp.geomspace(16.0, MAX_N, 200), lam, v2, ridges=RIDGES, noise=NOISE**2)


def _crossover(error):
    exact, rng = exact_crossover(), np.random.default_rng(0)
    found = float(crossing(gap(error), along="samples", level=0.0))
    seeds = error.sizes["seed"]
    again = [
        float(crossing(gap(error.isel(seed=rng.integers(seeds, size=seeds))), along="samples", level=0.0))
        for _ in range(RESAMPLES)
    ]
    spread = float(np.nanstd(np.log(again)))
    return Found(float(np.log(found / exact)), spread, f"ln of simulated over closed-form P_x = {exact:.1f}")


def draw(runs, found):
    """Draw the plane with its bottleneck line, cuts with theory, and the crossing."""
    figure, axes = figures.new_axes(1, 3 if "ridges" in runs else 2)
    error = runs["surface"]["error"].isel(time=0, most=0)
    mean = error.mean("seed", keep_attrs=True)
    n = np.asarray(error["samples"], float)
    with float64():
        lam, v2 = theory.power_law(MODES, b=B, a=A)
        line = np.asarray(theory.bottleneck(jnp.asarray(n), lam, v2, ridge=RIDGE))
    title = "line: samples or features limit"
    figures.phase_diagram(mean, x="samples", y="features", theory=(n, line), axes=axes[0], log_colour=True, title=title)
    figures.curves(error, x="samples", hue="features", axes=axes[1], title="simulated; lines: closed form")
    dense = np.geomspace(n[0], n[-1], 40)
    for curve, shade in zip(predicted(dense, error["features"]).T, figures.colours(error["features"].values.tolist())):
        axes[1].plot(dense, curve, lw=1, color=shade)
    axes[1].set_ylabel("error")
    if "ridges" not in runs:
        return {"plane": figure}
    two = runs["ridges"]["error"].isel(time=0)
    figures.curves(
        two, x="samples", hue="ridge", axes=axes[2], title="two ridges; dashed: closed form"
    )
    axes[2].axvline(exact_crossover(), color="0.4", ls="--", lw=0.8)
    axes[2].set_ylabel("error")
    return {"plane": figure}


STUDY = Study(
    name="random_features",
    question="does the finite-size theory of random-feature ridge regression predict the errors, and where two ridges cross?",
    paper="Simon et al. 2023, arXiv:2311.14646; Maloney, Roberts & Sully 2022, arXiv:2210.16859",
    experiments={"surface": surface, "ridges": ridges},
    scales=SCALES,
    measure=measure,
    draw=draw,
    world="ridge regression on Gaussian inputs with power-law spectra, 1024 modes",
    controls={
        "samples shuffled": shuffled("samples"), "one ridge": switched_off("ridge", RIDGES[1]), "scrambled": scrambled(),
    },
    symbols={"samples": "samples $n$", "features": "features $k$", "ridge": r"$\lambda$"},
    claims=(
        Claim("cells", "simulated error over closed form, in every cell of min(n, k) >= 32", 0.95, 1.05,
              "Simon et al., the eigenframework", null="samples shuffled"),
        Claim("average", "the same, mean over these cells", 0.97, 1.03, "Simon et al.", null="scrambled"),
        Claim("swap", "scaling curves cross: what is better at few data is worse at many", 0.02, np.inf,
              "Xiao 2024, Rethinking conventional wisdom, abstract", null="one ridge"),
        Claim("crossover", "they do where the closed form says, within .15 in ln P", -0.15, 0.15, "derived", kind="derived",
              null="one ridge"),
    ),  # fmt: skip
)
