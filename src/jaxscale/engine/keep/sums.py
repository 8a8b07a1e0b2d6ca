"""Moments over seeds on the host: putting parts together, and the labelled result."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxscale.engine.ask.grid import Grid
from jaxscale.engine.store.files import StoreError

if TYPE_CHECKING:
    pass

MOMENT_NAMES = frozenset({"statistic", "quantile", "runs", "diverged", "censored"})  # parts of every result
MOST_SUMMED = 2**21  # runs of a cohort on a device whose sums of digits stay in 32 bits
SUMS = 7  # count, mean, M2, M3, M4 (sums of powers of deviations from the mean), smallest, largest
FIRST_OCTAVE, OCTAVES, PARTS = -24, 48, 16  # bins of the quantile sketch: 2^-24 .. 2^24, sixteen an octave, both signs
BINS = 2 * (OCTAVES * PARTS + 1) + 1
STATISTICS = ("mean", "std", "skewness", "kurtosis", "binder", "min", "max")
QUANTILES = (0.025, 0.16, 0.25, 0.5, 0.75, 0.84, 0.975)


def unscaled(facts: np.ndarray, limbs: np.ndarray) -> np.ndarray:
    """Device sums to (..., 7) sums about the mean.

    Args:
      facts: (..., 6), count, centre, unit, smallest, largest, how many are not finite.
      limbs: (..., 4, 3) whole numbers, sums of the first four powers of (x - centre) / unit as digits of 10 bits.
    """
    n, centre, unit, least, most, wild = np.moveaxis(facts.astype(np.float64), -1, 0)
    s1, s2, s3, s4 = np.moveaxis(limbs.astype(np.float64) @ 2.0 ** -np.array([10.0, 20.0, 30.0]), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        m = s1 / np.maximum(n, 1)
        m2 = s2 - n * m**2
        m3 = s3 - 3 * m * s2 + 2 * n * m**3
        m4 = s4 - 4 * m * s3 + 6 * m**2 * s2 - 3 * n * m**4
        sane = np.where(wild > 0, np.nan, 1.0)  # an observable that is not finite has no mean
        sums = [centre + unit * m, unit**2 * m2, unit**3 * m3, unit**4 * m4]
        return np.stack([n, *(sane * s for s in sums), least, most], axis=-1)


def merge(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Sums of two disjoint sets of runs, (..., 7) each.

    References:
      Pebay, Sandia report SAND2008-6212 (2008), eqs. 2.1 and 3.1.
    """
    na, mean_a, a2, a3, a4, least_a, most_a = np.moveaxis(a, -1, 0)
    nb, mean_b, b2, b3, b4, least_b, most_b = np.moveaxis(b, -1, 0)
    n = na + nb
    whole = np.maximum(n, 1)
    with np.errstate(invalid="ignore"):
        d = np.where((na > 0) & (nb > 0), mean_b - mean_a, 0)
        mean = np.where(nb > 0, np.where(na > 0, mean_a + d * nb / whole, mean_b), mean_a)
        m2 = a2 + b2 + d**2 * na * nb / whole
        m3 = a3 + b3 + d**3 * na * nb * (na - nb) / whole**2 + 3 * d * (na * b2 - nb * a2) / whole
        m4 = (
            a4 + b4 + d**4 * na * nb * (na**2 - na * nb + nb**2) / whole**3
            + 6 * d**2 * (na**2 * b2 + nb**2 * a2) / whole**2 + 4 * d * (na * b3 - nb * a3) / whole
        )  # fmt: skip
    return np.stack([n, mean, m2, m3, m4, np.minimum(least_a, least_b), np.maximum(most_a, most_b)], axis=-1)


def statistics(sums: np.ndarray) -> np.ndarray:
    """(..., 7) sums to (..., 7) `STATISTICS`: of the population; NaN without a run. Binder is 1 - <x^4> / 3 <x^2>^2."""
    n, mean, m2, m3, m4, least, most = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        v, t, f = (np.where(n > 0, m / n, np.nan) for m in (m2, m3, m4))
        mean = np.where(n > 0, mean, np.nan)
        raw2, raw4 = v + mean**2, f + 4 * t * mean + 6 * v * mean**2 + mean**4
        least, most = np.where(n > 0, least, np.nan), np.where(n > 0, most, np.nan)
        return np.stack([mean, np.sqrt(np.maximum(v, 0)), t / v**1.5, f / v**2, 1 - raw4 / (3 * raw2**2), least, most], axis=-1)


