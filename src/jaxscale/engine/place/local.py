"""Runs made in this process: pending lanes of a bucket, cohort by cohort, saved, stored, fewer at once when memory runs out."""

import dataclasses
from typing import Any

import numpy as np

from jaxscale.engine.ask.grid import Lanes
from jaxscale.engine.ask.request import Request, Running
from jaxscale.engine.events import Compiled, OutOfMemory, OutOfTime, PieceDone, Segment, Tell
from jaxscale.engine.keep.pieces import RunsPiece, Take, whole
from jaxscale.engine.machine.devices import is_out_of_memory
from jaxscale.engine.place.bucket import Bucket, Totals, cells, settle
from jaxscale.engine.place.room import fitted
from jaxscale.engine.run.cohort import Progress, run_cohort
from jaxscale.engine.run.executable import Executable
from jaxscale.engine.run.executables import forget
from jaxscale.engine.run.program import Program
from jaxscale.engine.run.reasons import Reason
from jaxscale.engine.run.recorder import Records
from jaxscale.engine.run.seats import room_needed
from jaxscale.engine.store.contract import Store
from jaxscale.engine.store.identity import platform

PIECE_SECONDS = 20.0  # with a store, aim at pieces of this length: it is what a kill can cost
FIRST_BLOCKS = 16  # blocks per device of the first piece, whose speed is not known yet


class TooWide(MemoryError):
    """Not even one block of this width fits."""


@dataclasses.dataclass
class Local:
    """A `Runner` that makes the runs in this process."""

    request: Request
    store: Store
    tell: Tell
    totals: Totals
    how: Running
    part: tuple[int, int] | None = None
    take: Take = whole  # what is kept of a piece beside the store
    saved: list[np.ndarray] = dataclasses.field(default_factory=list)  # cohorts that a checkpoint waits for

    def platform(self) -> dict[str, Any]:
        """Return what the bits depend on of this machine."""
        return platform(self.request)

    def settle(self, program: Program) -> Bucket:
        """Fix the settings of a bucket, or find them fixed in the store."""
        return settle(self.request, program, self.store, self.tell)

    def run(self, bucket: Bucket, index: np.ndarray, pieces: list[Any]) -> Bucket:
        """Run a bucket; if not one block fits, begin it anew with blocks of half the width. Return the bucket as it ended."""
        while True:
            try:
                made = run_bucket(bucket, index, self.store, self.tell, self.totals, self.how, first=self.saved, take=self.take)
            except TooWide as error:
                if not bucket.may_narrow or self.part is not None:  # the other parts run at this width
                    raise MemoryError(str(error)) from error
                narrower = bucket.width // 2
                self.tell(OutOfMemory(bucket=bucket.name, width=bucket.width, now=narrower))
                bucket = dataclasses.replace(bucket, settings=self.store.narrow(bucket.name, narrower))
                pieces.clear()
                index = bucket.pending([])
            else:
                pieces.extend(made)
                return bucket


