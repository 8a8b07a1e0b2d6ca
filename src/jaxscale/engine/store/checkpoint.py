"""A cohort saved between two segments: what a preempted session does not have to compute again.

The frozen disorder is not saved: it is drawn again from its key. One file a cohort, sha256 first, replaced as a whole.
"""

import dataclasses
import math
import time
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from jaxscale.engine.errors import StoreError
from jaxscale.engine.events import CheckpointFailed, CheckpointSaved, Resumed, Tell, silent
from jaxscale.engine.keep.arrays import pack, unpack
from jaxscale.engine.run.reasons import Reason
from jaxscale.engine.run.recorder import Records, Saved
from jaxscale.engine.store.files import read_file, write_atomic

COUNTS = ("lane_steps", "slot_steps", "segments")
RECORDED, LEAF = "recorded/", "leaf/"  # what an array of a file is of
MOST = 2**40  # bytes
NEEDED = {"program", "ids", "times", "why", "diverged_at", "counts", "step"}


@dataclasses.dataclass(frozen=True)
class SavedCohort:
    """What a file says: whose cohort it is, and where it stands."""

    program: str
    ids: np.ndarray  # of all its lanes
    times: np.ndarray
    saved: Saved

    def to_bytes(self) -> bytes:
        """Return the file's content."""
        saved, records = self.saved, self.saved.records
        arrays = {"program": np.array(self.program), "ids": self.ids, "times": self.times, "why": records.why}
        arrays |= {"diverged_at": records.diverged_at, "counts": np.array([getattr(records, name) for name in COUNTS])}
        arrays |= {"step": np.array(saved.step)}
        arrays |= {RECORDED + name: values for name, values in saved.recorded.items()}
        arrays |= {f"{LEAF}{i:06}": _as_bytes(leaf) for i, leaf in enumerate(saved.leaves)}  # bytes: npz knows no bfloat16
        content = pack(arrays)
        return sha256(content).hexdigest().encode() + content

    @classmethod
    def read(cls, path: Path) -> "SavedCohort | None":
        """Return what a file holds, None if it is not there or not whole."""
        try:
            content = read_file(path, MOST)
        except (OSError, StoreError):
            return None
        digest, content = content[:64], content[64:]
        if sha256(content).hexdigest().encode() != digest:
            return None
        try:
            arrays = unpack(content)
            return cls._of(arrays) if set(arrays) >= NEEDED else None
        except (StoreError, TypeError, ValueError):  # arrays of other kinds and shapes than this package writes
            return None

    @classmethod
    def _of(cls, arrays: dict[str, np.ndarray]) -> "SavedCohort":
        records = Records(arrays["diverged_at"], arrays["why"], **dict(zip(COUNTS, arrays["counts"].tolist())))
        recorded = {name.removeprefix(RECORDED): v for name, v in arrays.items() if name.startswith(RECORDED)}
        leaves = [arrays[name] for name in sorted(arrays) if name.startswith(LEAF)]
        saved = Saved(int(arrays["step"]), records, recorded, leaves)
        return cls(str(arrays["program"]), arrays["ids"], arrays["times"], saved)


class Checkpoint:
    """Where one cohort is saved.

    Args:
      path: file.
      every: seconds between two saves; also how long a cohort runs before the first one, so short runs are never saved.
      program: fingerprint and width, which must agree for the state to be of use.
      tell: told of saves and resumes.
    """

    def __init__(self, path: Path, every: float, program: str, tell: Tell = silent):
        self.path, self.every, self.program, self.tell = path, every, program, tell
        self.last = time.monotonic()

    def due(self) -> bool:
        """Return whether `every` seconds have passed since the last save."""
        return time.monotonic() - self.last >= self.every

    def save(self, ids: np.ndarray, times: np.ndarray, saved: Saved) -> None:
        """Replace what was saved before."""
        content = SavedCohort(self.program, ids, times, saved).to_bytes()
        self.last = time.monotonic()
        try:
            write_atomic(self.path, content)
        except OSError as error:  # the run is worth more than its checkpoint
            self.tell(CheckpointFailed(step=saved.step, why=str(error)))
        else:
            self.tell(CheckpointSaved(step=saved.step, live=_live(saved), bytes=len(content) - 64))

    def load(self, ids: np.ndarray, times: np.ndarray) -> Saved | None:
        """Return what was saved of exactly these lanes; None if nothing whole is there."""
        there = SavedCohort.read(self.path)
        if there is None or there.program != self.program:
            return None
        if not np.array_equal(there.ids, ids) or not np.array_equal(there.times, times):
            return None
        self.tell(Resumed(step=there.saved.step, live=_live(there.saved)))
        return there.saved

    def clear(self) -> None:
        """Remove what was saved: the cohort is finished and stored."""
        self.path.unlink(missing_ok=True)


def _live(saved: Saved) -> int:
    return int((saved.records.why == Reason.LIVE).sum())


def _as_bytes(leaf: Any) -> np.ndarray:
    size = math.prod(leaf.shape[1:]) * leaf.dtype.itemsize
    return np.frombuffer(np.ascontiguousarray(leaf).tobytes(), np.uint8).reshape(len(leaf), size)
