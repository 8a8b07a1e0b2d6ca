"""Find where an observable passes a level, with a band from resampling the seeds."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxscale.resampling import band, clusters, resample, seed_dims

if TYPE_CHECKING:
    import xarray

ESTABLISHED = 0.9  # share of the resamples that must pass the level before a boundary has a band


def crossing(curve: "xarray.DataArray", *, along: str, level: float, scale: str = "linear") -> "xarray.DataArray":
    """Return where `curve` first passes `level` along one axis.

    Interpolation between the two grid points around the passage; seeds are not averaged here, average first.

    Args:
      curve: DataArray, any axes; `along` must be among them.
      along: the control parameter. Its coordinate must increase.
      level: value to pass, in the units of `curve`.
      scale: "linear", or "log" to interpolate both the coordinate and the curve in their logarithms.

    Returns:
      DataArray of positions, same axes less `along`, in the units of the coordinate; NaN where the level is never passed.

    Raises:
      ValueError: `along` is not an axis of `curve`, its coordinate does not increase, or a logarithm does not exist.

    >>> import xarray
    >>> float(crossing(xarray.DataArray([0.0, 1.0], {"x": [0.0, 1.0]}, "x"), along="x", level=0.25))
    0.25
    """
    x = _increasing(curve, along, scale, level)
    values = np.moveaxis(np.asarray(curve.values, np.float64), curve.get_axis_num(along), -1)
    position = _first_passage(x, values, level, scale)
    rest = [d for d in curve.dims if d != along]
    return type(curve)(position, {d: curve[d] for d in rest if d in curve.coords}, rest, name=along)


def boundary(
    data: "xarray.DataArray",
    *,
    along: str,
    level: float,
    over: str | Sequence[str] = "seed",
    statistic: str = "mean",
    scale: str = "linear",
    resamples: int = 400,
    root: int = 0,
) -> "xarray.Dataset":
    """Return a phase boundary with its band: where the statistic over seeds passes `level` along one control parameter.

    Args:
      data: DataArray with dims `along`, `over` and any others. Set censored first-passage times to infinity and use
        statistic="median": they are then never averaged as if they had finished.
      along: the control parameter to cross.
      level: value to pass.
      over: dimension to resample; ("data", "init") of crossed seeds resamples draws. Axes that the sweep was told to `share`
        are resampled together.
      statistic: "mean", "median" or "log mean".
      scale: as for `crossing`.
      resamples: bootstrap resamples.
      root: seed of the resampling.

    Returns:
      Dataset over the other dims: `position`, its 95 % band `low` and `high`, its standard error `error`, and `crossed`,
      the share of resamples that pass the level at all. Where that is below 0.9 the band is NaN: the boundary is not
      established there.
    """
    import xarray

    x = _increasing(data, along, scale, level)
    dims = seed_dims(data, over)
    if missing := [d for d in dims if d not in data.dims]:
        raise ValueError(f"over='{missing[0]}' is no axis of the data; choose from {list(data.dims)}.")
    rest = [d for d in data.dims if d != along and d not in dims]
    array = np.asarray(data.transpose(*rest, along, *dims).values, np.float64)
    shape = array.shape[: len(rest)]
    cells = np.indices((*shape, len(x))).reshape(len(rest) + 1, -1)
    together = clusters(data, [*map(str, rest), along], dims, cells)
    values = array.reshape(cells.shape[1], -1)
    best, replicas = resample(values, resamples, statistic=statistic, root=root, **together)
    position = _first_passage(x, best.reshape(*shape, len(x)), level, scale)
    passages = _first_passage(x, replicas.reshape(resamples, *shape, len(x)), level, scale)
    crossed = np.mean(np.isfinite(passages), axis=0)
    settled = crossed >= ESTABLISHED
    low, high = band(np.where(settled, passages, np.nan))
    spread = np.nanstd(np.where(settled, passages, 0.0), axis=0, ddof=1)  # 0: a column of nothing but NaN would warn
    variables = {
        "position": position,
        "low": low,
        "high": high,
        "error": np.where(settled, spread, np.nan),
        "crossed": crossed,
    }
    attrs = {"along": along, "level": level, "observable": str(data.name or "")}
    return xarray.Dataset({k: (rest, v) for k, v in variables.items()}, {d: data[d] for d in rest}, attrs)


def _increasing(data: "xarray.DataArray", along: str, scale: str, level: float) -> np.ndarray:
    """Return the coordinate to cross, or raise ValueError where it does not increase or a logarithm does not exist."""
    if along not in data.dims:
        raise ValueError(f"along='{along}' is no axis of the data; choose from {list(data.dims)}.")
    if scale not in ("linear", "log"):
        raise ValueError(f"scale must be 'linear' or 'log'; got {scale!r}.")
    x = np.asarray(data[along].values, np.float64)
    if np.any(np.diff(x) <= 0):
        raise ValueError(f"the coordinate '{along}' must increase; got {x.tolist()[:8]}. Use .sortby('{along}').")
    if scale == "log" and x[0] <= 0:
        raise ValueError(f"scale='log' needs a positive '{along}'; got {x[0]}.")
    if scale == "log" and not (level > 0 and np.all(~(data.values <= 0))):
        raise ValueError(f"scale='log' needs a positive level and positive values; got level={level}. Use scale='linear'.")
    return x


def _first_passage(x: np.ndarray, values: np.ndarray, level: float, scale: str) -> np.ndarray:
    """Return the first x where `values` (..., len(x)) pass `level`, NaN if never; infinities count as beyond any level."""
    above = values >= level
    passed = (above[..., 1:] != above[..., :-1]) & ~np.isnan(values[..., 1:]) & ~np.isnan(values[..., :-1])
    if scale == "log":
        x, level = np.log(x), np.log(level)
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.log(values)
    i = np.argmax(passed, axis=-1)
    y0 = np.take_along_axis(values, i[..., None], -1)[..., 0]
    y1 = np.take_along_axis(values, i[..., None] + 1, -1)[..., 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (level - y0) / (y1 - y0)
    share = np.where(np.isfinite(y0) & np.isfinite(y1), share, 0.5)  # next to a censored cell: half-way
    position = x[i] + np.clip(share, 0, 1) * (x[i + 1] - x[i])
    position = np.exp(position) if scale == "log" else position
    return np.where(passed.any(axis=-1), position, np.nan)
