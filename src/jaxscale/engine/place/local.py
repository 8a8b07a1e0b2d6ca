"""The unit of work: some pending lanes of one bucket, cohort by cohort, checkpointed, stored, smaller when memory runs out."""

import dataclasses
import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from jaxscale.engine.ask.grid import Lanes
from jaxscale.engine.ask.request import Request
from jaxscale.engine.keep.dataset import bucket_name
from jaxscale.engine.keep.moments import Moments
from jaxscale.engine.keep.pieces import Piece
from jaxscale.engine.keep.rows import Records, Rows
from jaxscale.engine.keep.sums import covered, entries
from jaxscale.engine.machine.devices import is_out_of_memory
from jaxscale.engine.place.probe import choose_width
from jaxscale.engine.run.cohort import Progress, run_cohort
from jaxscale.engine.run.executable import Executable
from jaxscale.engine.run.executables import forget
from jaxscale.engine.run.program import Program
from jaxscale.engine.run.seats import room_needed
from jaxscale.engine.store.checkpoint import Checkpoint

PIECE_SECONDS = 20.0  # with a store, aim at pieces of this length: it is what a kill can cost
FIRST_BLOCKS = 16  # blocks per device of the first piece, whose speed is not known yet
CHECKPOINT_SECONDS = 60.0

Tell = Callable[..., None]


class TooWide(MemoryError):
    """Not even one block of this width fits."""


class Running(NamedTuple):
    """How runs are made, whatever they are."""

    reclaim: bool = True  # let stopped lanes go
    checkpoint: float | None = CHECKPOINT_SECONDS  # seconds between two saves of a cohort under way


class Keeper(Protocol):
    """Where pieces go: a store, or memory."""

    on_disk: bool

    def write(self, bucket: str, arrays: Any) -> None:
        """Keep a finished piece."""

    def checkpoint_path(self, bucket: str, ids: np.ndarray) -> Any:
        """Where a cohort may be saved; None if nowhere."""