def run_bucket(
    bucket: Bucket, index: np.ndarray, store: Store, tell: Tell, totals: Totals, how: Running, *, whole: bool = False,
    first: list[np.ndarray] | None = None, take: Take = whole,
) -> list[Any]:  # fmt: skip
    """Run the lanes at flat positions `index`. Out of memory halves the blocks in flight and goes on.

    Args:
      bucket: what to run.
      index: pending lanes, increasing.
      store: where finished pieces go.
      tell: told of everything.
      totals: added to.
      how: reclaiming, checkpoints, the deadline.
      whole: make one piece of as many lanes as fit, for a task that was cut to size already.
      first: identities of cohorts that a checkpoint waits for.
      take: what to return of each piece.

    Returns:
      the pieces made.

    Raises:
      TooWide: not even one block fits.
    """
    made: list[Any] = []
    executable = _compiled(bucket, index, None, tell, totals)
    at_once = FIRST_BLOCKS * executable.width * len(executable.devices)
    queue = _cohorts_first(bucket, index, first or [], whole or not store.outlives)
    while queue:
        waiting, uncut = queue.pop(0)
        while len(waiting):
            if how.over():
                tell(OutOfTime(bucket=bucket.name, step=0, live=len(waiting)))
                return made
            room = executable.rows * len(executable.devices)
            some = waiting[: room if uncut else min(room, at_once)]
            while not _fits(executable, lanes := bucket.lanes(some)):  # groups may leave their last block half empty
                some = some[: -(-len(some) // 2)]
            fewer = None
            try:
                records = run_one(bucket, executable, lanes, store, tell, how)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                fewer = _halve(bucket, executable, error, tell)
            if fewer is not None:  # outside of the except, which would keep what the cohort held
                executable = _compiled(bucket, index, fewer, tell, totals)
                continue
            totals.add_cohort(records, len(some))
            if records.piece is not None:
                made.append(take(records.piece))
                _tell_piece(bucket, lanes, records, tell)
            waiting = waiting[len(some) :]
            rate = len(some) / max(records.seconds, 1e-3)  # the next piece should take about PIECE_SECONDS
            at_once = int(min(max(rate * PIECE_SECONDS, at_once), 8 * at_once))
    return made


def run_one(bucket: Bucket, executable: Executable, lanes: Lanes, store: Store, tell: Tell, how: Running) -> Records:
    """Run one cohort and store its piece. Out of time, runs that have not ended are saved, or, where nothing outlives the
    process,
    left out of the piece.
    """
    program = f"{bucket.program.fingerprint} {executable.width}"
    saver = store.saver(bucket.name, lanes.ids, how.checkpoint, program, tell) if how.checkpoint is not None else None
    last = Progress(0, 0, len(lanes), len(lanes), 0, 0, 0, 0)

    def hear(progress: Progress) -> None:
        nonlocal last
        last = progress
        tell(Segment(bucket=bucket.name, **progress._asdict()))

    records = run_cohort(
        executable, lanes, bucket.request.times, recorder=bucket.recorder(), tell=hear, how=how, saver=saver
    )  # fmt: skip
    if late := bool((records.why == Reason.OUT_OF_TIME).any()):
        tell(OutOfTime(bucket=bucket.name, step=last.step, live=last.live))
        if saver:  # the cohort goes on as it is
            records.piece = None
    if records.piece is not None:
        store.write(bucket.name, records.piece)
    if saver and not late:
        saver.clear()
    return records


def _compiled(bucket: Bucket, waiting: np.ndarray, most: int | None, tell: Tell, totals: Totals) -> Executable:
    """Return the executable for some lanes; its compile times are told and counted the first time."""
    lanes = bucket.lanes(waiting)
    while True:
        executable = fitted(bucket.request, bucket.program, bucket.width, lanes, most)
        before = dict(executable.seconds)
        try:
            _ = executable.start, executable.advance
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            most = _halve(bucket, executable, error, tell)
            continue
        spent = {name: seconds - before[name] for name, seconds in executable.seconds.items()}
        if spent["compile"]:
            totals.compiles += 2
            totals.trace_seconds += spent["trace"]
            totals.compile_seconds += spent["compile"]
            tell(Compiled(bucket=bucket.name, width=executable.width, blocks=executable.blocks,
                          trace_seconds=round(spent["trace"], 3), compile_seconds=round(spent["compile"], 3)))  # fmt: skip
        return executable


def _halve(bucket: Bucket, executable: Executable, error: Exception, tell: Tell) -> int:
    """Return half the blocks in flight.

    Raises:
      TooWide: there is one.
    """
    forget(executable)
    if executable.blocks <= 1:
        raise TooWide(
            f"bucket {bucket.name}: not even one block of {executable.width} runs fits the memory. Use a smaller width=."
        ) from error
    tell(OutOfMemory(bucket=bucket.name, blocks=executable.blocks, now=executable.blocks // 2))
    return executable.blocks // 2


def _cohorts_first(
    bucket: Bucket, index: np.ndarray, first: list[np.ndarray], uncut: bool
) -> list[tuple[np.ndarray, bool]]:  # fmt: skip
    """Return (lanes, whether to run them at once): cohorts with a checkpoint as they were, before all other lanes."""
    queue, ids = [], bucket.lanes(index).ids
    for cohort in first:
        place = {lane: at for at, lane in enumerate(ids.tolist())}
        at = [place[lane] for lane in cohort.tolist() if lane in place]
        if len(at) == len(cohort):  # else some of it has been finished by another way
            queue.append((index[at], True))
            index, ids = np.delete(index, at), np.delete(ids, at)
    return [*queue, (index, uncut)]


def _tell_piece(bucket: Bucket, lanes: Lanes, records: Records, tell: Tell) -> None:
    piece = records.piece
    by_run = isinstance(piece, RunsPiece)
    if by_run and len(piece) < len(lanes):
        lanes = lanes.take(np.isin(lanes.ids, piece.ids))
    tell(PieceDone(
        bucket=bucket.name, runs=len(lanes), seconds=round(records.seconds, 3), segments=records.segments,
        lane_steps=records.lane_steps, slot_steps=records.slot_steps, cells=cells(bucket, lanes, piece) if by_run else None,
    ))  # fmt: skip


def _fits(executable: Executable, lanes: Lanes) -> bool:
    blocks, groups = room_needed(lanes, len(executable.devices), executable.width, executable.program.shared)
    return blocks <= executable.blocks and (groups <= executable.groups or not executable.program.shared)
