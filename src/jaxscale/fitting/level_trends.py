"""Extrapolate learning curves while they are measured: one fit per level, and when to stop.

Vilares, Darriba & Ribadas 2017, arXiv:2402.02515: the fit to the first l observations is the trend of level l; from the
prediction level on, its asymptotes fall, and their distance to the last observed point bounds what is still to come.
"""

import dataclasses

import numpy as np

from jaxscale.fitting.laws import learning_curve
from jaxscale.fitting.solver import solve

NAME = "iterated extrapolation of a learning curve, with prediction level and stopping condition"


@dataclasses.dataclass(frozen=True)
class Levels:
    """Hold the trends of every level of every seed.

    Attributes:
      level: (levels,) observations used.
      asymptote: (seeds, levels) limit of each trend, in units of y.
      layer: (seeds, levels) asymptote less the trend at the last observation used: what is still to come, at most.
      prediction: (seeds,) first level from which asymptotes stay below the ceiling and fall; -1 if none.
      stop: (seeds,) first level from there on whose layer is within the tolerance; -1 if none.
    """

    level: np.ndarray
    asymptote: np.ndarray
    layer: np.ndarray
    prediction: np.ndarray
    stop: np.ndarray


def levels(x: np.ndarray, y: np.ndarray, *, tolerance: float, ceiling: float = 100.0, smallest: int = 4) -> Levels:
    """Fit the trend of every level of every seed in one vmap, and return when to stop measuring.

    Args:
      x: (n,) training examples, increasing and positive.
      y: (seeds, n) or (n,) accuracies.
      tolerance: in units of y: stop when no more than this is to come.
      ceiling: the largest possible accuracy.
      smallest: observations of the first level, at least 4.

    Raises:
      ValueError: x that does not increase, or too few observations.
    """
    x, y = np.asarray(x, np.float64), np.atleast_2d(np.asarray(y, np.float64))
    if len(x) < smallest or smallest < 4 or y.shape[1] != len(x):
        raise ValueError(f"need at least {max(smallest, 4)} observations for the first level; got x {x.shape}, y {y.shape}.")
    if bad := np.argwhere(~np.isfinite(y)).tolist():
        raise ValueError(
            f"observations must be finite; y is not at (seed, observation) {bad[:5]}. Leave them out of x as well."
        )
    if np.any(x <= 0) or np.any(np.diff(x) <= 0):
        raise ValueError("x must be positive and increase: observations in the order of their training sets.")
    level = np.arange(smallest, len(x) + 1)
    used = (np.arange(len(x)) < level[:, None]).astype(np.float64)
    rows, weight = np.repeat(y, len(level), axis=0), np.tile(used, (len(y), 1))
    trends = solve(learning_curve.LAW, x, rows, weight, space="raw", iterations=40)
    limit, drop, exponent = trends.values.reshape(len(y), len(level), 3).transpose(2, 0, 1)
    layer = drop * x[level - 1] ** -exponent
    prediction = np.array([_from_here(row, ceiling) for row in limit])
    stop = np.full(len(y), -1)
    for i, start in enumerate(prediction):
        if start < 0:
            continue
        near = np.flatnonzero(layer[i, start:] <= tolerance)
        stop[i] = level[start + near[0]] if len(near) else -1
        prediction[i] = level[start]
    return Levels(level, limit, layer, prediction, stop)


def _from_here(limit: np.ndarray, ceiling: float) -> int:
    """Return the first index with limits below the ceiling and the next one lower; -1 if there is none."""
    good = (limit[:-1] < ceiling) & (np.diff(limit) <= 1e-9 * np.abs(limit[:-1]))
    return int(np.argmax(good)) if good.any() else -1
