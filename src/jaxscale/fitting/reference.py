"""The estimators M2 and M4 are made as their paper makes them: a local descent of log-excess residuals from below the data.

The objective has a spurious minimum at a limit of zero, and the local optimum near the smallest y is what the published
numbers are. For a fit without these properties use `laws.power_floor` and `laws.m4` with residuals in log y.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

from jaxscale.fitting.laws import m4

NAME = "M1 to M4 by their authors' own local procedures"

START = 1e-3  # distance of the limits from the data where the descent starts, in units of y
GRID = 4000
STEP = 0.02  # of the descent, in the logarithm of these distances


def m2(x: ArrayLike, y: ArrayLike) -> dict[str, float]:
    """Return the parameters of y - limit = amplitude x^-exponent where the squared residuals in log(y - limit) are lowest.

    A valley lies strictly between a limit of zero, which is a spurious optimum, and the smallest y, where the objective has a
    pole. Without one the limit is zero.

    Args:
      x: (n,) positive.
      y: (n,) positive.

    References:
      Alabdulmohsin, Neyshabur & Zhai 2022, arXiv:2209.06640, section 3 and appendix A.
    """
    x, y = _checked(x, y)
    design = np.stack([np.ones(len(x)), np.log(x)], axis=1)
    grid = y.min() - np.geomspace(START, y.min(), GRID)
    solutions = [np.linalg.lstsq(design, np.log(np.maximum(y - limit, 1e-300)), rcond=None)[0] for limit in grid]
    cost = np.array([np.sum((np.log(np.maximum(y - limit, 1e-300)) - design @ c) ** 2) for limit, c in zip(grid, solutions)])
    valleys = 1 + np.flatnonzero((cost[1:-1] < cost[:-2]) & (cost[1:-1] <= cost[2:]))
    at = valleys[np.argmin(cost[valleys])] if len(valleys) else GRID - 1
    return {
        "limit": float(max(grid[at], 0.0)),
        "amplitude": float(np.exp(solutions[at][0])),
        "exponent": float(-solutions[at][1]),
    }


def m4_local(x: ArrayLike, y: ArrayLike, *, chance: float | None = None) -> dict[str, float]:
    """Return the parameters of M4, as in `laws.m4`, by local descent of its log residuals.

    Args:
      x: (n,) positive.
      y: (n,) positive.
      chance: largest value of the plateau at small x: 1.001 for error rates; None for losses.

    References:
      As for `m2`.
    """
    x, y = _checked(x, y)
    from scipy.optimize import nnls

    def solved(z: tuple[float, float]) -> tuple[np.ndarray, float]:
        # log(y - limit) = log beta + alpha log(plateau - y) - c log x with all three coefficients >= 0, as in their code
        design = np.stack([np.ones(len(x)), np.log(np.maximum(z[1] - y, 1e-300)), -np.log(x)], axis=1)
        coefficients, norm = nnls(design, np.log(np.maximum(y - z[0], 1e-300)))
        return coefficients, norm**2

    room = np.log(1e3 * y.max()) if chance is None else np.log(max(chance - y.max(), START))

    def ends(z: np.ndarray) -> tuple[float, float]:
        return max(y.min() - np.exp(z[0]), 0.0), y.max() + np.exp(min(z[1], room))

    below = np.log(max(y.min() - m2(x, y)["limit"], START))
    limit, plateau = ends(_descend(lambda z: solved(ends(z))[1], [below, np.log(START)], np.log(y.min())))
    (level, bend, exponent), _ = solved((limit, plateau))
    return {"limit": float(limit), "span": float(plateau - limit), "amplitude": float(np.exp(level)),
            "exponent": float(exponent), "bend": float(bend)}  # fmt: skip


def predict(values: dict[str, float], x: ArrayLike) -> np.ndarray:
    """Return the law of `m2` or `m4_local` at x, (n,), for the parameters that they gave."""
    x = np.asarray(x, np.float64)
    if "bend" in values:
        return m4.LAW.at(x[None], values)
    return values["limit"] + values["amplitude"] * x ** -values["exponent"]


def _descend(objective: Callable[[np.ndarray], float], start: Sequence[float], most: float) -> np.ndarray:
    """Go downhill in the logarithms of the distances to the data, in steps small enough to find the next valley."""
    from scipy.optimize import minimize

    first = np.asarray(start)
    options = {"initial_simplex": np.vstack([first, first + STEP * np.eye(2)]), "maxiter": 2000, "xatol": 1e-8, "fatol": 1e-14}
    z = minimize(lambda z: objective(np.minimum(z, [most, np.inf])), first, method="Nelder-Mead", options=options).x
    return np.minimum(z, [most, np.inf])


def _checked(x: ArrayLike, y: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y as floats, or raise ValueError where they are too few or not positive."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.shape != y.shape or x.ndim != 1 or len(x) < 4 or np.any(x <= 0) or np.any(y <= 1e-3):
        raise ValueError("x and y must be at least 4 positive numbers each (y above .001).")
    return x, y
