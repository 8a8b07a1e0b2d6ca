"""A checked sweep: everything that running and planning need to know."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from hashlib import sha256
from typing import Any

import jax
import numpy as np

from jaxscale.engine.ask.grid import RESERVED, Grid, Lanes, Seeds, check_grid, make_grid
from jaxscale.engine.keep.sums import MOMENT_NAMES, MOST_SUMMED
from jaxscale.engine.machine import devices as machine
from jaxscale.engine.run import executables as compiled
from jaxscale.engine.run.cost import draw_cost, step_cost, tree_bytes
from jaxscale.engine.run.executable import Executable
from jaxscale.engine.run.program import Program
from jaxscale.engine.run.seats import room_needed
from jaxscale.simulation import check_times

SHARED_WIDTH = 64
FEW_BLOCKS = 16  # per device: with fewer, the last lanes of a cohort idle for a large part of it
REDRAW_SHARE = 0.05  # of the steps' work that drawing disorder again may cost
MOST_BLOCKS = 1024  # in flight per device: the last ones idle for under a hundredth of it, and memory stays flat in lanes


@dataclasses.dataclass(frozen=True)
class Request:
    """What is asked for, checked."""

    experiment: Callable[..., Any]
    grid: Grid
    times: np.ndarray
    root: int
    precision: str
    devices: tuple[Any, ...]
    width: int | str | None
    memory: int  # bytes per device
    reduce: bool | str
    disorder: str | None = None

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
        width: int | str | None = None,
        devices: Sequence[Any] | None = None,
        memory: int | None = None,
        precision: str = "highest",
        reduce: bool | str = False,
        disorder: str | None = None,
        checked: bool = False,
    ) -> "Request":
        """Check everything on the host; see `jaxscale.sweep` for the arguments. `checked` skips building every grid point."""
        asked = make_grid(grid, static, seeds, share)
        steps = check_times(times)
        if width not in (None, "measure") and (not isinstance(width, int | np.integer) or width < 2):
            raise ValueError(
                f"width must be a whole number, at least 2 (XLA makes another kernel of a batch of 1), "
                f"or 'measure'; got {width!r}."
            )
        if reduce not in (False, True, "quantiles"):
            raise ValueError(f"reduce must be False, True or 'quantiles'; got {reduce!r}.")
        if reduce and asked.shared_disorder:
            raise ValueError("reduce= takes moments over one seed axis; got seeds={'data', 'init'}. Use a number of seeds.")
        if reduce and (taken := sorted(MOMENT_NAMES & {*asked.axes, *asked.static})):
            raise ValueError(
                f"'{taken[0]}' is part of every result with reduce= and cannot name an axis; rename the parameter."
            )
        if disorder not in (None, "kept", "redrawn"):
            raise ValueError(f"disorder must be 'kept', 'redrawn', or None for what the memory suggests; got {disorder!r}.")
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {list(PRECISIONS)}; got {precision!r}.")
        if not checked:
            check_grid(asked, experiment)
        used = machine.check_devices(devices)
        if memory is not None and (isinstance(memory, bool) or not isinstance(memory, int | float | np.number) or memory <= 0):
            raise ValueError(f"memory must be a positive number of bytes per device; got {memory!r}.")
        machine.note_idle_cores(list(used))
        room = int(memory) if memory is not None else machine.memory_bytes(list(used))
        return cls(experiment, asked, steps, int(root), precision, used, width, room, reduce, disorder)

    def program(self, static: Mapping[str, Any]) -> Program:
        """The program of one static point."""
        dtypes = {name: values.dtype for name, values in self.grid.axes.items()}
        reserved = RESERVED | MOMENT_NAMES if self.reduce else RESERVED
        return Program(self.experiment, static, dtypes, self.grid.shared_disorder, self.root, self.precision, reserved)

    def block_width(self, program: Program) -> int:
        """The user's width, or the one that suits the program and the machine by rule of thumb."""
        if isinstance(self.width, int | np.integer):
            return int(self.width)
        if program.shared and self.devices[0].platform == "cpu":
            cost = step_cost(program)
            products = sum(cost.product_flops.values())
            # matrix times vector has become matrix times matrix: 64 lanes took hardly longer than 16 (four times the rate)
            return SHARED_WIDTH if products > cost.flops / 2 else machine.CPU_WIDTH
        return machine.block_width(program.operand_bytes, self.devices[0].platform)

    def executable(self, program: Program, width: int, lanes: Lanes, most: int | None = None) -> Executable:
        """Compiled code with room for `lanes`, or for as many as the memory holds, or for `most` blocks. Reused if there."""
        blocks, groups = room_needed(lanes, len(self.devices), width, program.shared)
        fitting = self._fitting(program, width, groups / blocks)
        redraw = self._redraws(program, width, min(blocks, MOST_BLOCKS), fitting)
        if redraw:
            fitting = self._fitting(program, width, 0.0)
        fitting = min(fitting, most or MOST_BLOCKS)
        if self.reduce:
            fitting = max(1, min(fitting, MOST_SUMMED // width))
        # rounded up, so that a few more seeds next time find the program compiled
        return self.sized(program, width, min(_power_of_two(blocks), fitting), min(_power_of_two(groups), fitting), redraw)

    def sized(self, program: Program, width: int, blocks: int, groups: int = 1, redraw: bool = False) -> Executable:
        """Compiled code of these dimensions. Reused when it is there; a recompilation is logged with its cause."""
        if len(self.devices) > 1 and any(0 in leaf.shape for leaf in jax.tree.leaves(program.shapes[:2])):
            raise ValueError(
                "the state or the data hold an array without elements, which JAX does not shard; leave it out, or use one "
                "device."
            )
        key = compiled.Key(
            _name(self.experiment), str(program.static), f"{program.dtypes}, {program.shared}, {program.reserved}",
            program.fingerprint, self.root, self.precision, self.devices, width, blocks, groups, redraw,
        )  # fmt: skip
        return compiled.kept(key, Executable(program, self.devices, width, blocks, groups, redraw))

    def _redraws(self, program, width, wanted, fitting):
        """Whether the disorder is drawn again in every segment: where keeping it would leave reclaiming too few blocks to
        work with, and drawing costs little beside the steps of a segment.
        """
        if self.disorder is not None:
            return self.disorder == "redrawn"
        if not program.can_stop or fitting >= min(wanted, FEW_BLOCKS):
            return False
        segments = len(self.times) + 2 * int(self.times[-1]).bit_length()  # records, and looks at twice the step each
        steps = int(self.times[-1]) * step_cost(program).flops
        cheap = segments * draw_cost(program).flops <= REDRAW_SHARE * steps
        return cheap and self._fitting(program, width, 0.0) >= 2 * fitting

    def _fitting(self, program, width, groups_per_block):
        """Blocks that fit on a device; with 0 groups a block, without their disorder."""
        data, state, observed = (tree_bytes(shape) for shape in program.shapes)
        own = state + 2 * observed + 64
        if not self.reduce:
            own += 4 * len(self.times) * len(program.shapes[2])  # records wait on the host
        copies = groups_per_block if program.shared or not groups_per_block else width
        free = max(self.memory - 4 * width * program.lane_bytes, 0)  # less a block in work: old, new and temporaries
        return max(int(free // (width * own + copies * data)), 1)

    @cached_property
    def contract(self) -> dict[str, Any]:
        """What must agree for two runs to be mixed in one result. The platform is added by whoever runs them."""
        try:
            source = inspect.getsource(getattr(self.experiment, "experiment", self.experiment))
        except (OSError, TypeError):
            source = ""  # typed into a console; the program's fingerprint still guards it
        return {
            "experiment": _name(self.experiment),
            "source": sha256(source.encode()).hexdigest()[:16],
            "axes": {name: str(values.dtype) for name, values in sorted(self.grid.axes.items())},
            "static": sorted(self.grid.static),
            "seeds": sorted(self.grid.seeds),
            "share": sorted(self.grid.share),
            "times": self.times.tolist(),
            "root": self.root,
            "precision": self.precision,
            "reduce": self.reduce,
        }

    @property
    def platform(self) -> dict[str, Any]:
        """Where the runs are made, as far as their bits depend on it."""
        device = self.devices[0]
        found = {
            "x64": bool(jax.config.jax_enable_x64),
            "platform": f"{device.platform}: {device.device_kind}",
            "jax": jax.__version__,
        }
        return found | ({"compiler level": machine.cpu_level()} if device.platform == "cpu" else {})


PRECISIONS = ("default", "high", "highest", "bfloat16", "tensorfloat32", "float32")


def _name(experiment):
    return f"{getattr(experiment, '__module__', '')}.{getattr(experiment, '__qualname__', type(experiment).__name__)}"


def _power_of_two(n: int) -> int:
    return 1 << max(n - 1, 0).bit_length()