@dataclasses.dataclass(frozen=True)
class Bucket:
    """One compiled program's runs, with everything settled."""

    request: Request
    program: Program
    settings: dict[str, Any]

    @property
    def name(self) -> str:
        """As in stores and messages."""
        return bucket_name(self.program.static)

    @property
    def width(self) -> int:
        """Lanes per block, the same for every run of the bucket."""
        return int(self.settings["width"])

    def pending(self, pieces: list[Piece], part: tuple[int, int] | None = None, store: Any = None) -> np.ndarray:
        """Flat positions of the runs that no piece holds; of one part of all runs if asked."""
        grid, static = self.request.grid, self.program.static
        if self.request.reduce:
            waiting = ~covered(grid, static, pieces, store)
        else:
            done = np.concatenate([piece["ids"] for piece in pieces]) if pieces else np.zeros(0, np.uint64)
            waiting = ~np.isin(grid.lanes(static).ids, done)
        index = np.flatnonzero(waiting)
        return index if part is None else index[self._part(index, part[1]) == part[0]]

    def failed(self, pieces: list[Piece]) -> int:
        """How many of the runs asked for have diverged."""
        grid, static = self.request.grid, self.program.static
        if self.request.reduce:
            return sum(int(piece["diverged"][row, -1]) for _, piece, row in entries(grid, static, pieces))
        bad = [piece["ids"][piece["diverged_at"] >= 0] for piece in pieces]
        return int(np.isin(grid.lanes(static).ids, np.concatenate(bad)).sum()) if bad else 0

    def _part(self, index, parts):
        """Which part a run belongs to, whatever is pending: every part has runs of every cell, so slow cells are shared out."""
        if self.request.reduce:  # moments want consecutive seeds
            return index * parts // self.request.grid.lanes_per_bucket
        return (index // self.request.grid.seeds.get("init", 1)) % parts

    @property
    def may_narrow(self) -> bool:
        """Whether the width is ours to change when memory runs out."""
        given = isinstance(self.request.width, int) or self.settings.get("probe", {}).get("why") == "given"
        return self.width > 2 and not given

    def lanes(self, index: np.ndarray) -> Lanes:
        """Runs by flat position."""
        return self.request.grid.lanes(self.program.static, index)

    def recorder(self) -> Any:
        """What is kept of each cohort."""
        if not self.request.reduce:
            return Rows
        cells = self.request.grid.cell_ids(self.program.static)
        return functools.partial(Moments, grid=self.request.grid, cell_ids=cells, sketch=self.request.reduce == "quantiles")


@dataclasses.dataclass
class Totals:
    """What running cost so far."""

    trace_seconds: float = 0.0
    compile_seconds: float = 0.0
    first_run_seconds: float = 0.0
    run_seconds: float = 0.0
    compiles: int = 0
    lane_steps: int = 0
    slot_steps: int = 0
    runs_computed: int = 0

    def count(self, facts: dict[str, Any]) -> None:
        """What a worker did."""
        self.lane_steps += facts["lane_steps"]
        self.slot_steps += facts["slot_steps"]
        self.runs_computed += facts["runs_computed"]
        self.run_seconds += facts["seconds"]

    def add(self, records: Records, runs: int) -> None:
        """A cohort has been run."""
        if not self.runs_computed:
            self.first_run_seconds = records.seconds
        self.run_seconds += records.seconds
        self.lane_steps += records.lane_steps
        self.slot_steps += records.slot_steps
        self.runs_computed += runs


def run_bucket(
    bucket: Bucket, index: np.ndarray, keeper: Keeper, tell: Tell, totals: Totals, how: Running, *, whole: bool = False,
    first: list[np.ndarray] | None = None,
) -> list[Piece]:  # fmt: skip
    """Run the lanes at flat positions `index`. Out of memory halves the blocks in flight and goes on.

    Args:
      bucket: what to run.
      index: pending lanes, increasing.
      keeper: where finished pieces go.
      tell: told of everything.
      totals: added to.
      how: reclaiming and checkpoints.
      whole: make one piece of as many lanes as fit, for a task that was cut to size already.
      first: identities of cohorts that a checkpoint waits for.

    Raises:
      TooWide: not even one block fits.
    """
    made: list[Piece] = []
    executable = _compiled(bucket, index, None, tell, totals)
    at_once = FIRST_BLOCKS * executable.width * len(executable.devices)
    queue = _cohorts_first(bucket, index, first or [], whole or not keeper.on_disk)
    while queue:
        waiting, uncut = queue.pop(0)
        while len(waiting):
            room = executable.rows * len(executable.devices)
            some = waiting[: room if uncut else min(room, at_once)]
            while not _fits(executable, lanes := bucket.lanes(some)):  # groups may leave their last block half empty
                some = some[: -(-len(some) // 2)]
            fewer = None
            try:
                piece, records = _run_one(bucket, executable, lanes, keeper, tell, how)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                fewer = _halve(bucket, executable, error, tell)
            if fewer is not None:  # outside of the except, which would keep what the cohort held
                executable = _compiled(bucket, index, fewer, tell, totals)
                continue
            made.append(piece)
            totals.add(records, len(some))
            _tell_piece(bucket, lanes, piece, records, tell)
            waiting = waiting[len(some) :]
            rate = len(some) / max(records.seconds, 1e-3)  # the next piece should take about PIECE_SECONDS
            at_once = int(min(max(rate * PIECE_SECONDS, at_once), 8 * at_once))
    return made


def _run_one(bucket, executable, lanes, keeper, tell, how):
    path = keeper.checkpoint_path(bucket.name, lanes.ids) if how.checkpoint is not None else None
    program = f"{bucket.program.fingerprint} {executable.width}"
    saved = Checkpoint(path, how.checkpoint, program, tell) if path is not None else None

    def hear(progress: Progress) -> None:
        tell("segment", bucket=bucket.name, **progress._asdict())

    records = run_cohort(
        executable, lanes, bucket.request.times, recorder=bucket.recorder(), tell=hear, reclaim=how.reclaim, checkpoint=saved
    )
    piece = Piece(records.arrays)
    keeper.write(bucket.name, piece)
    if saved:
        saved.clear()
    return piece, records


def _compiled(bucket, waiting, most, tell, totals) -> Executable:
    """The executable for some lanes; its compile times are told and counted the first time."""
    lanes = bucket.lanes(waiting)
    while True:
        executable = bucket.request.executable(bucket.program, bucket.width, lanes, most)
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
            tell("compiled", bucket=bucket.name, width=executable.width, blocks=executable.blocks,
                 trace_seconds=round(spent["trace"], 3), compile_seconds=round(spent["compile"], 3))  # fmt: skip
        return executable


def _halve(bucket, executable, error, tell) -> int:
    """Fewer blocks in flight."""
    forget(executable)
    if executable.blocks <= 1:
        raise TooWide(
            f"bucket {bucket.name}: not even one block of {executable.width} runs fits the memory. Use a smaller width=."
        ) from error
    tell("out of memory", bucket=bucket.name, blocks=executable.blocks, now=executable.blocks // 2)
    return executable.blocks // 2


def _cohorts_first(bucket, index, first, uncut):
    """(lanes, whether to run them at once): cohorts with a checkpoint as they were, before all other lanes."""
    queue, ids = [], bucket.lanes(index).ids
    for cohort in first:
        place = {lane: at for at, lane in enumerate(ids.tolist())}
        at = [place[lane] for lane in cohort.tolist() if lane in place]
        if len(at) == len(cohort):  # else some of it has been finished by another way
            queue.append((index[at], True))
            index, ids = np.delete(index, at), np.delete(ids, at)
    return [*queue, (index, uncut)]


def _tell_piece(bucket, lanes, piece, records, tell):
    facts = {"bucket": bucket.name, "runs": len(lanes), "seconds": round(records.seconds, 3), "segments": records.segments}
    facts |= {"lane_steps": records.lane_steps, "slot_steps": records.slot_steps}
    if not bucket.request.reduce:
        facts["cells"] = cells(bucket, lanes, piece)
    tell("piece", **facts)


def cells(bucket: Bucket, lanes: Lanes, piece: Piece) -> dict[str, np.ndarray]:
    """Columns of finished runs for a tracker: coordinates, seeds, `diverged_at`, observables at the last recorded step."""
    seeds = {name: lanes.seeds[:, i] for i, name in enumerate(bucket.request.grid.seeds)}
    last = {name: values[:, -1] for name, values in piece.observed.items()}
    fixed = {name: np.full(len(lanes), value) for name, value in bucket.program.static.items()}
    return fixed | lanes.coords | seeds | {"diverged_at": piece["diverged_at"]} | last


def _fits(executable, lanes):
    blocks, groups = room_needed(lanes, len(executable.devices), executable.width, executable.program.shared)
    return blocks <= executable.blocks and (groups <= executable.groups or not executable.program.shared)


def settle(request: Request, program: Program, keeper: Any, tell: Tell) -> Bucket:
    """Fix the settings of a bucket, or find them fixed."""

    def make() -> dict[str, Any]:
        clock = time.perf_counter()
        fixed = settings(request, program, stored=keeper.on_disk)
        tell("settled", bucket=bucket_name(program.static), seconds=round(time.perf_counter() - clock, 3), **fixed)
        return fixed

    return Bucket(request, program, keeper.settle(bucket_name(program.static), program.fingerprint, make))


def settings(request: Request, program: Program, *, stored: bool) -> dict[str, Any]:
    """What is fixed of a bucket before it runs; plain JSON."""
    probe = choose_width(request, program, stored=stored)
    return {"width": probe.width, "probe": probe.facts(), "lane_bytes": program.lane_bytes}
