"""Recorder of every lane at every recorded step."""

from typing import Any

import jax
import numpy as np

from jaxscale.engine.ask.grid import Lanes
from jaxscale.engine.keep.pieces import RunsPiece
from jaxscale.engine.run.executable import Executable, Report
from jaxscale.engine.run.seats import Seats


def stored_type(dtype: Any) -> np.dtype:
    """Return the type that an observable is kept in: files know no bfloat16."""
    return np.dtype(np.float32) if np.dtype(dtype).kind == "V" or np.dtype(dtype) == np.float16 else np.dtype(dtype)


class Rows:
    """Keeps (n, times) of every observable."""

    def __init__(self, executable: Executable, lanes: Lanes, times: np.ndarray, seats: Seats):
        shapes = executable.program.shapes[2]
        self.times, self.slot, self.ids = times, seats.slot, lanes.ids
        self.observed = {name: np.zeros((len(lanes), len(times)), stored_type(s.dtype)) for name, s in shapes.items()}

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
        """Return everything seen so far, for a checkpoint."""
        return self.observed

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from what `arrays` returned."""
        self.observed = arrays

    def close(self, diverged_at: np.ndarray, ended: np.ndarray) -> RunsPiece:
        """Return the lanes that ended. From its first bad step on a lane is NaN; whole numbers, which have none, are -1 and
        flags are False.
        """
        gone = (diverged_at[:, None] >= 0) & (self.times[None, :] >= diverged_at[:, None])
        observed = {}
        for name, values in self.observed.items():
            floats, flags = np.issubdtype(values.dtype, np.floating), values.dtype == bool
            observed[name] = np.where(gone, np.nan if floats else not flags and -1, values).astype(values.dtype)
        piece = RunsPiece(self.ids, diverged_at, observed)
        return piece if ended.all() else piece.take(ended)
