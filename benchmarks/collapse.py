"""Data collapse: 64 starts and 200 resamples, from every start listed, against fssa and against fits of a spline by
scipy's Nelder-Mead.
"""

import json
import sys
import time
import types
import warnings

import numpy as np
import xarray

from jaxscale.phase.collapse_quality import quality
from jaxscale.phase.collapsing import collapse

SIZES, X, TRUTH = np.array([16, 32, 64, 128.0]), np.linspace(0.3, 0.7, 21), (0.5, 1.33, 0.3)
STARTS = [(0.4, 0.7), (0.4, 2.5), (0.6, 0.7), (0.6, 2.5), (0.5, 1.0)]
EXPONENT = 0.15  # where the others begin; with 0 their simplex is too thin to leave it


def data(seed=0):
    exact = SIZES[:, None] ** TRUTH[2] / (1 + np.exp(-0.8 * SIZES[:, None] ** (1 / TRUTH[1]) * (X - TRUTH[0])))
    error = 0.01 * SIZES[:, None] ** TRUTH[2] + 0 * exact
    made = exact + error * np.random.default_rng(seed).normal(size=exact.shape)
    return [xarray.DataArray(v, {"L": SIZES, "x": X}, ("L", "x")) for v in (made, error)]


def spline(values, errors, start):
    """What scripts do: one smoothing spline through all rescaled points, exponents by Nelder-Mead on its residual."""
    from scipy.interpolate import UnivariateSpline
    from scipy.optimize import minimize

    size, x = (a.ravel() for a in np.meshgrid(SIZES, X, indexing="ij"))
    y, dy = values.values.ravel(), errors.values.ravel()

    def cost(p):
        u, v, dv = size ** (1 / max(p[1], 0.05)) * (x - p[0]), y * size ** -p[2], dy * size ** -p[2]
        order = np.argsort(u)
        try:
            curve = UnivariateSpline(u[order] + 1e-9 * np.arange(len(u)), v[order], 1 / dv[order], s=len(u))
        except ValueError:
            return 1e6
        return float(np.mean(((v[order] - curve(u[order])) / dv[order]) ** 2)) + len(curve.get_knots()) / len(u)

    return minimize(cost, [*start, EXPONENT], method="Nelder-Mead", options={"maxiter": 600}).x


def fssa_fits(values, errors):
    """[((threshold, nu, exponent), quality as it counts it, whether it says success)] of every start, or None without fssa.

    Its last release, of 2015, imports what has left numpy, scipy and setuptools since: stand-ins for these, here alone.
    """
    import importlib.util

    if importlib.util.find_spec("fssa") is None:
        print("fssa is not installed: its contender is left out (pip install --no-deps fssa)")
        return None
    import scipy.optimize

    def counted(function, args):
        calls = [0]

        def call(x):
            calls[0] += 1
            return function(x, *args)

        return calls, call

    old = types.ModuleType("scipy.optimize.optimize")
    old.OptimizeResult, old.wrap_function = scipy.optimize.OptimizeResult, counted
    old._status_message = dict.fromkeys(("maxfev", "maxiter", "success"), "")
    packages = types.ModuleType("pkg_resources")
    packages.get_distribution = lambda name: types.SimpleNamespace(version="")
    sys.modules |= {"scipy.optimize.optimize": old, "pkg_resources": packages}
    np.asfarray, np.int = lambda a: np.asarray(a, float), int
    import fssa

    found = []
    for threshold, nu in STARTS:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            one = fssa.autoscale(SIZES, X, values.values, errors.values, threshold, nu, EXPONENT * nu)
        found.append(((one.x[0], one.x[1], one.x[2] / one.x[1]), float(one.fun), bool(one.success)))
    return found


def in_basin(p):
    return abs(p[0] - TRUTH[0]) < 0.02 and abs(p[1] - TRUTH[1]) < 0.2


def score(values, errors, p):
    size, x = (a.ravel() for a in np.meshgrid(SIZES, X, indexing="ij"))
    return quality(size, x, values.values.ravel(), errors.values.ravel(), threshold=p[0], nu=p[1], exponent=p[2]).value


if __name__ == "__main__":
    values, errors = data()
    began = time.perf_counter()
    collapse(values, error=errors, progress=False)
    first = time.perf_counter() - began
    began = time.perf_counter()
    found = collapse(values, error=errors, progress=False)
    seconds = time.perf_counter() - began
    line = {"race": "collapse, 64 starts, 200 resamples", "seconds": seconds, "compile_s": first - seconds,
            "quality": found.quality, "reached": found.reached,
            **{k: str(found[k]) for k in ("threshold", "nu", "exponent")}}  # fmt: skip
    began = time.perf_counter()
    others = [spline(values, errors, start) for start in STARTS]
    one = (time.perf_counter() - began) / len(STARTS)
    line |= {"spline_seconds_for_264": 264 * one, "ours_over_spline": 264 * one / seconds,
             "spline_in_basin": float(np.mean([in_basin(p) for p in others])),
             "spline_quality": [float(f"{score(values, errors, p):.3g}") for p in others]}  # fmt: skip
    began = time.perf_counter()
    if (others := fssa_fits(values, errors)) is not None:
        one = (time.perf_counter() - began) / len(STARTS)
        line |= {"fssa_seconds_for_264": 264 * one, "ours_over_fssa": 264 * one / seconds,
                 "fssa_in_basin": float(np.mean([in_basin(p) for p, _, _ in others])),
                 "fssa_quality": [float(f"{score(values, errors, p):.3g}") for p, _, _ in others],
                 "fssa_quality_own_count": [float(f"{own:.3g}") for _, own, _ in others],
                 "fssa_says_success": [said for _, _, said in others]}  # fmt: skip
    print(json.dumps({k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in line.items()}))
