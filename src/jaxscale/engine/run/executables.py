"""The programs that this process has compiled, and the guard that says why when one is compiled again."""

import warnings
from typing import Any, NamedTuple

from jaxscale.engine.events import LOG
from jaxscale.engine.run.executable import Executable

_COMPILED: dict["Key", Executable] = {}  # a second sweep of the same program in this process compiles nothing
MANY = 3  # programs of one experiment and static point, equal but for what the code computes: a value has been captured


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


def kept(key: Key, new: Executable) -> Executable:
    """The executable of `key`: `new`, and the reason told, if this process has none."""
    if key not in _COMPILED:
        _tell_cause(key, new.program.experiment)
        _COMPILED[key] = new
    return _COMPILED[key]


def forget(executable: Executable) -> None:
    """Let go of compiled code that does not fit."""
    for key in [key for key, known in _COMPILED.items() if known is executable]:
        del _COMPILED[key]


def _tell_cause(new, experiment):
    """What differs from the most similar program that is compiled; a warning when one code computes ever other things."""
    same = [known for known in _COMPILED if known[:3] == new[:3]]
    if not same:
        return
    nearest = max(same, key=lambda known: sum(a == b for a, b in zip(known, new)))
    causes = [f"{name} {a} -> {b}" for name, a, b in zip(Key._fields, nearest, new) if a != b]
    LOG.info("recompiled: %s, because of %s", new.experiment, "; ".join(causes))
    ours = [known for known in same if _code(_COMPILED[known].program.experiment) == _code(experiment)]
    programs = {known.program for known in ours} | {new.program}
    if new.program != nearest.program and len(programs) >= MANY:
        warnings.warn(
            f"{new.experiment}, bucket {new.bucket}, now has {len(programs)} programs in this process: what it "
            f"computes has changed ({nearest.program} -> {new.program}), so a Python value that it captures or reads differs "
            "from call to call. Make that value an argument of the experiment and an axis of grid=: one program then serves "
            "every value.",
            RetraceWarning,
            stacklevel=2,
        )


def _code(experiment, depth=2):
    """The code of a function and of the functions it captures: what two lambdas on different lines do not share."""
    function = getattr(experiment, "experiment", experiment)  # of sizes: the user's own
    inner = [cell.cell_contents for cell in getattr(function, "__closure__", None) or () if depth]
    return getattr(function, "__code__", type(function)), *(_code(f, depth - 1) for f in inner if callable(f))
