"""What a reduction over seeds is: what is recorded of a cohort, how stored pieces count, what the result holds of them.

One reduction is one file in `jaxscale.engine.keep.reductions` with `REDUCTIONS`, a tuple of instances; it is found, not listed.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from jaxscale.discovery import discover
from jaxscale.engine.ask.grid import Grid

Columns = dict[str, tuple[tuple[str, ...], np.ndarray]]  # {variable: (dims after the grid's, values with a leading axis)}


class Reduction(Protocol):
    """What is kept of the seeds.

    Attributes:
      name: the value of `reduce=` that asks for it.
      reserved: names that it adds to every result, which no axis and no observable may have.
      by_run: whether the result has a row per run, with the seed axes; else it has one per grid point.
      consecutive: whether a part of the sweep should hold consecutive seeds.
      max_runs: largest cohort on one device.
      piece: class of what is stored.
    """

    name: bool | str
    reserved: frozenset[str]
    by_run: bool
    consecutive: bool
    max_runs: int
    piece: Any

    def check(self, grid: Grid) -> None:
        """Raise ValueError if the axes or seeds cannot be reduced in this way."""

    def recorder(self, grid: Grid, static: Mapping[str, Any]) -> Any:
        """Return what makes a `Recorder` for a cohort of one bucket."""

    def host_bytes(self, observables: int, times: int) -> int:
        """Return the bytes that wait on the host for one run until its cohort ends."""

    def done(self, grid: Grid, static: Mapping[str, Any], pieces: Sequence[Any], path: Any = None) -> np.ndarray:
        """Return (lanes,) bool, which runs of a bucket the pieces already hold. `path` is named in messages."""

    def failed(self, grid: Grid, static: Mapping[str, Any], pieces: Sequence[Any]) -> int:
        """Return how many of the runs asked for have diverged."""

    def columns(self, grid: Grid, static: Mapping[str, Any], pieces: Sequence[Any], times: np.ndarray) -> Columns:
        """Return the variables of one bucket; the leading axis is runs if `by_run`, else grid points."""

    def coordinates(self) -> dict[str, list[Any]]:
        """Return the labels of the dims that it adds."""


def reductions() -> dict[bool | str, Reduction]:
    """Return every reduction found, by its name."""
    return {one.name: one for some in discover("jaxscale.engine.keep.reductions", "REDUCTIONS").values() for one in some}


def find_reduction(reduce: bool | str) -> Reduction:
    """Return the reduction that `reduce=` asks for.

    Raises:
      ValueError: there is none of this name.
    """
    known = reductions()
    for name, one in known.items():
        if type(name) is type(reduce) and name == reduce:
            return one
    raise ValueError(f"reduce must be one of {sorted(known, key=str)}; got {reduce!r}.")
