"""What a sweep will do, before it does it: lanes, buckets, compiles, bytes, an upper limit of its time."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any, Unpack

from jaxscale.engine.ask.options import SweepOptions, asked, complete, takes_options
from jaxscale.engine.ask.request import Request
from jaxscale.engine.forecast.lowering import lowered
from jaxscale.engine.keep.dataset import result_bytes
from jaxscale.engine.place.bucket import settings
from jaxscale.engine.place.probe import seconds_per_lane_step
from jaxscale.engine.place.room import fitted
from jaxscale.engine.place.sizes import settle_sizes
from jaxscale.engine.run.executables import program_of


@dataclasses.dataclass(frozen=True)
class BucketPlan:
    """What one compiled program will take."""

    static: dict[str, Any]
    lanes: int
    width: int
    width_reason: str  # "given", "measured" or "rule of thumb"
    lanes_at_once: int
    lane_bytes: int
    temporary_bytes: int
    trace_seconds: float
    compile_seconds: float
    seconds: float  # upper limit: as if no lane stopped early
    disorder: str  # "kept" or "redrawn"
    lowers: dict[str, str]  # {platform: "ok" or why not}


@dataclasses.dataclass(frozen=True)
class Plan:
    """A sweep, planned. Print it."""

    buckets: tuple[BucketPlan, ...]
    devices: str
    steps: int
    result_bytes: int  # of what a sweep returns

    @property
    def lanes(self) -> int:
        """How many runs there are in all."""
        return sum(b.lanes for b in self.buckets)

    @property
    def compiles(self) -> int:
        """Programs to compile: a start and a step per bucket."""
        return 2 * len(self.buckets)

    @property
    def seconds(self) -> float:
        """Upper limit of the run time, compiling apart."""
        return sum(b.seconds for b in self.buckets)

    def __str__(self) -> str:
        traced, compiled = sum(b.trace_seconds for b in self.buckets), sum(b.compile_seconds for b in self.buckets)
        head = (
            f"{self.lanes:,} runs of up to {self.steps:,} steps in {len(self.buckets)} bucket(s) on {self.devices}\n"
            f"{self.compiles} compiles: {traced:.1f} s of tracing, {compiled:.1f} s of compiling; "
            f"then at most {duration(self.seconds)} if no run stops early; a result of {size(self.result_bytes)}"
        )
        rows = [
            f"  {b.static or 'all'}: {b.lanes:,} runs, blocks of {b.width} ({b.width_reason}), {b.lanes_at_once:,} runs at "
            f"once, {size(b.lane_bytes)} a run, disorder {b.disorder}, {size(b.temporary_bytes)} scratch, "
            f"at most {duration(b.seconds)}; lowers for {_lowers(b.lowers)}"
            for b in self.buckets
        ]
        return "\n".join([head, *rows])


@takes_options
def plan(experiment: Callable[..., Any], **options: Unpack[SweepOptions]) -> Plan:
    """Compile every bucket of a sweep, time a few steps of one block, and say what the whole will take.

    For hardware that is not there, see `jaxscale.engine.forecast.topology.plan_topology`. Options that only concern running are
    ignored.

    Args:
      experiment: as for `jaxscale.sweep`.
      **options: see `SweepOptions`.
    """
    chosen = complete(options, "plan")
    experiment, chosen = settle_sizes(experiment, chosen)
    request = Request.make(experiment, **asked(chosen))
    buckets = [_plan_bucket(request, static, chosen["store"] is not None) for static in request.grid.buckets()]
    observed = [program_of(request, static).shapes[2] for static in request.grid.buckets()]
    result = sum(result_bytes(request.grid, request.times, request.reduction, one) for one in observed)
    return Plan(tuple(buckets), f"{len(request.devices)} x {request.devices[0].device_kind}", int(request.times[-1]), result)


def _plan_bucket(request: Request, static: dict[str, Any], stored: bool) -> BucketPlan:
    program = program_of(request, static)
    fixed = settings(request, program, stored=stored)
    executable = fitted(request, program, fixed["width"], request.grid.lanes(static))
    before = dict(executable.seconds)
    clock = time.perf_counter()
    _ = executable.start, executable.advance
    spent = {name: seconds - before[name] for name, seconds in executable.seconds.items()}
    traced = time.perf_counter() - clock - spent["compile"]
    lanes, slots = request.grid.lanes_per_bucket, fixed["width"] * len(request.devices)
    return BucketPlan(
        static=static, lanes=lanes, width=fixed["width"], width_reason=fixed["probe"]["why"],
        lanes_at_once=min(executable.rows * len(request.devices), lanes), lane_bytes=program.lane_bytes,
        temporary_bytes=executable.temporary_bytes, trace_seconds=traced, compile_seconds=spent["compile"],
        seconds=seconds_per_lane_step(request, executable) * int(request.times[-1]) * -(-lanes // slots) * slots,
        disorder="redrawn" if executable.redraw else "kept", lowers=lowered(program),
    )  # fmt: skip


def _lowers(verdicts: dict[str, str]) -> str:
    well = ", ".join(name for name, verdict in verdicts.items() if verdict == "ok") or "no platform"
    return "; ".join([well, *(f"NOT for {name}: {verdict}" for name, verdict in verdicts.items() if verdict != "ok")])


def size(count: float) -> str:
    """Return a number of bytes as text."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def duration(seconds: float) -> str:
    """Return a number of seconds as text."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