def edges() -> np.ndarray:
    """(BINS + 1,) edges of the quantile sketch; the outermost bins and the one about zero are open or wide."""
    steps = np.arange(OCTAVES * PARTS + 1)
    up = 2.0 ** (FIRST_OCTAVE + steps // PARTS) * (1 + steps % PARTS / PARTS)
    up = np.append(up, 2 * up[-1])
    return np.concatenate([-up[::-1], up])


def quantiles(bins: np.ndarray, sums: np.ndarray, levels: Any = QUANTILES) -> np.ndarray:
    """(..., BINS) counts to (..., levels): the middle of the bin that holds the level, within 4 % between 2^-24 and 2^24."""
    edge = edges()
    middle = (edge[1:] + edge[:-1]) / 2
    below = bins.cumsum(-1)
    total = below[..., -1:]
    places = [(below < np.maximum(level * total, 0.5)).sum(-1).clip(max=BINS - 1) for level in levels]
    out = np.stack([middle[place] for place in places], axis=-1)
    return np.where(total > 0, np.clip(out, sums[..., 5:6], sums[..., 6:7]), np.nan)


def entries(grid: Grid, static: Mapping[str, Any], pieces: list[Any]) -> list[tuple[int, Any, int]]:
    """(cell number, piece, row) of what counts: no seed twice. Of pieces that overlap the longest ones are taken, in an order
    that does not depend on the files.
    """
    where = {cell: i for i, cell in enumerate(grid.cell_ids(static).tolist())}
    found = []
    for piece in pieces:
        for row, (cell, low, high) in enumerate(zip(piece["cell"].tolist(), piece["low"].tolist(), piece["high"].tolist())):
            if cell in where:
                found.append((low - high, where[cell], low, piece, row))
    taken: dict[int, list[tuple[int, int]]] = {}
    out = []
    for length, cell, low, piece, row in sorted(found, key=lambda f: f[:3]):
        high = low - length
        if all(high <= a or low >= b for a, b in taken.setdefault(cell, [])):
            taken[cell].append((low, high))
            out.append((cell, piece, row))
    return out


def covered(grid: Grid, static: Mapping[str, Any], pieces: list[Any], path: Any = None) -> np.ndarray:
    """(lanes,) bool, runs of a bucket that pieces already hold.

    Raises:
      StoreError: a piece has seeds that are not asked for; moments cannot be taken apart.
    """
    done = np.zeros((grid.cells, grid.seeds_per_cell), bool)
    chosen = entries(grid, static, pieces)
    most = max((int(piece["high"][row]) for _, piece, row in chosen), default=0)
    if most > grid.seeds_per_cell:
        raise StoreError(
            f"store='{path}' holds moments of {most} seeds, which cannot be taken apart; got seeds={grid.seeds_per_cell}. "
            f"Ask for at least {most}."
        )
    for cell, piece, row in chosen:
        done[cell, piece["low"][row] : piece["high"][row]] = True
    return done.reshape(-1)


def columns(grid: Grid, static: Mapping[str, Any], pieces: list[Any], n_times: int) -> dict[str, np.ndarray]:
    """Sums and counts of one bucket, every piece merged: {"moments/x": (cells, times, 7), ..., "runs": (cells, times)}."""
    found: dict[str, np.ndarray] = {"runs": np.zeros((grid.cells, n_times), np.int64)}
    for cell, piece, row in entries(grid, static, pieces):
        found["runs"][cell] += piece["high"][row] - piece["low"][row]
        for name, values in piece.items():
            if name.startswith("moments/"):
                empty = np.array([0, 0, 0, 0, 0, np.inf, -np.inf])
                into = found.setdefault(name, np.tile(empty, (grid.cells, n_times, 1)))
                into[cell] = merge(into[cell], values[row])
            elif name.startswith("sketch/") or name in ("diverged", "censored"):
                into = found.setdefault(name, np.zeros((grid.cells, *values.shape[1:]), np.int64))
                into[cell] += values[row]
    return found


def variables(column: Mapping[str, np.ndarray]) -> "dict[str, tuple[tuple[str, ...], np.ndarray]]":
    """{name: (dims after the cell, values)} of the labelled result."""
    out: dict[str, tuple[tuple[str, ...], np.ndarray]] = {}
    for name, values in column.items():
        kind, _, observable = name.partition("/")
        if kind == "moments":
            out[observable] = ("time", "statistic"), statistics(values)
        elif kind == "sketch":
            out[f"{observable}_quantile"] = ("time", "quantile"), quantiles(values, column[f"moments/{observable}"])
        else:
            out[name] = ("time",), values
    return out
