"""Where two fitted laws cross, and whether they do: that is a ratio of differences, so its error is anything but normal."""

import dataclasses

import numpy as np

from jaxscale.fitting.result import Fit
from jaxscale.resampling import band

NAME = "where two laws cross, with P(no crossing)"

GRID = 2001
PAIRS = 2000


@dataclasses.dataclass(frozen=True)
class Crossover:
    """Say at which scale the order of two methods changes, if it does.

    Attributes:
      position: x of the first crossing of the best fits within the range; NaN if there is none.
      low: lower end of the 95 % band over the resamples that cross.
      high: upper end.
      none: share of the resamples without a crossing in the range.
      first_lower: share of the resamples in which the first law lies lower at the end of the range.
    """

    position: float
    low: float
    high: float
    none: float
    first_lower: float

    def __str__(self) -> str:
        where = f"{self.position:.3g}" if np.isfinite(self.position) else "none"
        return (
            f"crossing at {where} [{self.low:.3g}, {self.high:.3g}] (95 %), P(no crossing) {self.none:.2f}, "
            f"P(first lower at the end) {self.first_lower:.2f}"
        )


def crossover(first: Fit, second: Fit, *, to: float, start: float | None = None, root: int = 0) -> Crossover:
    """Cross two fits of one input, every resample of one with a resample of the other.

    Args:
      first: a fit with resamples.
      second: another, of the same quantity on independent runs.
      to: end of the range, the scale that matters.
      start: its beginning; the smallest x of both by default.
      root: seed of the pairing.

    Raises:
      ValueError: laws of several inputs, no resamples, or an empty range.
    """
    if len(first.law.inputs) != 1 or len(second.law.inputs) != 1:
        raise ValueError("a crossover needs laws of one input; fix the others first.")
    if not len(first.replicas) or not len(second.replicas):
        raise ValueError("both fits need bootstrap resamples; fit with resamples=400 or more, and several seeds or runs.")
    start = float(min(first.x.min(), second.x.min())) if start is None else start
    if not 0 < start < to:
        raise ValueError(f"the range must be positive and increasing; got {start:.4g} to {to:.4g}.")
    x = np.geomspace(start, to, GRID)
    rng = np.random.default_rng(root)
    drawn = [rng.integers(0, len(fit.replicas), PAIRS) for fit in (first, second)]
    ours, theirs = (_curves(fit, x, rows) for fit, rows in zip((first, second), drawn))
    best = _first_crossing(x, _curve(first, x) - _curve(second, x))
    gaps = [a - b for a, b in zip(ours, theirs)]
    crossings = np.array([_first_crossing(x, gap) for gap in gaps])
    low, high = band(crossings)
    none, lower = np.mean(np.isnan(crossings)), np.mean([gap[-1] < 0 for gap in gaps])
    return Crossover(best, float(low), float(high), float(none), float(lower))


def _curve(fit: Fit, x: np.ndarray, row: np.ndarray | None = None) -> np.ndarray:
    """Return the law of a fit at x, of its best parameters or of one row of replicas."""
    values = fit.values if row is None else dict(zip(fit.law.params, row))
    return fit.law.at(x[None], values)


def _curves(fit: Fit, x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return (rows, x): the law of these replicas. Each is worked out once, however often it was drawn."""
    own, place = np.unique(rows, return_inverse=True)
    return np.array([_curve(fit, x, fit.replicas[row]) for row in own])[place]


def _first_crossing(x: np.ndarray, gap: np.ndarray) -> float:
    """Return the first x where the gap changes its sign, interpolated in log x; NaN where it never does."""
    x, gap = x[gap != 0], gap[gap != 0]
    at = np.flatnonzero(gap[1:] * gap[:-1] < 0)
    if not len(at):
        return float("nan")
    i, part = at[0], gap[at[0]] / (gap[at[0]] - gap[at[0] + 1])
    return float(np.exp(np.log(x[i]) + part * (np.log(x[i + 1]) - np.log(x[i]))))
