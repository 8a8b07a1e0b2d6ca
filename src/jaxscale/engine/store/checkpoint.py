"""A cohort saved between two segments: what a preempted session does not have to compute again.

The frozen disorder is not saved: it is drawn again from its key. One file a cohort, sha256 first, replaced as a whole.
"""

import io
import math
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxscale.engine.keep.rows import Records
from jaxscale.engine.store.files import StoreError, load_arrays, write_atomic

COUNTS = ("lane_steps", "slot_steps", "segments")


class Saved(NamedTuple):
    """A cohort as it was."""

    step: int
    live: np.ndarray  # (n,) bool
    finished: int
    records: Records
    kept: dict[str, np.ndarray]  # of the recorder
    leaves: list[np.ndarray]  # of the live lanes' states, (live, ...) each, as bytes (live, size)


class Checkpoint:
    """Where one cohort is saved.

    Args:
      path: file.
      every: seconds between two saves; also how long a cohort runs before the first one, so short runs are never saved.
      program: fingerprint and width, which must agree for the state to be of use.
      tell: told of saves and resumes.
    """

    def __init__(self, path: Path, every: float, program: str, tell: Callable[..., None] = lambda *a, **k: None):
        self.path, self.every, self.program, self.tell = path, every, program, tell
        self.last = time.monotonic()

    def due(self) -> bool:
        """Whether `every` seconds have passed since the last save."""
        return time.monotonic() - self.last >= self.every

    def save(
        self, ids: np.ndarray, times: np.ndarray, step: int, live: np.ndarray, finished: int, records: Records,
        kept: dict[str, np.ndarray], leaves: Sequence[np.ndarray],
    ) -> None:  # fmt: skip
        """Replace what was saved before."""
        arrays = {"program": np.array(self.program), "ids": ids, "times": times, "live": live}
        arrays |= {"diverged_at": records.diverged_at, "counts": np.array([getattr(records, name) for name in COUNTS])}
        arrays |= {"step": np.array(step), "finished": np.array(finished)}
        arrays |= {f"kept/{name}": values for name, values in kept.items()}
        arrays |= {f"leaf/{i:06}": _as_bytes(leaf) for i, leaf in enumerate(leaves)}  # bytes: npz knows no bfloat16
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)  # type: ignore[arg-type]
        content = buffer.getvalue()
        self.last = time.monotonic()
        try:
            write_atomic(self.path, sha256(content).hexdigest().encode() + content)
        except OSError as error:  # the run is worth more than its checkpoint
            self.tell("checkpoint failed", step=step, why=str(error))
        else:
            self.tell("checkpoint", step=step, live=int(live.sum()), bytes=len(content))

    def load(self, ids: np.ndarray, times: np.ndarray) -> Saved | None:
        """What was saved of exactly these lanes; None if nothing whole is there."""
        found = read(self.path)
        if found is None or str(found["program"]) != self.program:
            return None
        if not np.array_equal(found["ids"], ids) or not np.array_equal(found["times"], times):
            return None
        records = Records(found["diverged_at"], **dict(zip(COUNTS, found["counts"].tolist())))
        kept = {name.removeprefix("kept/"): v for name, v in found.items() if name.startswith("kept/")}
        leaves = [found[name] for name in sorted(found) if name.startswith("leaf/")]
        self.tell("resumed", step=int(found["step"]), live=int(found["live"].sum()))
        return Saved(int(found["step"]), found["live"], int(found["finished"]), records, kept, leaves)

    def clear(self) -> None:
        """The cohort is finished and stored."""
        self.path.unlink(missing_ok=True)


def read(path: Path) -> dict[str, np.ndarray] | None:
    """The arrays of a saved cohort, None if the file is not there or not whole."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, content = content[:64], content[64:]
    if sha256(content).hexdigest().encode() != digest:
        return None
    try:
        arrays = load_arrays(content)
    except StoreError:
        return None
    return arrays if {"program", "ids", "times", "live", "diverged_at", "counts", "step", "finished"} <= set(arrays) else None


def _as_bytes(leaf):
    size = math.prod(leaf.shape[1:]) * leaf.dtype.itemsize
    return np.frombuffer(np.ascontiguousarray(leaf).tobytes(), np.uint8).reshape(len(leaf), size)
