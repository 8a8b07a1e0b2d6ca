"""Boundaries of success probabilities come from counts: what `boundary` does with 0/1 runs, where only their sums are kept."""

from typing import TYPE_CHECKING

import numpy as np

from jaxscale.phase.boundaries import check_options, increasing
from jaxscale.phase.cells import Cells
from jaxscale.phase.curve_passages import passed
from jaxscale.phase.passages import table_of

if TYPE_CHECKING:
    import xarray


def success_boundary(
    successes: "xarray.DataArray", trials: "xarray.DataArray", *, along: str, level: float = 0.5, scale: str = "linear",
    direction: str = "any", passages: int | None = None,
) -> "xarray.Dataset":  # fmt: skip
    """Return where the probability of success passes `level`, with a band from the counts.

    Nothing is assumed of the curve but that its log odds are a line with departures of unknown size and length: the band
    holds for logistic, probit and complementary log-log curves alike.

    Args:
      successes: DataArray of counts, with the dimension `along` and any others.
      trials: DataArray of counts of the same dims: runs that ended, censored ones left out.
      along: the control parameter, increasing; at least three values.
      level: probability.
      scale: "log" where the control parameter is even in its logarithm.
      direction: "up", "down" or "any": which passages are returned.
      passages: how many, along a dimension "passage"; None for the first, without the dimension.

    Returns:
      Dataset as of `jaxscale.boundary`, with `slope` of the log odds at the passage, per unit of `along` (of its logarithm with
      scale="log"). NaN where the passage is not established.

    Raises:
      ValueError: more successes than trials, a missing dimension, or a control parameter that does not increase.
    """
    import xarray

    x = increasing(successes, along, "linear", level)
    check_options(x, along, "mean", direction, passages)
    if scale not in ("linear", "log") or (scale == "log" and x[0] <= 0):
        raise ValueError(f"scale must be 'linear', or 'log' with a positive '{along}'; got {scale!r} from {x[0]}.")
    rest = [d for d in successes.dims if d != along]
    if set(trials.dims) != set(successes.dims):
        raise ValueError(f"successes and trials must have the same dimensions; got {successes.dims} and {trials.dims}.")
    k, n = (np.asarray(a.transpose(*rest, along).values, np.float64) for a in (successes, trials))
    if np.any(k > n) or np.any(k < 0) or not 0 < level < 1:
        raise ValueError("need 0 <= successes <= trials in every cell, and a level strictly between 0 and 1.")
    shape = k.shape[:-1]
    k, n = k.reshape(-1, len(x)), n.reshape(-1, len(x))
    curves = passed(x, Cells(True, k, n, np.zeros((*k.shape, len(x))), level, True), log=scale == "log")
    table = table_of(curves, shape, direction=direction, passages=passages, slope=True)
    inner = [*rest, "passage"] if passages else rest
    coords = {d: successes[d] for d in rest if d in successes.coords}
    attrs = {"along": along, "level": level}
    return xarray.Dataset({name: (rest if name == "count" else inner, v) for name, v in table.items()}, coords, attrs)
