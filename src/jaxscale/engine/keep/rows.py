"""What is kept of a cohort: every lane at every recorded step. `reduce.py` keeps moments over seeds instead."""

import dataclasses
from typing import Any

import jax
import numpy as np

from jaxscale.engine.ask.grid import Lanes
from jaxscale.engine.run.executable import Executable, Report
from jaxscale.engine.run.seats import Seats

PREFIX = "observed/"


@dataclasses.dataclass
class Records:
    """What a cohort produced. Rows are lanes in the order given."""

    diverged_at: np.ndarray  # (n,) int32, steps taken when the state first was not finite; -1 if it never was
    arrays: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)  # what the recorder kept
    lane_steps: int = 0  # steps taken by live lanes
    slot_steps: int = 0  # steps paid for, padding and already stopped lanes included
    segments: int = 0
    seconds: float = 0.0

    def paid(self, live: int, slots: int, steps: int) -> None:
        """One segment of so many steps, by so many live lanes in so many slots."""
        self.lane_steps += live * steps
        self.slot_steps += slots * steps
        self.segments += 1

    @property
    def useful_share(self) -> float:
        """Live lane-steps over lane-steps paid for."""
        return self.lane_steps / max(self.slot_steps, 1)

    @property
    def observed(self) -> dict[str, np.ndarray]:
        """{observable: (n, times)}, when every lane is kept."""
        return {name.removeprefix(PREFIX): v for name, v in self.arrays.items() if name.startswith(PREFIX)}


def kept_as(dtype: Any) -> np.dtype:
    """The type an observable is kept in: files know no bfloat16."""
    return np.dtype(np.float32) if np.dtype(dtype).kind == "V" or np.dtype(dtype) == np.float16 else np.dtype(dtype)


class Rows:
    """Keeps (n, times) of every observable."""

    def __init__(self, executable: Executable, lanes: Lanes, times: np.ndarray, seats: Seats):
        shapes = executable.program.shapes[2]
        self.times, self.slot, self.ids = times, seats.slot, lanes.ids
        self.observed = {name: np.zeros((len(lanes), len(times)), kept_as(s.dtype)) for name, s in shapes.items()}

    def see(self, report: Report, live: np.ndarray, ended: np.ndarray, cut: int, diverged_at: np.ndarray) -> None:
        """Record the live lanes if `cut` is a recorded step; a lane that ends keeps its last values for all later records."""
        column = int(np.searchsorted(self.times, cut))
        recorded = self.times[column] == cut
        if not recorded and not ended.any():
            return
        for name, values in jax.device_get(report.observed).items():
            values = values[self.slot]
            if recorded:
                self.observed[name][live, column] = values[live]
            self.observed[name][ended, column:] = values[ended][:, None]

    def arrays(self) -> dict[str, np.ndarray]:
        """For a checkpoint."""
        return self.observed

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """From a checkpoint."""
        self.observed = arrays

    def close(self, diverged_at: np.ndarray) -> dict[str, Any]:
        """From its first bad step on a lane is NaN; whole numbers, which have none, are -1 and flags are False."""
        gone = (diverged_at[:, None] >= 0) & (self.times[None, :] >= diverged_at[:, None])
        out = {"ids": self.ids, "diverged_at": diverged_at}
        for name, values in self.observed.items():
            floats, flags = np.issubdtype(values.dtype, np.floating), values.dtype == bool
            out[PREFIX + name] = np.where(gone, np.nan if floats else not flags and -1, values).astype(values.dtype)
        return out
