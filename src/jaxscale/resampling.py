"""Resampling over seeds gives every error bar right of the Dataset; the band of every interval is taken here."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

STATISTICS = ("mean", "median", "log mean")


def resample(
    values: np.ndarray, count: int, *, statistic: str = "mean", root: int = 0, groups: np.ndarray | None = None,
    crossed: tuple[int, int] | None = None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return a statistic over seeds and its bootstrap replicas, every point resampling its own seeds.

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
    if groups is not None or crossed is not None:
        best, replicas = _clustered(work, count, statistic, rng, groups, crossed)
    else:
        best, replicas = _alone(work, count, np.median if statistic == "median" else np.mean, rng)
    return (np.exp(best), np.exp(replicas)) if statistic == "log mean" else (best, replicas)


def _alone(
    work: np.ndarray, count: int, reduce: Callable[..., Any], rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return the statistic and its replicas where the seeds of a point are independent of those of every other."""
    best, replicas = np.full(len(work), np.nan), np.full((count, len(work)), np.nan)
    for i, row in enumerate(work):
        row = row[~np.isnan(row)]
        if len(row):
            best[i] = reduce(row)
            with np.errstate(invalid="ignore"):  # inf - inf where the median of censored times is undecided
                replicas[:, i] = reduce(row[rng.integers(0, len(row), (count, len(row)))], axis=1)
    return best, replicas


def _clustered(
    work: np.ndarray, count: int, statistic: str, rng: np.random.Generator, groups: np.ndarray | None,
    crossed: tuple[int, int] | None,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return the statistic and its replicas from whole clusters of runs: seeds that points share, or crossed seeds."""
    groups = np.arange(len(work)) if groups is None else np.asarray(groups)
    over: Any = np.nanmedian if statistic == "median" else np.nanmean
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


def _draw(rng: np.random.Generator, seeds: int, crossed: tuple[int, int] | None) -> np.ndarray:
    """Return (seeds,) indices of one resample: of the seeds, or of the rows and the columns of crossed ones."""
    if crossed is None:
        return rng.integers(0, seeds, seeds)
    a, b = crossed
    return (rng.integers(0, a, a)[:, None] * b + rng.integers(0, b, b)[None, :]).ravel()


def band(
    replicas: np.ndarray, *, level: float = 0.95, axis: int = 0, seeds: int | None = None, freedom: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the two ends of an interval from replicas: the percentiles that leave out (1 - level) / 2 on either side.

    Percentiles of a bootstrap of few seeds are too narrow by sqrt((n - p) / n) and know nothing of Student's t. Where `seeds`
    is given they are taken further out by as much ("expanded percentiles").

    Args:
      replicas: any shape; NaN replicas are left out.
      level: share of the replicas inside, between 0 and 1; 0.95 everywhere in jaxscale.
      axis: where the replicas are counted.
      seeds: how many seeds (or runs) each replica resampled; plain percentiles if None.
      freedom: degrees of freedom, the seeds less the parameters that were fitted to them; seeds - 1 if None.

    Returns:
      low and high, of the shape of the replicas without `axis`; NaN where there is no replica.

    Raises:
      ValueError: a level outside (0, 1).

    References:
      Hesterberg 2015, "What teachers should know about the bootstrap", The American Statistician 69, 371.
    """
    if not 0 < level < 1:
        raise ValueError(f"level must lie between 0 and 1, e.g. 0.95 for a 95 % band; got {level}.")
    values = np.moveaxis(np.asarray(replicas, np.float64), axis, 0)
    hole = np.isnan(values)
    some = ~hole.all(axis=0)
    ends = np.full((2, *values.shape[1:]), np.nan)
    if some.any():
        percentile = np.nanpercentile if hole.any() else np.percentile  # the same numbers; the former loops over columns
        ends[:, some] = percentile(values[:, some], _percents(level, seeds, freedom), axis=0)
    return ends[0], ends[1]


def _percents(level: float, seeds: int | None, freedom: int | None) -> tuple[float, float]:
    """Return the two percentages between which a band lies."""
    if seeds is None:
        return 50 - 50 * level, 50 + 50 * level
    from scipy import special

    free = max(seeds - 1 if freedom is None else freedom, 1)
    reach = special.stdtrit(free, 0.5 + 0.5 * level) * np.sqrt(seeds / free)
    return float(100 * special.ndtr(-reach)), float(100 * special.ndtr(reach))


def seed_dims(data: Any, over: str | Sequence[str]) -> tuple[str, ...]:
    """Return the dimensions to resample: those asked for, or the crossed ones where a sweep has these instead of "seed"."""
    if over == "seed" and "seed" not in data.dims and {"data", "init"} <= set(data.dims):
        return ("data", "init")
    return (over,) if isinstance(over, str) else tuple(over)


def clusters(data: Any, axes: Sequence[str], over: Sequence[str], points: np.ndarray) -> dict[str, Any]:
    """Return which runs must be resampled together, as options of `resample`.

    Args:
      data: DataArray of a sweep; its attribute "shared" names axes whose points share random numbers (`sweep(share=)`).
      axes: names of the coordinates of the points.
      over: dimensions that are resampled; two of them are crossed seeds.
      points: (axes, points) coordinates, or indices, of the points.

    Returns:
      "crossed" where there are two dimensions of seeds, and "groups" where points share their random numbers.
    """
    how: dict[str, Any] = {}
    if len(over) == 2:
        how["crossed"] = tuple(data.sizes[d] for d in over)
    shared = set(str(data.attrs.get("shared", "")).split(","))
    if shared & set(axes):
        own = np.array([points[i] for i, x in enumerate(axes) if x not in shared]).reshape(-1, points.shape[1])
        how["groups"] = np.unique(own, axis=1, return_inverse=True)[1].ravel() if len(own) else np.zeros(points.shape[1], int)
    return how
