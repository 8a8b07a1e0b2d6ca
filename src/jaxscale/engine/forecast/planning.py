"""What a sweep will do, before it does it: lanes, buckets, compiles, bytes, an upper limit of its time."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

from jaxscale.engine.ask.request import Request
from jaxscale.engine.forecast.lowering import lowered
from jaxscale.engine.place.local import settings
from jaxscale.engine.place.probe import seconds_per_lane_step
from jaxscale.engine.place.sizes import settle_sizes

# arguments that planning has no use for
RUNNING = ("store", "progress", "reclaim", "part", "executor", "listeners", "profile", "checkpoint")


@dataclasses.dataclass(frozen=True)
class BucketPlan:
    """One compiled program."""

    static: dict[str, Any]
    lanes: int
    width: int
    why: str  # the width is this
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

    @property
    def lanes(self) -> int:
        """Runs in all."""
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
            f"then at most {duration(self.seconds)} if no run stops early"
        )
        rows = [
            f"  {b.static or 'all'}: {b.lanes:,} runs, blocks of {b.width} ({b.why}), {b.lanes_at_once:,} runs at once, "
            f"{size(b.lane_bytes)} a run, disorder {b.disorder}, {size(b.temporary_bytes)} scratch, "
            f"at most {duration(b.seconds)}; lowers for {_lowers(b.lowers)}"
            for b in self.buckets
        ]
        return "\n".join([head, *rows])


def plan(experiment: Callable[..., Any], **arguments: Any) -> Plan:
    """Compile every bucket of a sweep, time a few steps of one block, and say what the whole will take.

    For hardware that is not there, see `jaxscale.engine.forecast.topology.plan_topology`.

    Args:
      experiment: as for `jaxscale.sweep`.
      **arguments: as for `jaxscale.sweep`; what only concerns running is ignored.
    """
    stored = arguments.get("store") is not None
    if sizes := arguments.pop("sizes", None):
        way, given = arguments.pop("sizes_as", None), {k: v for k, v in arguments.items() if k not in RUNNING}
        devices = given.pop("devices", None)
        experiment, arguments, _ = settle_sizes(experiment, given, sizes, way, arguments.get("store"), devices)
        arguments["devices"] = devices
    request = Request.make(experiment, **{k: v for k, v in arguments.items() if k not in RUNNING})
    found = [_plan_bucket(request, static, stored) for static in request.grid.buckets()]
    return Plan(tuple(found), f"{len(request.devices)} x {request.devices[0].device_kind}", int(request.times[-1]))


def _plan_bucket(request: Request, static: dict[str, Any], stored: bool) -> BucketPlan:
    program = request.program(static)
    fixed = settings(request, program, stored=stored)
    executable = request.executable(program, fixed["width"], request.grid.lanes(static))
    before = dict(executable.seconds)
    clock = time.perf_counter()
    _ = executable.start, executable.advance
    spent = {name: seconds - before[name] for name, seconds in executable.seconds.items()}
    traced = time.perf_counter() - clock - spent["compile"]
    lanes, slots = request.grid.lanes_per_bucket, fixed["width"] * len(request.devices)
    return BucketPlan(
        static=static, lanes=lanes, width=fixed["width"], why=fixed["probe"]["why"],
        lanes_at_once=min(executable.rows * len(request.devices), lanes), lane_bytes=program.lane_bytes,
        temporary_bytes=executable.temporary_bytes, trace_seconds=traced, compile_seconds=spent["compile"],
        seconds=seconds_per_lane_step(request, executable) * int(request.times[-1]) * -(-lanes // slots) * slots,
        disorder="redrawn" if executable.redraw else "kept", lowers=lowered(program),
    )  # fmt: skip


def _lowers(found):
    well = ", ".join(name for name, verdict in found.items() if verdict == "ok") or "no platform"
    return "; ".join([well, *(f"NOT for {name}: {verdict}" for name, verdict in found.items() if verdict != "ok")])


def size(count: float) -> str:
    """Bytes, to read."""
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def duration(seconds: float) -> str:
    """Seconds, to read."""
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
