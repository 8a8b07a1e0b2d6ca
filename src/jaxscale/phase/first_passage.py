"""Find times to a threshold in recorded curves; they are censored where it is never reached, or where a run was lost."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxscale.resampling import seed_dims

if TYPE_CHECKING:
    import xarray

FAR = 1.2  # ratio of neighbouring records above which they are taken to be even in the logarithm


def time_to(
    data: "xarray.DataArray", threshold: float, *, above: bool = True, lasting: bool = False, interpolate: bool = True
) -> "xarray.DataArray":
    """Return when a curve passes a threshold.

    Records at 0, 10, 100 would make every time a power of ten: between the last record before the passage and the first after
    it the curve is followed in a straight line, over the logarithm of the step where records are that far apart.

    Args:
      data: DataArray with the dimension "time".
      threshold: level.
      above: passed when at or above it; otherwise at or below.
      lasting: the first step from which on it stays passed.
      interpolate: False for the first recorded step at which it has passed.

    Returns:
      DataArray without "time", in steps: infinite where the threshold is never reached (censored: use medians over seeds), NaN
      where the curve diverged before reaching it.

    Raises:
      ValueError: there is no "time", or no threshold.
    """
    if np.isnan(threshold):
        raise ValueError("time_to needs a threshold to pass; got nan.")
    if not hasattr(data, "values") or callable(data.values):
        raise ValueError(f"time_to takes one observable, e.g. runs['loss']; got a {type(data).__name__}.")
    if "time" not in data.dims:
        raise ValueError(f"the data have no dimension 'time'; got {list(data.dims)}. Pass curves, not their last values.")
    curve = data.transpose(..., "time")
    values, steps = np.asarray(curve.values, float), np.asarray(data["time"].values, float)
    passed = values >= threshold if above else values <= threshold
    if lasting:
        passed = np.flip(np.logical_and.accumulate(np.flip(passed, -1), axis=-1), -1)
    at = np.argmax(passed, axis=-1)
    when = _between(values, steps, at, threshold) if interpolate else steps[at]
    first = np.where(passed.any(-1), when, np.inf)
    first = np.where(np.isinf(first) & np.isnan(values).any(-1), np.nan, first)
    out = curve.isel(time=0, drop=True).copy(data=first)
    return out.rename(f"time to {data.name} {'>=' if above else '<='} {threshold:g}").assign_attrs(units="steps")


def _between(values: np.ndarray, steps: np.ndarray, at: np.ndarray, threshold: float) -> np.ndarray:
    """Return where curves (..., times) pass the threshold between the records before `at` and at it."""
    before = np.maximum(at - 1, 0)
    y0, y1 = (np.take_along_axis(values, i[..., None], -1)[..., 0] for i in (before, at))
    t0, t1 = steps[before], steps[at]
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.clip((threshold - y0) / (y1 - y0), 0, 1)
    share = np.where(np.isfinite(share), share, 1.0)  # an infinite or lost record before: the first that is known
    far = (t0 > 0) & (t1 > FAR * t0)
    with np.errstate(divide="ignore", invalid="ignore"):
        within = np.where(far, np.exp(np.log(t0) + share * np.log(t1 / np.where(far, t0, 1.0))), t0 + share * (t1 - t0))
    return np.where(share == 1, t1, within)


def survival(
    data: "xarray.DataArray", threshold: float, *, above: bool = True, over: str | Sequence[str] = "seed"
) -> "xarray.Dataset":
    """Return the share of runs that have not passed a threshold, and their median time, where some runs are lost or unfinished.

    The product-limit (life-table) estimate: runs that end without having passed, diverged (NaN) or out of time, count as long
    as they were watched. A median of the finished ones alone is too short; one that takes lost ones for infinite, too long.

    Args:
      data: DataArray with "time" and the dimension of the runs; NaN from where a run was lost.
      threshold: level.
      above: passed when at or above it; otherwise at or below.
      over: dimension of the runs.

    Returns:
      Dataset over the other dimensions: `survival` over "time" with its 95 % band `low`, `high` (log-log); `median` in steps,
      with `median_low` and `median_high`, infinite where the survival does not fall so far; `events` and `lost`, counts.

    References:
      Kaplan & Meier 1958, J. Am. Stat. Assoc. 53, 457; Greenwood's variance.
    """
    import xarray

    dims = seed_dims(data, over)
    rest = [d for d in data.dims if d not in (*dims, "time")]
    first = time_to(data, threshold, above=above, interpolate=False).transpose(*rest, *dims)
    curve = data.transpose(*rest, *dims, "time")
    steps = np.asarray(data["time"].values, float)
    shape = first.shape[: len(rest)]
    when = first.values.reshape(int(np.prod(shape)), -1)
    alive = np.isfinite(curve.values.astype(float)).reshape(*when.shape, len(steps))
    watched = np.where(alive.any(-1), len(steps) - 1 - np.argmax(alive[..., ::-1], axis=-1), -1)
    tables = [_life_table(w, last, steps) for w, last in zip(when, watched)]
    names = ("survival", "low", "high", "median", "median_low", "median_high", "events", "lost")
    columns = {name: np.array([table[name] for table in tables]) for name in names}
    variables = {
        name: ([*rest, "time"] if v.ndim == 2 else rest, v.reshape((*shape, *v.shape[1:]))) for name, v in columns.items()
    }
    coords = {d: data[d] for d in (*rest, "time") if d in data.coords}
    return xarray.Dataset(variables, coords, {"threshold": threshold})


def _life_table(when: np.ndarray, watched: np.ndarray, steps: np.ndarray) -> dict[str, np.ndarray | float]:
    """Return the life table of some runs from their first passed records, infinite or NaN without, and last seen records."""
    done = np.isfinite(when)
    place = np.searchsorted(steps, np.where(done, when, 0.0))
    deaths = np.bincount(place[done], minlength=len(steps)).astype(float)
    ended = np.bincount(watched[~done & (watched >= 0)], minlength=len(steps)).astype(float)
    lost = np.concatenate([[0.0], ended[:-1]])  # seen at a record and not at the next
    entered = np.sum(watched >= 0)
    risk = entered - np.concatenate([[0.0], np.cumsum(deaths + lost)[:-1]])
    exposed = np.maximum(risk - lost, 1e-12)  # whether a run that is lost before the next record had passed is not known
    hazard = np.clip(deaths / exposed, 0, 1)
    s = np.cumprod(1 - hazard)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = np.cumsum(np.where(deaths > 0, deaths / (exposed * np.maximum(exposed - deaths, 1e-12)), 0.0))
        reach = 1.96 * np.sqrt(variance) / np.abs(np.log(s))
        low, high = s ** np.exp(reach), s ** np.exp(-reach)
    edge = (s <= 0) | (s >= 1)
    low, high = np.where(edge, s, low), np.where(edge, s, high)
    return {
        "survival": s, "low": low, "high": high, "median": _half(steps, s), "median_low": _half(steps, low),
        "median_high": _half(steps, high), "events": deaths.sum(), "lost": float(entered - deaths.sum()),
    }  # fmt: skip


def _half(steps: np.ndarray, s: np.ndarray) -> float:
    """Return where a survival curve passes one half: its logarithm is a straight line between records."""
    at = np.flatnonzero(s <= 0.5)
    if not len(at):
        return float("inf")
    i = int(at[0])
    if i == 0 or s[i - 1] <= 0.5:
        return float(steps[i])
    y0, y1 = np.log(s[i - 1]), np.log(max(s[i], 1e-12))
    return float(steps[i - 1] + (np.log(0.5) - y0) / (y1 - y0) * (steps[i] - steps[i - 1]))
