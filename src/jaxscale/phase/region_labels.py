"""Find the lines of steepest change, where no level is natural; and say which region a cell is in, if its seeds can tell."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxscale.resampling import band, resample

if TYPE_CHECKING:
    import xarray

UNDECIDED = -1


def steepest(
    data: "xarray.DataArray", *, along: str, over: str = "seed", statistic: str = "mean", scale: str = "linear",
    resamples: int = 400, root: int = 0,
) -> "xarray.Dataset":  # fmt: skip
    """Return where the statistic over seeds changes fastest along one control parameter, with its band.

    Slopes between neighbouring grid points; the largest in size, refined by the parabola through it and its two neighbours.

    Args:
      data: DataArray with dims `along`, `over` and any others.
      along: the control parameter; its coordinate must increase, and have at least 4 values.
      over: dimension to resample.
      statistic: "mean", "median" or "log mean".
      scale: "linear", or "log" for slopes against the logarithm of the coordinate.
      resamples: bootstrap resamples.
      root: seed of the resampling.

    Returns:
      Dataset over the other dims: `position`, its 95 % band `low` and `high`, `error`, and `slope` there (signed).

    Raises:
      ValueError: a missing dimension, a coordinate that does not increase, or too few values.
    """
    import xarray

    for name in (along, over):
        if name not in data.dims:
            raise ValueError(f"'{name}' is no dimension of the data; choose from {list(data.dims)}.")
    x = np.asarray(data[along].values, float)
    if len(x) < 4 or np.any(np.diff(x) <= 0) or (scale == "log" and x[0] <= 0):
        raise ValueError(f"'{along}' needs at least 4 increasing values, positive for scale='log'; got {x.tolist()[:8]}.")
    rest = [d for d in data.dims if d not in (along, over)]
    array = np.asarray(data.transpose(*rest, along, over).values, float)
    best, replicas = resample(array.reshape(-1, array.shape[-1]), resamples, statistic=statistic, root=root)
    u, shape = np.log(x) if scale == "log" else x, array.shape[:-2]
    position, slope = _steepest(u, best.reshape(*shape, len(x)))
    places = _steepest(u, replicas.reshape(resamples, *shape, len(x)))[0]
    back = np.exp if scale == "log" else np.asarray
    known = np.isfinite(places).mean(axis=0) >= 0.9
    low, high = band(np.where(known, places, np.nan))
    spread = np.where(known, np.nanstd(back(np.where(known, places, 0.0)), axis=0), np.nan)
    columns = {"position": back(position), "low": back(low), "high": back(high), "error": spread, "slope": slope}
    attrs = {"along": along, "observable": str(data.name or "")}
    return xarray.Dataset({k: (rest, v) for k, v in columns.items()}, {d: data[d] for d in rest}, attrs)


def _steepest(u: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return position and value of the slope of largest size along the last axis; NaN where a curve has a hole."""
    slope, middle = np.diff(y, axis=-1) / np.diff(u), (u[1:] + u[:-1]) / 2
    size = np.where(np.isfinite(slope), np.abs(slope), -1.0)
    at = np.argmax(size, axis=-1)
    inner = np.clip(at, 1, len(middle) - 2)
    before, here, after = (np.take_along_axis(size, (inner + k)[..., None], -1)[..., 0] for k in (-1, 0, 1))
    left, right = middle[inner] - middle[inner - 1], middle[inner + 1] - middle[inner]
    with np.errstate(divide="ignore", invalid="ignore"):
        bend = (after - here) / right - (here - before) / left  # peak of the parabola through three points
        tilt = (after - here) / right * left + (here - before) / left * right
        shift = np.where((bend < 0) & (at == inner), -tilt / (2 * bend), 0.0)
    place = np.where(at == inner, middle[inner] + np.clip(shift, -left / 2, right / 2), middle[at])
    whole = np.all(np.isfinite(y), axis=-1)
    value = np.take_along_axis(slope, at[..., None], -1)[..., 0]
    return np.where(whole, place, np.nan), np.where(whole, value, np.nan)


def regions(
    data: "xarray.DataArray", *, levels: Sequence[float], names: Sequence[str] = (), over: str = "seed",
    statistic: str = "mean", resamples: int = 400, root: int = 0,
) -> "xarray.DataArray":  # fmt: skip
    """Return which region each cell is in, by the levels its statistic lies between; undecided where the seeds cannot tell.

    Args:
      data: DataArray with the dimension `over`.
      levels: increasing; n levels part n + 1 regions.
      names: of the regions, from low to high values; numbered if empty.
      over: dimension to resample.
      statistic: over seeds.
      resamples: bootstrap resamples.
      root: seed of the resampling.

    Returns:
      DataArray of int over the other dims: 0 to n, or -1 where the 95 % interval holds a level or there is no value; the
      names stand in its attrs.

    Raises:
      ValueError: levels that do not increase, or not one name a region.
    """
    if over not in data.dims:
        raise ValueError(f"over='{over}' is no dimension of the data; choose from {list(data.dims)}.")
    bars = np.asarray(levels, float).ravel()
    if not len(bars) or np.any(np.diff(bars) <= 0):
        raise ValueError(f"levels must be increasing numbers, at least one; got {list(levels)}.")
    if names and len(names) != len(bars) + 1:
        raise ValueError(f"{len(bars)} levels part {len(bars) + 1} regions; got {len(names)} names.")
    rest = [d for d in data.dims if d != over]
    array = np.asarray(data.transpose(*rest, over).values, float)
    best, replicas = resample(array.reshape(-1, array.shape[-1]), resamples, statistic=statistic, root=root)
    known = np.isfinite(best) & np.isfinite(replicas).all(axis=0)
    low, high = band(np.where(known, replicas, np.nan))
    first, last = np.searchsorted(bars, low, side="right"), np.searchsorted(bars, high, side="right")
    label = np.where(known & (first == last), first, UNDECIDED).reshape(array.shape[:-1])
    named = {"names": list(names) or [str(i) for i in range(len(bars) + 1)], "undecided": UNDECIDED}
    coords = {d: data[d] for d in rest if d in data.coords}
    return type(data)(label, coords, rest, name="region", attrs=named)
