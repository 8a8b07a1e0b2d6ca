"""Data collapse: 64 starts and 200 resamples, from every start listed, against fits of a spline by scipy's Nelder-Mead."""

import json
import time

import numpy as np
import xarray

from jaxscale.phase.collapse import collapse
from jaxscale.phase.quality import quality

SIZES, X, TRUTH = np.array([16, 32, 64, 128.0]), np.linspace(0.3, 0.7, 21), (0.5, 1.33, 0.3)
STARTS = [(0.4, 0.7), (0.4, 2.5), (0.6, 0.7), (0.6, 2.5), (0.5, 1.0)]


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

    return minimize(cost, [*start, 0.0], method="Nelder-Mead", options={"maxiter": 600}).x


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
    inside = [abs(p[0] - TRUTH[0]) < 0.02 and abs(p[1] - TRUTH[1]) < 0.2 for p in others]
    line |= {"spline_seconds_for_264": 264 * one, "ours_over_spline": 264 * one / seconds,
             "spline_in_basin": float(np.mean(inside)),
             "spline_quality": [float(f"{score(values, errors, p):.3g}") for p in others]}  # fmt: skip
    print(json.dumps({k: float(f"{v:.4g}") if isinstance(v, float) else v for k, v in line.items()}))
