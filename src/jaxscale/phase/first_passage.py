"""Find times to a threshold in recorded curves; they are censored where it is never reached."""

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import xarray


def time_to(data: "xarray.DataArray", threshold: float, *, above: bool = True, lasting: bool = False) -> "xarray.DataArray":
    """Return the first recorded step at which a curve has passed a threshold.

    Args:
      data: DataArray with the dimension "time".
      threshold: level.
      above: passed when at or above it; otherwise at or below.
      lasting: the first step from which on it stays passed.

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
    first = np.where(passed.any(-1), steps[np.argmax(passed, axis=-1)], np.inf)
    first = np.where(np.isinf(first) & np.isnan(values).any(-1), np.nan, first)
    out = curve.isel(time=0, drop=True).copy(data=first)
    return out.rename(f"time to {data.name} {'>=' if above else '<='} {threshold:g}").assign_attrs(units="steps")
