"""The runs of every cell of a diagram become what a band is made of: counts of outcomes, or means and their covariances."""

from typing import NamedTuple

import numpy as np

from jaxscale.phase.passages import REACH
from jaxscale.resampling import resample
from jaxscale.variance_models import known_with, modelled, of_means

RESAMPLES = 400  # for the variance of medians
UNKNOWN = 1e6  # variance of a cell without runs, over that of the values


class Cells(NamedTuple):
    """Hold the cells of some curves.

    Attributes:
      outcomes: runs are 0 or 1, or were made so (a median of runs that need not end).
      value: (curves, n) successes, or the statistic.
      trials: (curves, n) runs of a cell; correlated ones count for less.
      covariance: (curves, n, n) of the statistics' errors; zeros for outcomes.
      level: in the units of the values.
      known: whether the seeds tell the errors; a single seed of real values does not.
    """

    outcomes: bool
    value: np.ndarray
    trials: np.ndarray
    covariance: np.ndarray
    level: float
    known: bool


def cells_of(
    runs: np.ndarray, x: np.ndarray, level: float, *, statistic: str, crossed: tuple[int, int] | None, shared: bool, root: int
) -> Cells:  # fmt: skip
    """Return the cells of curves from their runs.

    Args:
      runs: (curves, n, seeds); NaN is no run.
      x: (n,) control parameter, for variances that depend on it.
      level: that the curves pass; logarithmic for statistic="log mean", whose runs are logarithms.
      statistic: "mean" or "median".
      crossed: (a, b) where seeds are a draws of the disorder times b of everything else.
      shared: cells of a curve share their random numbers.
      root: seed of the resampling of medians.
    """
    trials = np.sum(~np.isnan(runs), axis=2).astype(np.float64)
    outcomes = statistic == "mean" and 0 < level < 1 and bool(np.all(np.isnan(runs) | (runs == 0) | (runs == 1)))
    if statistic == "median" and not outcomes:
        flat = runs.reshape(-1, runs.shape[2])
        best, replicas = resample(flat, RESAMPLES, statistic="median", root=root)
        if np.isinf(best).any():  # the median is beyond the level where half of the runs are
            runs, level, outcomes = np.where(np.isnan(runs), np.nan, runs >= level), 0.5, True
        else:
            return _of_medians(best, replicas, runs.shape, trials, x, level)
    mean = np.where(trials > 0, np.nansum(runs, axis=2) / np.maximum(trials, 1), np.nan)
    own, freedom = of_means(runs, mean, trials, crossed)
    if outcomes:
        plain = _weighted(mean * (1 - mean), trials, own)
        worth = 1.0 if crossed is None or plain <= 0 else max(float(_weighted(own * trials, trials, own)) / plain, 1.0)
        trials = trials / worth
        return Cells(True, np.nan_to_num(mean) * trials, trials, np.zeros((*mean.shape, mean.shape[1])), level, True)
    if crossed is None:
        freedom = np.array([known_with(one, free) for one, free in zip(runs, freedom)])
    variance, free = _modelled(own * np.maximum(trials, 1), freedom, mean, x)
    return _assembled(mean, variance / np.maximum(trials, 1), free, trials, _correlation(runs, mean) if shared else 0.0, level)


def _weighted(values: np.ndarray, trials: np.ndarray, own: np.ndarray) -> float:
    some = np.isfinite(own) & (trials > 1)
    return float(np.average(values[some], weights=trials[some])) if some.any() else 0.0


def _of_medians(
    best: np.ndarray, replicas: np.ndarray, shape: tuple[int, ...], trials: np.ndarray, x: np.ndarray, level: float
) -> Cells:  # fmt: skip
    """Return cells of finite medians, whose variances come from resampling."""
    median = best.reshape(shape[:2])
    with np.errstate(invalid="ignore"):
        own = np.where(np.isfinite(replicas), replicas, np.nan).var(axis=0, ddof=1).reshape(shape[:2])
    variance, free = _modelled(own * np.maximum(trials, 1), trials - 1, median, x)
    return _assembled(median, variance / np.maximum(trials, 1), free, trials, 0.0, level)


def _modelled(own: np.ndarray, freedom: np.ndarray, mean: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (curves, n) modelled variances of one run, and their degrees of freedom, each curve by itself."""
    variance, free = np.empty(own.shape), np.empty(own.shape)
    for i in range(len(own)):
        covariates = [x, np.log(np.abs(mean[i]))] if np.all(np.nan_to_num(np.abs(mean[i])) > 0) else [x]
        found = modelled(own[i], freedom[i], covariates)
        variance[i], free[i] = found.variance, found.freedom
    return variance, free


def _correlation(runs: np.ndarray, mean: np.ndarray) -> float:
    """Return the mean correlation between cells of a curve that share their random numbers, seed by seed."""
    gap = np.nan_to_num(runs - mean[..., None])
    gap = gap / np.maximum(np.sqrt(np.mean(gap**2, axis=2, keepdims=True)), 1e-300)
    n = runs.shape[1]
    whole = np.einsum("cns,cns->c", gap.sum(axis=1, keepdims=True), gap.sum(axis=1, keepdims=True)) / runs.shape[2]
    return float(np.clip(np.mean((whole - n) / (n * (n - 1))), 0, 0.999))


def _assembled(
    value: np.ndarray, variance: np.ndarray, freedom: np.ndarray, trials: np.ndarray, alike: float, level: float
) -> Cells:
    """Return cells of values, their variances widened by Student's t; those without runs say nothing."""
    from scipy import special

    known = bool(np.any(freedom > 0))
    variance = variance * (special.stdtrit(np.maximum(freedom, 1.0), 0.975) / REACH) ** 2
    deviation = np.sqrt(variance)
    n = value.shape[1]
    covariance = deviation[:, :, None] * deviation[:, None, :] * (alike + (1 - alike) * np.eye(n))
    empty = ~np.isfinite(value)
    if empty.any():
        usual = np.nansum(value, axis=1, keepdims=True) / np.maximum(np.sum(~empty, axis=1, keepdims=True), 1)
        value = np.where(empty, usual, value)
        size = np.var(value, axis=1) + 1e-30
        covariance = np.where(empty[:, :, None] | empty[:, None, :], 0.0, covariance)
        i, j = np.nonzero(empty)
        covariance[i, j, j] = UNKNOWN * size[i]
    return Cells(False, value, trials, covariance, level, known)
