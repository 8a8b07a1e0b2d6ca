"""Whether a store holds what was written, and whether its runs come out the same when they are made again."""

import dataclasses
import os
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxscale.engine.ask.grid import Lanes
from jaxscale.engine.audit.precision import Drift, in_float64
from jaxscale.engine.keep.pieces import RunsPiece
from jaxscale.engine.listeners import said
from jaxscale.engine.place.bucket import Bucket
from jaxscale.engine.place.room import fitted
from jaxscale.engine.run.cohort import run_cohort
from jaxscale.engine.run.executables import program_of
from jaxscale.engine.store.disk import DiskStore
from jaxscale.engine.store.recorded import Recorded


@dataclasses.dataclass(frozen=True)
class Verified:
    """The outcome of `verify`. Print it; it is true if nothing is wrong."""

    pieces: int
    damaged: tuple[str, ...]
    requested: int
    done: int
    failed: int  # diverged
    pending: int
    rerun: int
    differing: tuple[str, ...]
    float64: dict[str, Drift] = dataclasses.field(default_factory=dict)  # what it changes, if it was asked for

    def __bool__(self) -> bool:
        return not self.damaged and not self.differing

    def __str__(self) -> str:
        lines = [
            f"{self.pieces} pieces hashed, {len(self.damaged)} damaged; {self.requested:,} runs requested = {self.done:,} done "
            f"+ {self.failed:,} failed (diverged) + {self.pending:,} pending"
        ]
        lines += [f"  damaged: {text}" for text in self.damaged]
        lines.append(f"{self.rerun} runs made again, {len(self.differing)} differ" if self.rerun else "no run made again")
        lines += [f"  differs: {text}" for text in self.differing]
        return "\n".join([*lines, *(f"  float64: {name}: {drift}" for name, drift in self.float64.items())])


def verify(
    store: str | os.PathLike, experiment: Callable[..., Any] | None = None, *, cells: int = 16, root: int = 0,
    float64: bool = False,
) -> Verified:  # fmt: skip
    """Hash every piece again, and make a random sample of runs again, comparing every bit.

    Args:
      store: folder of a sweep.
      experiment: what was swept; without it nothing is run.
      cells: runs to make again.
      root: seed of the sample.
      float64: also make a sample again in float64 on the same draws, and say what changes: the relative drift of every
        observable at the last record, and how many verdicts (0 or 1, finite or not). Steps must draw nothing. A chaotic run
        drifts by its own size.

    Raises:
      StoreError: no store, or of another experiment.
      ValueError: float64 without an experiment, or of runs whose steps draw random numbers.
    """
    if float64 and experiment is None:
        raise ValueError("verify(float64=True) makes runs again: pass the experiment that was swept.")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pieces = DiskStore.read(store).pieces()
    damaged = tuple(str(w.message) for w in caught if "left out" in str(w.message))
    record = Recorded.of(store)
    grid = record.grid
    request = record.request(experiment or _unknown)
    buckets = [Bucket(request, program_of(request, point), {}) for point in grid.buckets()]
    pending = sum(len(bucket.pending(pieces.get(bucket.name, []))) for bucket in buckets)
    differing: list[str] = []
    made = 0
    if experiment is not None and request.reduction.piece is RunsPiece:
        random = np.random.default_rng(root)
        for bucket in buckets:
            if own := pieces.get(bucket.name):
                some, differ = _again(bucket, record, own, -(-cells // len(buckets)), random)
                made, differing = made + some, differing + differ
    requested, failed = len(buckets) * grid.lanes_per_bucket, sum(b.failed(pieces.get(b.name, [])) for b in buckets)
    done = requested - failed - pending
    drifts = in_float64(record, experiment, cells=cells, root=root) if float64 else {}
    pieces_seen = sum(map(len, pieces.values()))
    return Verified(pieces_seen, damaged, requested, done, failed, pending, made, tuple(differing), drifts)


def _again(
    bucket: Bucket, record: Recorded, pieces: list[RunsPiece], cells: int, random: np.random.Generator
) -> tuple[int, list[str]]:
    """Run a sample of a bucket's finished runs; return how many, and which differ from what is stored."""
    lanes = bucket.request.grid.lanes(bucket.program.static)
    ids = np.concatenate([piece.ids for piece in pieces])
    known = np.flatnonzero(np.isin(lanes.ids, ids))
    if not len(known):
        return 0, []
    record.check_program(bucket.name, bucket.program)
    chosen = lanes.take(np.sort(random.choice(known, min(cells, len(known)), replace=False)))
    executable = fitted(bucket.request, bucket.program, record.buckets[bucket.name]["width"], chosen)
    with said(f"running {len(chosen)} runs of bucket {bucket.name} again ..."):
        made = run_cohort(executable, chosen, bucket.request.times, recorder=bucket.recorder()).piece
    row = {lane: at for at, lane in enumerate(ids.tolist())}
    rows = [row[lane] for lane in chosen.ids.tolist()]
    differ = np.zeros(len(chosen), bool)
    columns = [piece.arrays() for piece in pieces]
    for name, values in made.arrays().items():
        stored = np.concatenate([some[name] for some in columns])[rows]
        same = (stored == values) | ((stored != stored) & (values != values))
        differ |= ~same.reshape(len(chosen), -1).all(1)
    return len(chosen), [f"{bucket.name} {_cell(chosen, i)}" for i in np.flatnonzero(differ)]


def _unknown(**coordinates: Any) -> None:
    """Stand for an experiment that is not at hand."""


def _cell(lanes: Lanes, i: Any) -> dict[str, Any]:
    return {name: values[i].item() for name, values in lanes.coords.items()} | {"seed": lanes.seeds[i].tolist()}
