"""Passages of a level are read off a score: how surely a curve is above the level, along the control parameter.

Where the score is beyond +-1.96 the curve is above or below the level at 95 %; in between it is undecided. A passage is an
undecided stretch between a decided "below" and a decided "above": its ends are its band. For a curve that passes once the
chance of having passed before x is the chance of being beyond the level at x, so the band is a 95 % band of the place.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

REACH = 1.959963984540054
FLAT = 0.25  # see `hull`
ESTABLISHED, SEVERAL, NOT = "established", "several", "not established"


class Passage(NamedTuple):
    """Hold one passage of one curve.

    Attributes:
      position: where the score passes 0.
      low: start of the band.
      high: its end.
      direction: 1 upwards, -1 downwards.
      slope: of the curve there, per unit of the control parameter; of the log odds for outcomes.
    """

    position: float
    low: float
    high: float
    direction: int
    slope: float = float("nan")


def passages_of(places: np.ndarray, score: np.ndarray) -> list[Passage]:
    """Return the passages that are established along one curve, in order: decided on both sides, and to opposite sides.

    Args:
      places: (m,) increasing.
      score: (m,) normal quantile of the chance of being above the level.
    """
    found, last = [], None
    for i in np.flatnonzero(np.abs(score) >= REACH).tolist():
        side = 1 if score[i] > 0 else -1
        if last is not None and side != (1 if score[last] > 0 else -1):
            low = _between(places, score, last, -side * REACH)
            high = _between(places, score, i - 1, side * REACH)
            inside = np.flatnonzero(np.diff(np.sign(score[last : i + 1])) != 0) + last
            position = float(np.median([_between(places, score, int(k), 0.0) for k in inside]))
            found.append(Passage(min(max(position, low), high), low, high, side))
        last = i
    return found


def best_guess(places: np.ndarray, mean: np.ndarray) -> float:
    """Return where a curve's mean, less the level, first passes 0, established or not; NaN if it never does."""
    hits = np.flatnonzero((mean[1:] >= 0) != (mean[:-1] >= 0))
    return _between(places, mean, int(hits[0]), 0.0) if len(hits) else float("nan")


def _between(places: np.ndarray, score: np.ndarray, i: int, value: float) -> float:
    """Return where the score is `value` between places i and i + 1."""
    a, b = score[i], score[i + 1]
    share = 0.5 if a == b or not np.isfinite(b - a) else float(np.clip((value - a) / (b - a), 0, 1))
    return float(places[i] + share * (places[i + 1] - places[i]))


def hull(x: np.ndarray, y: np.ndarray, i: int) -> tuple[float, float]:
    """Return the first and the last place where a curve may pass 0 between cells i and i + 1, where its sign changes.

    Beside the chord these are the ends of a step: a curve that is flat before the cells may stay so until the next cell, and
    one that is flat after them may have become so just after the last. Flat means that a cell moves it by less than FLAT of
    what it moves in between. Elsewhere curves are smooth on the scale of the cells, and the process knows it.

    Args:
      x: (n,) cells.
      y: (n,) the curve there, less the level.
      i: the cell before the passage.
    """
    rise = abs(y[i + 1] - y[i])
    chord = x[i] + (x[i + 1] - x[i]) * y[i] / (y[i] - y[i + 1])
    flat_before = i > 0 and abs(y[i] - y[i - 1]) < FLAT * rise
    flat_after = i + 2 < len(x) and abs(y[i + 2] - y[i + 1]) < FLAT * rise
    return float(x[i] if flat_after else chord), float(x[i + 1] if flat_before else chord)


def table_of(
    curves: Sequence[tuple[list[Passage], float]], shape: tuple[int, ...], *,
    direction: str = "any",
    passages: int | None = None, slope: bool = False,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Return the variables of a boundary's Dataset from the passages of each curve and a guess where there is none.

    Args:
      curves: for each curve its passages, and a first guess.
      shape: of the curves' own axes.
      direction: "up", "down" or "any": which are shown.
      passages: how many are shown, along a last axis; None for the first alone, without the axis.
      slope: also the slope of each.
    """
    width, sign = passages or 1, {"any": 0, "up": 1, "down": -1}[direction]
    names = ("position", "low", "high", "slope") if slope else ("position", "low", "high")
    table: dict[str, np.ndarray] = {name: np.full((len(curves), width), np.nan) for name in names}
    table["direction"] = np.zeros((len(curves), width), int)
    status, count = np.full((len(curves), width), NOT, dtype=f"<U{len(NOT)}"), np.zeros(len(curves), int)
    for i, (found, guess) in enumerate(curves):
        asked = [p for p in found if sign in (0, p.direction)]
        count[i] = len(asked)
        table["position"][i, 0] = guess
        for k, passage in enumerate(asked[:width]):
            for name in table:
                table[name][i, k] = getattr(passage, name)
            status[i, k] = SEVERAL if len(asked) > width else ESTABLISHED
    table["error"], table["status"] = (table["high"] - table["low"]) / (2 * REACH), status
    out = {name: v.reshape(*shape, width) if passages else v[:, 0].reshape(shape) for name, v in table.items()}
    return out | {"count": count.reshape(shape)}
