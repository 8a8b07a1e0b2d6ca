"""Resampling over seeds: the source of every error bar right of the Dataset."""

from collections.abc import Sequence
from typing import Any

import numpy as np

STATISTICS = ("mean", "median", "log mean")


def resample(
    values: np.ndarray, count: int, *, statistic: str = "mean", root: int = 0, groups: np.ndarray | None = None,
    crossed: tuple[int, int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """A statistic over seeds and its bootstrap replicas, every point resampling its own seeds.

    Args:
      values: (points, seeds); NaN seeds (diverged, missing) are left out.
      count: bootstrap replicas.
      statistic: "mean", "median" (right for first-passage times with censored runs at infinity) or "log mean".
      root: seed of the resampling.
      groups: (points,) points with the same number share their random numbers and are resampled together, seed by seed.
      crossed: (a, b) where the seeds are a draws of the disorder times b of everything else: draws are resampled, and not
        the runs, which are not independent.

    Returns:
      (points,) the statistic, and (count, points) its replicas. A point without any seed is NaN.

    Raises:
      ValueError: an unknown statistic, or a "log mean" of values that are not positive.
    """
    if statistic not in STATISTICS:
        raise ValueError(f"statistic must be one of {STATISTICS}; got {statistic!r}.")
    if statistic == "log mean" and np.any(values <= 0):
        raise ValueError("statistic='log mean' needs positive values; use 'mean' or 'median'.")
    rng = np.random.default_rng(root)
    work = np.log(values) if statistic == "log mean" else np.asarray(values, np.float64)
    reduce = np.median if statistic == "median" else np.mean
    if groups is not None or crossed is not None:
        best, replicas = _clustered(work, count, reduce, rng, groups, crossed)
        return (np.exp(best), np.exp(replicas)) if statistic == "log mean" else (best, replicas)
    best, replicas = np.full(len(work), np.nan), np.full((count, len(work)), np.nan)
    for i, row in enumerate(work):
        row = row[~np.isnan(row)]
        if len(row):
            best[i] = reduce(row)
            with np.errstate(invalid="ignore"):  # inf - inf where the median of censored times is undecided
                replicas[:, i] = reduce(row[rng.integers(0, len(row), (count, len(row)))], axis=1)
    return (np.exp(best), np.exp(replicas)) if statistic == "log mean" else (best, replicas)


def _clustered(work, count, reduce, rng, groups, crossed):
    """Whole clusters of runs: seeds that points share, or rows and columns of crossed seeds."""
    groups = np.arange(len(work)) if groups is None else np.asarray(groups)
    over: Any = np.nanmedian if reduce is np.median else np.nanmean
    best, replicas = np.full(len(work), np.nan), np.full((count, len(work)), np.nan)
    some = ~np.all(np.isnan(work), axis=1)
    best[some] = over(work[some], axis=1)
    for group in np.unique(groups):
        rows = np.flatnonzero((groups == group) & some)
        for replica in range(count if len(rows) else 0):
            picked = work[rows][:, _draw(rng, work.shape[1], crossed)]
            known = ~np.all(np.isnan(picked), axis=1)
            replicas[replica, rows[known]] = over(picked[known], axis=1)
    return best, replicas


def _draw(rng, seeds, crossed):
    """Indices of one resample of the seeds."""
    if crossed is None:
        return rng.integers(0, seeds, seeds)
    a, b = crossed
    return (rng.integers(0, a, a)[:, None] * b + rng.integers(0, b, b)[None, :]).ravel()


def seed_dims(data: Any, over: str | Sequence[str]) -> tuple[str, ...]:
    """The dimensions to resample: those asked for, or the crossed ones where a sweep has these instead of "seed"."""
    if over == "seed" and "seed" not in data.dims and {"data", "init"} <= set(data.dims):
        return ("data", "init")
    return (over,) if isinstance(over, str) else tuple(over)


def clusters(data: Any, axes: Sequence[str], over: Sequence[str], points: np.ndarray) -> dict[str, Any]:
    """Which runs must be resampled together: crossed seeds, and points that share their random numbers (`sweep(share=)`)."""
    how: dict[str, Any] = {}
    if len(over) == 2:
        how["crossed"] = tuple(data.sizes[d] for d in over)
    shared = set(str(data.attrs.get("shared", "")).split(","))
    if shared & set(axes):
        own = np.array([points[i] for i, x in enumerate(axes) if x not in shared]).reshape(-1, points.shape[1])
        how["groups"] = np.unique(own, axis=1, return_inverse=True)[1].ravel() if len(own) else np.zeros(points.shape[1], int)
    return how
