"""reduce="median": the median over seeds with its exact interval. Every run is stored; the result holds a row per grid
point.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy.special import bdtr

from jaxscale.engine.ask.grid import Grid
from jaxscale.engine.ask.reduction import Columns
from jaxscale.engine.keep.pieces import RunsPiece
from jaxscale.engine.keep.reductions.every_run import EveryRun, by_lane
from jaxscale.shapes import Bool, Float, Int, Numbers, Shaped

STATISTICS = ["median", "low", "high"]


@dataclasses.dataclass(frozen=True)
class Median(EveryRun):
    """The median of the runs that have not diverged by then, and a 95 % interval that assumes nothing of their distribution."""

    name = "median"  # type: ignore[assignment]
    reserved = frozenset({"statistic", "runs", "diverged"})
    by_run = False

    def check(self, grid: Grid) -> None:
        """Raise ValueError for crossed seeds, which are not independent."""
        if grid.shared_disorder:
            raise ValueError("reduce='median' needs one seed axis; got seeds={'data', 'init'}. Use a number of seeds.")

    def columns(self, grid: Grid, static: Mapping[str, Any], pieces: Sequence[RunsPiece], times: np.ndarray) -> Columns:
        """Return (cells, times, 3) of every observable, and (cells, times) how many runs there are and have diverged."""
        by_run, there = by_lane(grid, static, pieces)
        shape = (grid.cells, grid.seeds_per_cell)
        bad_at = by_run.pop("diverged_at", np.full(there.shape, -1, np.int32)).reshape(*shape, 1)
        gone = (bad_at >= 0) & (times >= bad_at)
        there = np.broadcast_to(there.reshape(*shape, 1), gone.shape)
        columns: Columns = {}
        for name, values in by_run.items():
            columns[name] = ("time", "statistic"), median_interval(values.reshape(gone.shape), there & ~gone)
        columns["runs"] = ("time",), there.sum(1)
        columns["diverged"] = ("time",), (there & gone).sum(1)
        return columns

    def coordinates(self) -> dict[str, list[Any]]:
        """Return the names of the three statistics."""
        return {"statistic": STATISTICS}


def median_interval(
    values: Shaped[Numbers, "cells seeds *rest"], sound: Bool[Numbers, "cells seeds *rest"]
) -> Float[Numbers, "cells *rest 3"]:
    """Return the median along axis 1 and a 95 % interval of the true one between two order statistics, stacked in a last axis.

    With n independent values the k-th smallest and the k-th largest hold the true median with probability
    1 - 2 P(Binomial(n, 1/2) < k), whatever the distribution; k is the largest with at least 95 %. There is none below n = 6.

    Args:
      values: (cells, seeds, ...); a value that is not a number makes the median none.
      sound: same shape; False values are left out.

    Returns:
      (cells, ..., 3) median, low, high; NaN where there is none.

    References:
      David & Nagaraja, Order Statistics, 3rd ed. (2003), section 7.1.
    """
    runs = np.sort(np.where(sound, values.astype(np.float64), np.inf), axis=1)  # those left out, and NaN after them, come last
    count = sound.sum(1)
    lost = (sound & np.isnan(values)).any(1)

    def ordered(rank: np.ndarray) -> np.ndarray:
        place = np.clip(rank, 0, runs.shape[1] - 1)
        return np.take_along_axis(runs, place[:, None], 1)[:, 0]

    rank = ranks(int(count.max(initial=0)))[count]
    median = np.where(count > 0, (ordered((count - 1) // 2) + ordered(count // 2)) / 2, np.nan)
    low, high = (np.where(rank > 0, ordered(r), np.nan) for r in (rank - 1, count - rank))
    return np.where(lost[..., None], np.nan, np.stack([median, low, high], axis=-1))


def ranks(largest: int) -> Int[Numbers, " {largest}+1"]:
    """Return, for n = 0 .. largest values, the k of the interval's order statistics; 0 where n is too small for one."""
    n = np.arange(largest + 1)
    k = np.arange(1, largest // 2 + 1)
    return (bdtr(k[None, :] - 1, n[:, None], 0.5) <= 0.025).sum(1) if len(k) else np.zeros(largest + 1, int)


REDUCTIONS = (Median(),)
