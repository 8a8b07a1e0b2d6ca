"""A checked sweep: all refusals of its options stand here or in `grid.py`, and fall on the host before anything compiles."""

import dataclasses
import time
from collections.abc import Callable, Mapping
from typing import Any, Unpack

import jax
import numpy as np

from jaxscale.engine.ask.grid import Grid, check_grid, make_grid
from jaxscale.engine.ask.options import CHECKPOINT_SECONDS, DEFAULTS, Asked
from jaxscale.engine.ask.reduction import Reduction, find_reduction
from jaxscale.engine.machine import devices as machine
from jaxscale.engine.machine import notice
from jaxscale.simulation import check_times

PRECISIONS = ("default", "high", "highest", "bfloat16", "tensorfloat32", "float32")


@dataclasses.dataclass(frozen=True)
class Running:
    """How runs are made, whatever they are; plain data, for workers too."""

    reclaim: bool = True  # let stopped lanes go
    checkpoint: float | None = CHECKPOINT_SECONDS  # seconds between two saves of a cohort under way
    deadline: float | None = None  # of `time.monotonic`, after which no segment begins

    def over(self) -> bool:
        """Return whether no segment may begin any more: the time is up, or the process was told to end."""
        return notice.given() or (self.deadline is not None and time.monotonic() >= self.deadline)


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
    reduction: Reduction
    disorder: str | None = None

    @classmethod
    def make(cls, experiment: Callable[..., Any], *, checked: bool = False, **options: Unpack[Asked]) -> "Request":
        """Check everything on the host; see `Asked` for the options.

        Args:
          experiment: function of the axis names giving a system.
          checked: skip building every grid point.
          **options: what is asked for, sizes settled.
        """
        asked: Mapping[str, Any] = {**DEFAULTS, **options}
        grid = make_grid(asked["grid"], asked["static"], asked["seeds"], asked["share"])
        steps = check_times(asked["times"])
        check_width(asked["width"])
        reduction = find_reduction(asked["reduce"])
        reduction.check(grid)
        if taken := sorted(reduction.reserved & {*grid.axes, *grid.static}):
            raise ValueError(
                f"'{taken[0]}' is part of every result with reduce= and cannot name an axis; rename the parameter."
            )
        if (disorder := asked["disorder"]) not in (None, "kept", "redrawn"):
            raise ValueError(f"disorder must be 'kept', 'redrawn', or None for what the memory suggests; got {disorder!r}.")
        if (precision := asked["precision"]) not in PRECISIONS:
            raise ValueError(f"precision must be one of {list(PRECISIONS)}; got {precision!r}.")
        if not checked:
            check_grid(grid, experiment)
        used = machine.check_devices(asked["devices"])
        memory = check_memory(asked["memory"])
        machine.note_idle_cores(list(used))
        room = memory if memory is not None else machine.memory_bytes(list(used))
        return cls(experiment, grid, steps, int(asked["root"]), precision, used, asked["width"], room, reduction, disorder)

    @property
    def name(self) -> str:
        """What the experiment is called in stores and messages."""
        experiment = self.experiment
        return f"{getattr(experiment, '__module__', '')}.{getattr(experiment, '__qualname__', type(experiment).__name__)}"


def check_width(width: Any) -> None:
    """Raise ValueError if `width` is no width of a block."""
    if width not in (None, "measure") and (not isinstance(width, int | np.integer) or width < 2):
        raise ValueError(
            f"width must be a whole number, at least 2 (XLA makes another kernel of a batch of 1), or 'measure'; got {width!r}."
        )


def check_memory(memory: Any) -> int | None:
    """Return `memory` as whole bytes, or None for what is measured. Raises ValueError if it is no positive number."""
    if memory is None:
        return None
    if isinstance(memory, bool) or not isinstance(memory, int | float | np.number) or memory <= 0:
        raise ValueError(f"memory must be a positive number of bytes per device; got {memory!r}.")
    return int(memory)


def check_manner(options: Mapping[str, Any]) -> None:
    """Raise if the options that say how runs are made do not go together."""
    store, part, executor, budget = options["store"], options["part"], options["executor"], options["budget"]
    if part is not None:
        pair = isinstance(part, tuple | list) and len(part) == 2
        whole = pair and all(isinstance(p, int | np.integer) and not isinstance(p, bool) for p in part)
        if not whole or not 0 <= part[0] < part[1]:
            raise ValueError(f"part must be (i, n), whole numbers with 0 <= i < n; got {part!r}.")
    if executor is not None and options["devices"] is not None:
        raise ValueError("pass devices= or executor=, not both: workers use the devices they have.")
    if (part is not None or executor is not None) and store is None:
        raise ValueError("parts and workers meet in a store: pass store=, a folder that all of them see.")
    if part is not None and executor is not None:
        raise ValueError("pass part= or executor=, not both: an executor cuts the sweep itself.")
    if (checkpoint := options["checkpoint"]) is not None and not _is_number(checkpoint, 0):
        raise ValueError(f"checkpoint must be seconds between two saves, at least 0, or None for never; got {checkpoint!r}.")
    if budget is not None and not _is_number(budget, 0):
        raise ValueError(f"budget must be a number of seconds, at least 0, or None for no limit; got {budget!r}.")
    if budget is not None and (executor is not None or jax.process_count() > 1):
        raise ValueError("budget is of one process's time; workers and pods have that of their scheduler. Leave it out.")


def _is_number(value: Any, least: float) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and bool(value >= least)
