"""What the engine asks of a store. A folder (`disk.py`) and the process's own memory (`memory.py`) are two of them."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol

import numpy as np

from jaxscale.engine.events import Tell
from jaxscale.engine.keep.pieces import Piece, Pieces, Take, whole
from jaxscale.engine.run.recorder import Saver

Settings = dict[str, Any]  # of a bucket: "width", "program", "probe", ...; plain JSON
Units = dict[str, tuple[str, str]]  # {observable: (definition, unit)}


class Store(Protocol):
    """Holds what a sweep has finished, for as long as it lasts."""

    @property
    def outlives(self) -> bool:
        """Whether what is written is there for another process: then pieces are cut small, and cohorts are saved."""

    @property
    def path(self) -> Any:
        """What the store is called in messages; None if it has no name."""

    def settle(self, bucket: str, program: str, make: Callable[[], Mapping[str, Any]]) -> Settings:
        """Fix a bucket's settings the first time; later compare the program and return them."""

    def narrow(self, bucket: str, width: int) -> Settings:
        """Begin a bucket anew at a smaller width, its pieces set aside; return the new settings."""

    def write(self, bucket: str, piece: Piece) -> None:
        """Add a finished piece, whole or not at all."""

    def pieces(self, *, mend: bool = False, take: Take = whole) -> Pieces:
        """Return of all finished pieces, by bucket, what `take` leaves of each; `mend` sets damaged ones aside, for the process
        that holds the store.
        """

    def saver(self, bucket: str, ids: np.ndarray, every: float, program: str, tell: Tell) -> Saver | None:
        """Return the place where the cohort of these lanes is saved; None if there is none.

        Args:
          bucket: name.
          ids: of the cohort's lanes.
          every: seconds between two saves.
          program: fingerprint and width, which must agree for a saved state to be of use.
          tell: told of saves and resumes.
        """

    def saved_cohorts(self) -> list[np.ndarray]:
        """Return the identities of the lanes of every saved cohort."""

    def drop_saved(self, done: Callable[[], np.ndarray]) -> None:
        """Remove saved cohorts of runs that are finished by now; `done` gives their identities."""

    def add_units(self, units: Units) -> Units:
        """Remember definitions of observables; return all that are known."""
