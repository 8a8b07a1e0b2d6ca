"""What a cohort's host loop asks of the things around it: a recorder of what its lanes observe, and a place to save it."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from jaxscale.engine.ask.grid import Lanes
from jaxscale.engine.run.executable import Executable, Report
from jaxscale.engine.run.seats import Seats


class Recorder(Protocol):
    """Keeps what the lanes of one cohort observe."""

    def see(self, report: Report, live: np.ndarray, ended: np.ndarray, cut: int, diverged_at: np.ndarray) -> None:
        """Take in a segment: `live` lanes were stepped to step `cut`, of them those in `ended` leave now."""

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything seen so far, for a checkpoint."""

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from what `arrays` returned."""

    def close(self, diverged_at: np.ndarray, ended: np.ndarray) -> Any:
        """Return the piece of the lanes in `ended` (n,) bool; None if the others cannot be left out of it."""


MakeRecorder = Callable[[Executable, Lanes, np.ndarray, Seats], Recorder]


@dataclasses.dataclass
class Records:
    """What a cohort produced. Rows are lanes in the order given."""

    diverged_at: np.ndarray  # (n,) int32, steps taken when the state first was not finite; -1 if it never was
    why: np.ndarray  # (n,) int8, the `Reason` why each lane ended
    piece: Any = None  # what the recorder made of the lanes that ended
    lane_steps: int = 0  # steps taken by live lanes
    slot_steps: int = 0  # steps paid for, padding and already stopped lanes included
    segments: int = 0
    seconds: float = 0.0

    @classmethod
    def empty(cls, lanes: int) -> "Records":
        """Return the records of so many lanes at step 0."""
        return cls(np.full(lanes, -1, np.int32), np.zeros(lanes, np.int8))

    def paid(self, live: int, slots: int, steps: int) -> None:
        """Count one segment of so many steps, by so many live lanes in so many slots."""
        self.lane_steps += live * steps
        self.slot_steps += slots * steps
        self.segments += 1

    @property
    def observed(self) -> dict[str, np.ndarray]:
        """{observable: (n, times)}, when every lane is kept."""
        return self.piece.observed


class Saved(NamedTuple):
    """A cohort between two segments."""

    step: int
    records: Records  # of all lanes; those whose reason is LIVE go on
    recorded: dict[str, np.ndarray]  # of the recorder
    leaves: Sequence[np.ndarray]  # of the live lanes' states; when read back, (live, bytes of one) uint8 each


class Saver(Protocol):
    """A place where one cohort is saved between segments, and found again."""

    def due(self) -> bool:
        """Return whether it is time to save."""

    def save(self, ids: np.ndarray, times: np.ndarray, saved: Saved) -> None:
        """Replace what was saved before."""

    def load(self, ids: np.ndarray, times: np.ndarray) -> Saved | None:
        """Return what was saved of exactly these lanes; None if nothing whole is there."""

    def clear(self) -> None:
        """Remove what was saved: the cohort is finished and stored."""
