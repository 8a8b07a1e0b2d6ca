"""The store of a sweep without one: results live in the returned Dataset, and nothing outlives the process."""

from collections.abc import Callable, Mapping

import numpy as np

from jaxscale.engine.events import Tell
from jaxscale.engine.keep.pieces import Piece, Pieces, Take, whole
from jaxscale.engine.machine.processes import agree
from jaxscale.engine.run.recorder import Saver
from jaxscale.engine.store.contract import Settings, Units


class MemoryStore:
    """Keeps nothing; see `jaxscale.engine.store.contract.Store` for what each method means."""

    outlives = False
    path = None

    def settle(self, bucket: str, program: str, make: Callable[[], Mapping[str, object]]) -> Settings:
        """Return the settings that `make` finds, with the width of the first process of a pod."""
        settings: Settings = {"program": program, **make()}
        return settings | {"width": agree(settings["width"])}

    def narrow(self, bucket: str, width: int) -> Settings:
        """Return settings with the new width."""
        return {"width": width}

    def write(self, bucket: str, piece: Piece) -> None:
        """Do nothing: whoever made the piece holds it."""

    def pieces(self, *, mend: bool = False, take: Take = whole) -> Pieces:
        """Return no pieces: nothing is stored."""
        return {}

    def saver(self, bucket: str, ids: np.ndarray, every: float, program: str, tell: Tell) -> Saver | None:
        """Return None: there is nowhere to save a cohort."""
        return None

    def saved_cohorts(self) -> list[np.ndarray]:
        """Return no cohorts: nothing is saved."""
        return []

    def drop_saved(self, done: Callable[[], np.ndarray]) -> None:
        """Do nothing: nothing was saved."""

    def add_units(self, units: Units) -> Units:
        """Return the units of this sweep."""
        return units
