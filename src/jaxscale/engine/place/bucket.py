"""One compiled program's runs, with everything settled; and what running cost so far."""

import dataclasses
import time
from typing import Any, Protocol

import numpy as np

from jaxscale.engine.ask.grid import Lanes, bucket_name
from jaxscale.engine.ask.request import Request
from jaxscale.engine.events import PieceDone, Settled, Tell
from jaxscale.engine.keep.pieces import RunsPiece
from jaxscale.engine.place.width import choose_width
from jaxscale.engine.run.program import Program
from jaxscale.engine.run.recorder import Records
from jaxscale.engine.store.contract import Settings, Store


@dataclasses.dataclass(frozen=True)
class Bucket:
    """The runs of one static point."""

    request: Request
    program: Program
    settings: Settings

    @property
    def name(self) -> str:
        """The name in stores and messages."""
        return bucket_name(self.program.static)

    @property
    def width(self) -> int:
        """Lanes per block, the same for every run of the bucket."""
        return int(self.settings["width"])

    def pending(self, pieces: list[Any], part: tuple[int, int] | None = None, path: Any = None) -> np.ndarray:
        """Return the flat positions of the runs that no piece holds; of one part of all runs if asked."""
        request = self.request
        index = np.flatnonzero(~request.reduction.done(request.grid, self.program.static, pieces, path))
        return index if part is None else index[self._part(index, part[1]) == part[0]]

    def failed(self, pieces: list[Any]) -> int:
        """Return how many of the runs asked for have diverged."""
        return self.request.reduction.failed(self.request.grid, self.program.static, pieces)

    def _part(self, index: np.ndarray, parts: int) -> np.ndarray:
        """Return which part a run belongs to, whatever is pending: every part has runs of every cell, so slow cells are shared
        out.
        """
        if self.request.reduction.consecutive:
            return index * parts // self.request.grid.lanes_per_bucket
        return (index // self.request.grid.seeds.get("init", 1)) % parts

    @property
    def may_narrow(self) -> bool:
        """Whether the width is ours to change when memory runs out."""
        given = isinstance(self.request.width, int) or self.settings.get("probe", {}).get("why") == "given"
        return self.width > 2 and not given

    def lanes(self, index: np.ndarray) -> Lanes:
        """Return runs by flat position."""
        return self.request.grid.lanes(self.program.static, index)

    def recorder(self) -> Any:
        """Return what makes the recorder of a cohort."""
        return self.request.reduction.recorder(self.request.grid, self.program.static)


class Runner(Protocol):
    """Where the runs of a sweep are made: in this process, or by workers."""

    def platform(self) -> dict[str, Any]:
        """Return what the bits depend on of the machine that makes the runs."""

    def settle(self, program: Program) -> Bucket:
        """Fix the settings of a bucket, or find them fixed."""

    def run(self, bucket: Bucket, index: np.ndarray, pieces: list[Any]) -> Bucket:
        """Run the lanes at flat positions `index`; return the bucket as it ended. Pieces that this process made are added."""


@dataclasses.dataclass
class Totals:
    """What the runs of a sweep have cost so far."""

    trace_seconds: float = 0.0
    compile_seconds: float = 0.0
    first_run_seconds: float = 0.0
    run_seconds: float = 0.0
    compiles: int = 0
    lane_steps: int = 0
    slot_steps: int = 0
    runs_computed: int = 0

    def add_task(self, done: PieceDone) -> None:
        """Add what a worker's task cost."""
        self.lane_steps += done.lane_steps
        self.slot_steps += done.slot_steps
        self.runs_computed += done.runs_computed or 0
        self.run_seconds += done.seconds

    def add_cohort(self, records: Records, runs: int) -> None:
        """Add what a finished cohort cost."""
        if not self.runs_computed:
            self.first_run_seconds = records.seconds
        self.run_seconds += records.seconds
        self.lane_steps += records.lane_steps
        self.slot_steps += records.slot_steps
        self.runs_computed += runs

    def facts(self) -> dict[str, Any]:
        """Return what a result says of its making."""
        share = self.lane_steps / max(self.slot_steps, 1)
        names = ("trace_seconds", "compile_seconds", "first_run_seconds", "run_seconds", "compiles", "runs_computed")
        return {name: getattr(self, name) for name in names} | {"useful_share": share}


def settle(request: Request, program: Program, store: Store, tell: Tell) -> Bucket:
    """Fix the settings of a bucket in this process, or find them fixed in the store."""

    def make() -> Settings:
        clock = time.perf_counter()
        chosen = settings(request, program, stored=store.outlives)
        tell(Settled(bucket=bucket_name(program.static), seconds=round(time.perf_counter() - clock, 3), **chosen))
        return chosen

    return Bucket(request, program, store.settle(bucket_name(program.static), program.fingerprint, make))


def settings(request: Request, program: Program, *, stored: bool) -> Settings:
    """Return what is fixed of a bucket before it runs; plain JSON."""
    chosen = choose_width(request, program, stored=stored)
    return {"width": chosen.width, "probe": chosen.facts(), "lane_bytes": program.lane_bytes}


def cells(bucket: Bucket, lanes: Lanes, piece: RunsPiece) -> dict[str, np.ndarray]:
    """Return columns of finished runs for a tracker: coordinates, seeds, `diverged_at`, observables at the last recorded
    step.
    """
    seeds = {name: lanes.seeds[:, i] for i, name in enumerate(bucket.request.grid.seeds)}
    last = {name: values[:, -1] for name, values in piece.observed.items()}
    fixed = {name: np.full(len(lanes), value) for name, value in bucket.program.static.items()}
    return fixed | lanes.coords | seeds | {"diverged_at": piece.diverged_at} | last
