"""reduce=False: every run is kept, with its seed."""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxscale.engine.ask.grid import Grid
from jaxscale.engine.ask.reduction import Columns
from jaxscale.engine.keep.pieces import RunsPiece
from jaxscale.engine.keep.rows import Rows


@dataclasses.dataclass(frozen=True)
class EveryRun:
    """Keeps (runs, times) of every observable."""

    name = False
    reserved = frozenset[str]()
    by_run = True
    consecutive = False
    max_runs = sys.maxsize
    piece = RunsPiece

    def check(self, grid: Grid) -> None:
        """Accept any axes and seeds."""

    def recorder(self, grid: Grid, static: Mapping[str, Any]) -> Any:
        """Return the recorder of rows."""
        return Rows

    def host_bytes(self, observables: int, times: int) -> int:
        """Return the bytes of one run's records."""
        return 4 * times * observables

    def done(self, grid: Grid, static: Mapping[str, Any], pieces: Sequence[RunsPiece], path: Any = None) -> np.ndarray:
        """Return (lanes,) bool, which runs the pieces already hold."""
        ids = [piece.ids for piece in pieces]
        return np.isin(grid.lanes(static).ids, np.concatenate(ids) if ids else np.zeros(0, np.uint64))

    def failed(self, grid: Grid, static: Mapping[str, Any], pieces: Sequence[RunsPiece]) -> int:
        """Return how many of the runs asked for have diverged."""
        bad = [piece.ids[piece.diverged_at >= 0] for piece in pieces]
        return int(np.isin(grid.lanes(static).ids, np.concatenate(bad)).sum()) if bad else 0

    def columns(self, grid: Grid, static: Mapping[str, Any], pieces: Sequence[RunsPiece], times: np.ndarray) -> Columns:
        """Return (runs, times) of every observable, and (runs,) first bad steps."""
        columns, there = by_lane(grid, static, pieces)
        if not there.all():  # whole numbers and flags have no NaN: they become floats where something is missing
            for name, values in columns.items():
                columns[name] = np.where(there.reshape(-1, *[1] * (values.ndim - 1)), values, np.float32(np.nan))
        return {name: (("time",) * (values.ndim - 1), values) for name, values in columns.items()}

    def coordinates(self) -> dict[str, list[Any]]:
        """Return no labels: the result has no further dims."""
        return {}


def by_lane(grid: Grid, static: Mapping[str, Any], pieces: Sequence[RunsPiece]) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the arrays of all pieces in the order of a bucket's lanes, 0 where there is no run; and (lanes,) where there
    is one.
    """
    ids = grid.lanes(static).ids
    order = np.argsort(ids)
    columns: dict[str, np.ndarray] = {}
    there = np.zeros(len(ids), bool)
    for piece in pieces:
        place = np.minimum(np.searchsorted(ids[order], piece.ids), len(ids) - 1)
        asked = ids[order][place] == piece.ids  # a store may hold runs of a wider grid
        rows = order[place[asked]]
        there[rows] = True
        for name, values in (piece.observed | {"diverged_at": piece.diverged_at}).items():
            if name not in columns:
                columns[name] = np.zeros((len(ids), *values.shape[1:]), values.dtype)
            columns[name][rows] = values[asked]
    return columns, there


REDUCTIONS = (EveryRun(),)
