"""Errors of points from their seeds: variances from a model of all points, and draws of what other seeds would have given.

Weights by each point's own three seeds favour those that agree by chance, and intervals from resampling three seeds hold the
truth three times in four. Both come from a model of the variance here (`jaxscale.variance_models`), and the draws are normal.
"""

from typing import NamedTuple

import numpy as np

from jaxscale.resampling import resample
from jaxscale.variance_models import Modelled, known_with, modelled, of_means

MEDIANS = 400  # resamples for the variance of a median
EXACT = 1e-12  # relative error below which points have no noise


class Drawn(NamedTuple):
    """Hold the errors of points, and draws of them.

    Attributes:
      error: (n,) standard error of each point, in its units; zeros where seeds agree, or there is one.
      weight: (n,) one over the variance of the residuals.
      replicas: (count, n) points.
      weights: (count, n) weights that go with each, or None where all are the same.
      freedom: degrees of freedom of the errors.
      model: of the variance, in words.
    """

    error: np.ndarray
    weight: np.ndarray
    replicas: np.ndarray
    weights: np.ndarray | None
    freedom: float
    model: str


def redrawn(
    points: np.ndarray, best: np.ndarray, values: np.ndarray, *, statistic: str, space: str, positive: list[bool],
    crossed: tuple[int, int] | None, groups: np.ndarray | None, count: int, root: int,
) -> Drawn:  # fmt: skip
    """Return the errors of points from their seeds, and draws with these errors.

    Args:
      points: (inputs, n).
      best: (n,) statistic over seeds.
      values: (n, seeds), NaN where a run was lost.
      statistic: "mean", "median" or "log mean".
      space: of the fit.
      positive: which inputs have logarithms.
      crossed: (a, b) of crossed seeds.
      groups: (n,) points with the same number share their random numbers.
      count: draws.
      root: seed of them.
    """
    relative = np.log(values) if statistic == "log mean" else values
    variance, freedom = _of_points(relative, statistic, crossed, root)
    if statistic == "log mean":
        variance = variance * best**2
    unit = np.abs(best) if space == "log" else np.ones(len(best))
    trials = np.sum(~np.isnan(values), axis=1)
    covariates = [np.log(row) if up else row for row, up in zip(points, positive)]
    covariates += [np.log(np.abs(best))] if np.all(best != 0) else []
    model = modelled(variance / unit**2 * trials, freedom, covariates)
    scale = np.sqrt(model.variance / np.maximum(trials, 1))  # of the residuals
    if not np.any(scale > EXACT) or not count:
        weight = 1 / scale**2 if np.all(scale > EXACT) else np.ones(len(best))
        error = scale * unit if np.all(scale > EXACT) else np.zeros(len(best))
        return Drawn(error, weight, np.zeros((0, len(best))), None, 0.0, model.name)
    rng = np.random.default_rng(root)
    weights = trials / np.maximum(model.again(rng, count), 1e-300) if model.name != "pooled" else None
    noise = scale * (rng.normal(size=(count, len(best))) if groups is None else _together(rng, count, values, groups))
    replicas = best * np.exp(noise) if space == "log" else best + noise
    return Drawn(scale * unit, 1 / scale**2, replicas, weights, _freedom(model, values.shape[1], groups), model.name)


def _of_points(values: np.ndarray, statistic: str, crossed: tuple[int, int] | None, root: int) -> tuple[np.ndarray, np.ndarray]:
    """Return (n,) variances of the statistic by each point's own seeds, and their degrees of freedom."""
    trials = np.sum(~np.isnan(values), axis=1).astype(np.float64)
    if statistic == "median":
        _, replicas = resample(values, MEDIANS, statistic="median", root=root)
        replicas = np.where(np.isfinite(replicas), replicas, np.nan)
        known = np.sum(np.isfinite(replicas), axis=0) > 1
        variance = np.full(len(values), np.nan)
        variance[known] = np.nanvar(replicas[:, known], axis=0, ddof=1)
        return variance, np.maximum(trials - 1, 0)
    variance, freedom = of_means(values, np.nansum(values, axis=1) / np.maximum(trials, 1), trials, crossed)
    return variance, freedom if crossed else known_with(values, freedom)


def _freedom(model: Modelled, seeds: int, groups: np.ndarray | None) -> float:
    """Return degrees of freedom of the errors: of the model, or of the seeds where all points move together."""
    if groups is not None and len(np.unique(groups)) < len(groups):
        return float(seeds - 1)
    return float(np.median(model.freedom))


def _together(rng: np.random.Generator, count: int, values: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Return (count, n) errors of size 1 with the correlations of points that share their random numbers, seed by seed."""
    gap = np.nan_to_num(values - np.nanmean(values, axis=1, keepdims=True))
    gap = gap / np.maximum(np.linalg.norm(gap, axis=1, keepdims=True), 1e-300)
    noise = np.empty((count, len(values)))
    for group in np.unique(groups):
        rows = groups == group
        noise[:, rows] = rng.normal(size=(count, values.shape[1])) @ gap[rows].T
    return noise
