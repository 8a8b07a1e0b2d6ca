"""reduce=True and reduce="quantiles": moments over seeds instead of runs, and a sketch of their distribution."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxscale.engine.ask.grid import Grid
from jaxscale.engine.ask.reduction import Columns
from jaxscale.engine.errors import StoreError
from jaxscale.engine.keep.moments import Moments
from jaxscale.engine.keep.pieces import CellsPiece
from jaxscale.engine.keep.sums import BINS, NOTHING, QUANTILES, STATISTICS, merge, quantiles, statistics


@dataclasses.dataclass(frozen=True)
class SeedMoments:
    """Moments of every observable over the seeds of a grid point, taken on the devices.

    Attributes:
      sketch: keep counts in bins too, from which quantiles are read.
    """

    sketch: bool = False

    reserved = frozenset({"statistic", "quantile", "runs", "diverged", "censored"})
    by_run = False
    consecutive = True
    max_runs = 2**21  # sums of digits stay in 32 bits
    piece = CellsPiece

    @property
    def name(self) -> bool | str:
        """The value of `reduce=` that asks for it."""
        return "quantiles" if self.sketch else True

    def check(self, grid: Grid) -> None:
        """Raise ValueError for crossed seeds, which have no one seed axis."""
        if grid.shared_disorder:
            raise ValueError("reduce= takes moments over one seed axis; got seeds={'data', 'init'}. Use a number of seeds.")

    def recorder(self, grid: Grid, static: Mapping[str, Any]) -> Any:
        """Return the recorder of moments."""
        return functools.partial(Moments, grid=grid, cell_ids=grid.cell_ids(static), sketch=self.sketch)

    def host_bytes(self, observables: int, times: int) -> int:
        """Return 0: sums do not grow with runs."""
        return 0

    def done(self, grid: Grid, static: Mapping[str, Any], pieces: Sequence[CellsPiece], path: Any = None) -> np.ndarray:
        """Return (lanes,) bool, which runs the pieces already hold.

        Raises:
          StoreError: a piece has seeds that are not asked for; moments cannot be taken apart.
        """
        done = np.zeros((grid.cells, grid.seeds_per_cell), bool)
        chosen = entries(grid, static, pieces)
        most = max((int(piece.high[row]) for _, piece, row in chosen), default=0)
        if most > grid.seeds_per_cell:
            raise StoreError(
                f"store='{path}' holds moments of {most} seeds, which cannot be taken apart; got seeds={grid.seeds_per_cell}. "
                f"Ask for at least {most}."
            )
        for cell, piece, row in chosen:
            done[cell, piece.low[row] : piece.high[row]] = True
        return done.reshape(-1)

    def failed(self, grid: Grid, static: Mapping[str, Any], pieces: Sequence[CellsPiece]) -> int:
        """Return how many of the runs asked for have diverged."""
        return sum(int(piece.diverged[row, -1]) for _, piece, row in entries(grid, static, pieces))

    def columns(self, grid: Grid, static: Mapping[str, Any], pieces: Sequence[CellsPiece], times: np.ndarray) -> Columns:
        """Return (cells, times, statistics) of every observable, its quantiles, and counts of runs."""
        room = (grid.cells, len(times))
        runs = np.zeros(room, np.int64)
        counts: dict[str, np.ndarray] = {}
        sums: dict[str, np.ndarray] = {}
        bins: dict[str, np.ndarray] = {}
        for cell, piece, row in entries(grid, static, pieces):
            runs[cell] += piece.high[row] - piece.low[row]
            for name in ("diverged", "censored"):
                counts.setdefault(name, np.zeros(room, np.int64))[cell] += getattr(piece, name)[row]
            for name, values in piece.moments.items():
                into = sums.setdefault(name, np.tile(NOTHING, (*room, 1)))
                into[cell] = merge(into[cell], values[row])
            for name, values in piece.sketch.items():
                bins.setdefault(name, np.zeros((*room, BINS), np.int64))[cell] += values[row]
        columns: Columns = {"runs": (("time",), runs)}
        columns |= {name: (("time",), values) for name, values in counts.items()}
        columns |= {name: (("time", "statistic"), statistics(values)) for name, values in sums.items()}
        return columns | {f"{name}_quantile": (("time", "quantile"), quantiles(b, sums[name])) for name, b in bins.items()}

    def coordinates(self) -> dict[str, list[Any]]:
        """Return the names of the moments, and the levels of the quantiles."""
        return {"statistic": list(STATISTICS), "quantile": list(QUANTILES)}


def entries(grid: Grid, static: Mapping[str, Any], pieces: Sequence[CellsPiece]) -> list[tuple[int, CellsPiece, int]]:
    """Return (cell number, piece, row) of what counts: no seed twice. Of pieces that overlap the longest ones are taken, in an
    order that does not depend on the files.
    """
    where = {cell: i for i, cell in enumerate(grid.cell_ids(static).tolist())}
    stretches = []
    for piece in pieces:
        for row, (cell, low, high) in enumerate(zip(piece.cell.tolist(), piece.low.tolist(), piece.high.tolist())):
            if cell in where:
                stretches.append((low - high, where[cell], low, piece, row))
    taken: dict[int, list[tuple[int, int]]] = {}
    out = []
    for length, cell, low, piece, row in sorted(stretches, key=lambda stretch: stretch[:3]):
        high = low - length
        if all(high <= a or low >= b for a, b in taken.setdefault(cell, [])):
            taken[cell].append((low, high))
            out.append((cell, piece, row))
    return out


REDUCTIONS = (SeedMoments(), SeedMoments(sketch=True))
