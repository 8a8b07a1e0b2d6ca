"""What a sweep will do, before it does it: lanes, buckets, compiles, bytes, an upper limit of its time."""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from jaxscale.simulate import check_times
from jaxscale.sweep import devices as machine
from jaxscale.sweep.executable import Executable
from jaxscale.sweep.execute import room_needed, run_cohort
from jaxscale.sweep.grid import Grid, Lanes, Seeds, check_grid, make_grid
from jaxscale.sweep.program import Program, tree_bytes

_COMPILED: dict[tuple, Executable] = {}  # a second sweep of the same program in this process compiles nothing


@dataclasses.dataclass(frozen=True)
class Request:
    """A checked sweep: everything that `sweep` and `plan` need to know."""

    experiment: Callable[..., Any]
    grid: Grid
    times: np.ndarray
    root: int
    precision: str
    devices: tuple[Any, ...]
    width: int | None
    memory: int  # bytes per device

    @classmethod
    def make(
        cls,
        experiment: Callable[..., Any],
        *,
        grid: Mapping[str, Any] | None = None,
        static: Mapping[str, Any] | None = None,
        seeds: Seeds = 1,
        times: Any,
        share: str | Sequence[str] = (),
        root: int = 0,
        width: int | None = None,
        devices: Sequence[Any] | None = None,
        memory: int | None = None,
        precision: str = "highest",
    ) -> "Request":
        """Check everything on the host; see `jaxscale.sweep` for the arguments."""
        asked = make_grid(grid, static, seeds, share)
        steps = check_times(times)
        if width is not None and (not isinstance(width, int | np.integer) or width < 2):
            raise ValueError(
                f"width must be a whole number, at least 2 (XLA makes another kernel of a batch of 1); got {width}."
            )
        check_grid(asked, experiment)
        used = tuple(devices) if devices is not None else tuple(jax.local_devices())
        machine.note_idle_cores(list(used))
        room = memory if memory is not None else machine.memory_bytes(list(used))
        return cls(experiment, asked, steps, int(root), precision, used, width, room)

    def program(self, static: Mapping[str, Any]) -> Program:
        """The program of one static point."""
        dtypes = {name: values.dtype for name, values in self.grid.axes.items()}
        return Program(self.experiment, static, dtypes, self.grid.shared_disorder, self.root, self.precision)

    def block_width(self, program: Program) -> int:
        """The user's width, or the one that suits the program and the machine."""
        return self.width or machine.block_width(program.operand_bytes, self.devices[0].platform)

    def executable(self, program: Program, width: int, lanes: Lanes) -> Executable:
        """Compiled code with room for `lanes`, or for as many as the memory holds. Reused when it is there."""
        blocks, groups = room_needed(lanes, len(self.devices), width, program.shared)
        data, state, observed = (tree_bytes(shape) for shape in program.shapes)
        own = state + 2 * observed + 4 * len(self.times) * len(program.shapes[2]) + 64  # records wait on the host
        share = (groups / blocks if program.shared else width) * data
        free = max(self.memory - 4 * width * program.lane_bytes, 0)  # less a block in work: old, new and temporaries
        fitting = max(int(free // (width * own + share)), 1)
        # rounded up, so that a few more seeds next time find the program compiled
        blocks, groups = min(_power_of_two(blocks), fitting), min(_power_of_two(groups), fitting)
        key = (program.fingerprint, self.root, self.precision, self.devices, width, blocks, groups)
        if key not in _COMPILED:
            _COMPILED[key] = Executable(program, self.devices, width, blocks, groups)
        return _COMPILED[key]


@dataclasses.dataclass(frozen=True)
class BucketPlan:
    """One compiled program."""

    static: dict[str, Any]
    lanes: int
    width: int
    lanes_at_once: int
    lane_bytes: int
    temporary_bytes: int
    compile_seconds: float
    seconds: float  # upper limit: as if no lane stopped early


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
        head = (
            f"{self.lanes:,} runs of up to {self.steps:,} steps in {len(self.buckets)} bucket(s) on {self.devices}\n"
            f"{self.compiles} compiles, {sum(b.compile_seconds for b in self.buckets):.1f} s; "
            f"then at most {_duration(self.seconds)} if no run stops early"
        )
        rows = [
            f"  {b.static or 'all'}: {b.lanes:,} runs, blocks of {b.width}, {b.lanes_at_once:,} runs at once, "
            f"{_size(b.lane_bytes)} a run, {_size(b.temporary_bytes)} scratch, at most {_duration(b.seconds)}"
            for b in self.buckets
        ]
        return "\n".join([head, *rows])


def plan(experiment: Callable[..., Any], **arguments: Any) -> Plan:
    """Compile every bucket of a sweep, time a few steps of one block, and say what the whole will take.

    Args:
      experiment: as for `jaxscale.sweep`.
      **arguments: as for `jaxscale.sweep`; `store` and `progress` are ignored.
    """
    request = Request.make(experiment, **{k: v for k, v in arguments.items() if k not in ("store", "progress", "reclaim")})
    found = []
    for static in request.grid.buckets():
        program = request.program(static)
        width = request.block_width(program)
        executable = request.executable(program, width, request.grid.lanes(static))
        began = time.perf_counter()
        _ = executable.start, executable.advance
        compiled = time.perf_counter() - began
        lanes = request.grid.lanes_per_bucket
        found.append(
            BucketPlan(
                static,
                lanes,
                width,
                min(executable.rows * len(request.devices), lanes),
                program.lane_bytes,
                executable.temporary_bytes,
                compiled,
                _probe(request, executable, static, lanes),
            )  # fmt: skip
        )
    first = request.devices[0]
    return Plan(tuple(found), f"{len(request.devices)} x {first.device_kind}", int(request.times[-1]))


def _probe(request: Request, executable: Executable, static: Mapping[str, Any], lanes: int) -> float:
    """Seconds for all lanes to the last step, from a few steps of one block per device, nothing reclaimed."""
    last = int(request.times[-1])
    some = request.grid.lanes(static).take(np.arange(min(lanes, executable.width * len(request.devices))))
    steps, seconds = min(8, last), 0.0
    while steps:
        once, twice = (
            min(run_cohort(executable, some, np.array([n]), reclaim=False).seconds for _ in range(2))
            for n in (steps, 2 * steps)
        )
        seconds = max(twice - once, 1e-9) / steps  # the difference leaves out what a cohort costs whatever its length
        if twice > 0.1 or steps == last:
            break
        steps = min(8 * steps, last)
    blocks = -(-lanes // (executable.width * len(request.devices)))
    return seconds * last * blocks


def _power_of_two(n: int) -> int:
    return 1 << max(n - 1, 0).bit_length()


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} GB"


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
