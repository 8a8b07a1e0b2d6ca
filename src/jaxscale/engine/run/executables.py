"""The programs that this process has compiled, and the guard that says why when one is compiled again."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax

from jaxscale.engine.ask.request import Request
from jaxscale.engine.events import LOG
from jaxscale.engine.run.executable import Executable
from jaxscale.engine.run.program import Program

MIN_RETRACED = 3  # programs of one code and static point, after which a changing value must have been captured

_compiled: dict["Key", Executable] = {}  # a second sweep of the same program in this process compiles nothing


class RetraceWarning(UserWarning):
    """The same code is compiled again and again."""


class Key(NamedTuple):
    """Everything that two sweeps must agree in to share compiled code."""

    experiment: str
    bucket: str
    kind: str  # names and types of the traced axes, whether disorder is shared
    program: str
    root: int
    precision: str
    devices: tuple[Any, ...]
    width: int
    blocks: int
    groups: int
    redraw: bool


def program_of(request: Request, static: Any) -> Program:
    """Return the program of one static point of a request."""
    dtypes = {name: values.dtype for name, values in request.grid.axes.items()}
    grid = request.grid
    return Program(
        request.experiment, static, dtypes, grid.shared_disorder, request.root, request.precision, request.reduction.reserved
    )


def executable_of(
    request: Request, program: Program, width: int, blocks: int, groups: int = 1, redraw: bool = False
) -> Executable:
    """Return compiled code of these dimensions, compiling it when it is first used.

    Raises:
      ValueError: an array without elements on several devices.
    """
    if len(request.devices) > 1 and any(0 in leaf.shape for leaf in jax.tree.leaves(program.shapes[:2])):
        raise ValueError(
            "the state or the data hold an array without elements, which JAX does not shard; leave it out, or use one device."
        )
    key = Key(
        request.name, str(program.static), f"{program.dtypes}, {program.shared}, {program.reserved}", program.fingerprint,
        request.root, request.precision, request.devices, width, blocks, groups, redraw,
    )  # fmt: skip
    return get_or_add(key, Executable(program, request.devices, width, blocks, groups, redraw))


def get_or_add(key: Key, executable: Executable) -> Executable:
    """Return this process's compiled executable for `key`, adding `executable` if there is none.

    Logs which part of the key differs from the most similar entry, and warns (RetraceWarning) when one experiment keeps
    producing
    new programs, usually because it captures a changing Python value.
    """
    if key not in _compiled:
        _tell_cause(key, executable.program.experiment)
        _compiled[key] = executable
    return _compiled[key]


def known() -> list[Executable]:
    """Return what this process has compiled."""
    return list(_compiled.values())


def forget(executable: Executable | None = None) -> None:
    """Let go of compiled code that does not fit; of all that is compiled for None."""
    for key in [key for key, one in _compiled.items() if executable is None or one is executable]:
        del _compiled[key]


@contextlib.contextmanager
def remembered() -> Iterator[None]:
    """Know afterwards what was known before, whatever is forgotten inside."""
    before = dict(_compiled)
    try:
        yield
    finally:
        _compiled.update(before)


@contextlib.contextmanager
def set_aside() -> Iterator[None]:
    """Know no compiled program inside; afterwards those of before are known again, beside those compiled meanwhile."""
    with remembered():
        _compiled.clear()
        yield


def _tell_cause(new: Key, experiment: Any) -> None:
    """Log what differs from the most similar program; warn when one code computes ever other things."""
    same = [key for key in _compiled if key[:3] == new[:3]]
    if not same:
        return
    nearest = max(same, key=lambda key: sum(a == b for a, b in zip(key, new)))
    causes = [f"{name} {a} -> {b}" for name, a, b in zip(Key._fields, nearest, new) if a != b]
    LOG.info("recompiled: %s, because of %s", new.experiment, "; ".join(causes))
    ours = [key for key in same if _code(_compiled[key].program.experiment) == _code(experiment)]
    programs = {key.program for key in ours} | {new.program}
    if new.program != nearest.program and len(programs) >= MIN_RETRACED:
        warnings.warn(
            f"{new.experiment}, bucket {new.bucket}, now has {len(programs)} programs in this process: what it "
            f"computes has changed ({nearest.program} -> {new.program}), so a Python value that it captures or reads differs "
            "from call to call. Make that value an argument of the experiment and an axis of grid=: one program then serves "
            "every value.",
            RetraceWarning,
            stacklevel=2,
        )


def _code(experiment: Any, depth: int = 2) -> tuple[Any, ...]:
    """Return the code of a function and of the functions it captures: what two lambdas on different lines do not share."""
    function = getattr(experiment, "experiment", experiment)  # of sizes: the user's own
    inner = [cell.cell_contents for cell in getattr(function, "__closure__", None) or () if depth]
    return getattr(function, "__code__", type(function)), *(_code(f, depth - 1) for f in inner if callable(f))
