"""Curves over one control parameter pass a level somewhere: where, by the process through their cells, and with what band."""

import numpy as np

from jaxscale.phase.cells import Cells
from jaxscale.phase.curve_process import Above, of_counts, of_values
from jaxscale.phase.passages import Passage, best_guess, hull, passages_of

PLACES, BETWEEN = 200, 8  # between all cells, and between two of them at least
MEMORY = 4_000_000  # numbers held at a time


def passed(x: np.ndarray, cells: Cells, *, log: bool = False, values: str = "any") -> list[tuple[list[Passage], float]]:
    """Return the passages of every curve, and a guess of the first where none is established.

    Args:
      x: (n,) control parameter, increasing.
      cells: what the runs gave.
      log: the control parameter is even in its logarithm.
      values: "log" for the logarithms of values; "any" to let the evidence choose where all are positive.
    """
    axis = np.log(x) if log else np.asarray(x, np.float64)
    unit = (axis - axis[0]) / (axis[-1] - axis[0])
    inside = max(BETWEEN, PLACES // len(x))
    places = np.unique(np.append((unit[:-1, None] + np.diff(unit)[:, None] * np.arange(inside) / inside).ravel(), 1.0))
    step = max(1, MEMORY // (len(x) * len(places)))
    found = []
    for start in range(0, len(cells.value), step):
        part = slice(start, start + step)
        above = _above(unit, cells, part, values, places)
        for i, score in enumerate(above.score):
            known = passages_of(places, score) if cells.known else []
            known = [_widened(p, unit, places, above.mean[i], cells, start + i) for p in known]
            slope = np.gradient(above.mean[i], places) / (axis[-1] - axis[0])
            known = [p._replace(slope=float(np.interp(p.position, places, slope))) for p in known]
            found.append(([_in_units(p, axis, log) for p in known], _guess(places, above.mean[i], cells, start + i, axis, log)))
    return found


def _guess(places: np.ndarray, mean: np.ndarray, cells: Cells, curve: int, axis: np.ndarray, log: bool) -> float:
    """Return where the mean curve first passes the level, if cells lie on both sides of it."""
    some = cells.trials[curve] > 0
    seen = cells.value[curve][some] - cells.level * (cells.trials[curve][some] if cells.outcomes else 1.0)
    both = some.any() and seen.min() <= 0 <= seen.max()
    return _unit(best_guess(places, mean), axis, log) if both else float("nan")


def _unit(at: float, axis: np.ndarray, log: bool) -> float:
    at = axis[0] + at * (axis[-1] - axis[0])
    return float(np.exp(at)) if log else float(at)


def _in_units(p: Passage, axis: np.ndarray, log: bool) -> Passage:
    position, low, high = (_unit(v, axis, log) for v in (p.position, p.low, p.high))
    return p._replace(position=position, low=low, high=high)


def _above(unit: np.ndarray, cells: Cells, part: slice, values: str, places: np.ndarray) -> Above:
    """Return where some of the curves are above the level; of positive values in the scale that the evidence prefers."""
    y = cells.value[part]
    if cells.outcomes:
        return of_counts(unit, y, cells.trials[part], cells.level, places)
    noise, positive = cells.covariance[part], np.all(y > 0, axis=1) & (cells.level > 0)
    if values == "log" and positive.all():
        return of_values(unit, *_logarithms(y, noise), np.log(cells.level), places)
    plain = of_values(unit, y, noise, cells.level, places)
    if not positive.any():
        return plain
    k = np.flatnonzero(positive)
    logs = of_values(unit, *_logarithms(y[k], noise[k]), np.log(cells.level), places)
    better = logs.evidence - np.log(y[k]).sum(axis=1) > plain.evidence[k]
    plain.score[k[better]], plain.mean[k[better]] = logs.score[better], logs.mean[better]
    return plain


def _logarithms(y: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return logarithms of positive values, and the covariance of their errors."""
    return np.log(y), noise / (y[:, :, None] * y[:, None, :])


def _widened(p: Passage, unit: np.ndarray, places: np.ndarray, mean: np.ndarray, cells: Cells, curve: int) -> Passage:
    """Return a passage whose band has at least the cells between which the curve steps."""
    if cells.outcomes:
        ones, runs = cells.value[curve], cells.trials[curve]
        seen = np.flatnonzero(runs > 0)
        sure = np.where(ones[seen] <= 0, -1, np.where(ones[seen] >= runs[seen], 1, 0)) * p.direction
        for a, b in zip(range(len(seen)), range(1, len(seen))):
            low, high = unit[seen[a]], unit[seen[b]]
            if sure[a] == -1 and sure[b] == 1 and low <= p.high and high >= p.low:
                return p._replace(low=min(p.low, low), high=max(p.high, high))
        return p
    y = np.interp(unit, places, mean)
    i = int(np.clip(np.searchsorted(unit, p.position) - 1, 0, len(unit) - 2))
    if not y[i] * y[i + 1] < 0:
        return p
    low, high = hull(unit, y, i)
    return p._replace(low=min(p.low, low), high=max(p.high, high))
