"""Resampling over seeds: the source of every error bar right of the Dataset."""

import numpy as np

STATISTICS = ("mean", "median", "log mean")


def resample(values: np.ndarray, count: int, *, statistic: str = "mean", root: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A statistic over seeds and its bootstrap replicas, every point resampling its own seeds.

    Args:
      values: (points, seeds); NaN seeds (diverged, missing) are left out.
      count: bootstrap replicas.
      statistic: "mean", "median" (right for first-passage times with censored runs at infinity) or "log mean".
      root: seed of the resampling.

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
    best, replicas = np.full(len(work), np.nan), np.full((count, len(work)), np.nan)
    for i, row in enumerate(work):
        row = row[~np.isnan(row)]
        if len(row):
            best[i] = reduce(row)
            with np.errstate(invalid="ignore"):  # inf - inf where the median of censored times is undecided
                replicas[:, i] = reduce(row[rng.integers(0, len(row), (count, len(row)))], axis=1)
    return (np.exp(best), np.exp(replicas)) if statistic == "log mean" else (best, replicas)
