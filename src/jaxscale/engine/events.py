"""What a sweep says while it runs: one dataclass per event, and who is told.

Nothing inside the compiled programs calls back: events come from the host loop between segments. Any function of an event is a
listener; hand yours to `sweep(listeners=[...])`. Those that ship with jaxscale are in `jaxscale.engine.listeners`.
"""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar

import numpy as np

LOG = logging.getLogger("jaxscale")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Event:
    """Something happened.

    Attributes:
      name: what, in words; the same for every event of its class.
      level: of the log entry.
    """

    name: ClassVar[str] = "event"
    level: ClassVar[int] = logging.INFO

    @property
    def facts(self) -> dict[str, Any]:
        """{field: value}, fields that are None left out."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return {name: value for name, value in values.items() if value is not None}


Listener = Callable[[Event], None]
Tell = Callable[[Event], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planned(Event):
    """A sweep begins: so many runs are asked for, so many of them are not there yet."""

    name = "planned"
    runs: int
    pending: int
    buckets: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settled(Event):
    """The settings of a bucket are fixed for good."""

    name = "settled"
    bucket: str
    seconds: float
    width: int
    probe: dict[str, Any]
    lane_bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Compiled(Event):
    """The programs of a bucket are compiled for blocks of `width` lanes, `blocks` of them per device."""

    name = "compiled"
    bucket: str
    width: int
    blocks: int
    trace_seconds: float
    compile_seconds: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Segment(Event):
    """A cohort has come to `step`. Slot-steps count what was paid for, lane-steps what was of use."""

    name = "segment"
    level = logging.DEBUG
    bucket: str
    step: int
    last: int
    lanes: int
    live: int
    finished: int
    diverged: int
    lane_steps: int
    slot_steps: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class PieceDone(Event):
    """Some runs are finished and, where there is a store, stored. `cells` are columns with a row per run."""

    name = "piece"
    bucket: str
    runs: int
    seconds: float
    lane_steps: int
    slot_steps: int
    segments: int | None = None
    runs_computed: int | None = None
    cells: dict[str, np.ndarray] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class CellsStored(Event):
    """The runs that workers stored in a round of tasks, as in `PieceDone`."""

    name = "stored"
    bucket: str
    runs: int
    cells: dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointSaved(Event):
    """A cohort under way is saved."""

    name = "checkpoint"
    step: int
    live: int
    bytes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckpointFailed(Event):
    """A cohort could not be saved; the run goes on."""

    name = "checkpoint failed"
    level = logging.WARNING
    step: int
    why: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resumed(Event):
    """A cohort goes on from where it was saved."""

    name = "resumed"
    step: int
    live: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutOfMemory(Event):
    """Memory ran out: a bucket has fewer blocks in flight from now on, or, when not even one fits, narrower ones."""

    name = "out of memory"
    level = logging.WARNING
    bucket: str
    now: int
    blocks: int | None = None
    width: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class OutOfTime(Event):
    """The sweep's budget of seconds is spent; runs under way are saved where there is a store."""

    name = "out of time"
    level = logging.WARNING
    bucket: str
    step: int
    live: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Undefined(Event):
    """An observable is not a number in so many runs whose states are finite."""

    name = "not a number"
    level = logging.WARNING
    observable: str
    runs: int
    of: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Done(Event):
    """The sweep is over; `runs` of it were pending when it began."""

    name = "done"
    runs: int
    seconds: float


class Listeners:
    """All listeners of one sweep, called in order."""

    def __init__(self, listeners: Iterable[Listener]):
        self.listeners = [log, *listeners]
        self.error: Exception | None = None

    def __call__(self, event: Event) -> None:
        """Tell every listener of an event. One that raises is told no more, and the sweep goes on; see `settle`."""
        for listener in list(self.listeners):
            try:
                listener(event)
            except Exception as error:
                self.listeners.remove(listener)
                self.error = self.error or error
                LOG.warning("listener %r failed at '%s' and is told no more: %r", listener, event.name, error)

    def settle(self, result: Any) -> None:
        """Raise the first error of a listener, now that nothing is lost by it; it carries the result of the sweep."""
        if self.error is not None:
            self.error.add_note("A listener raised this. The sweep went on: its Dataset is the error's attribute `result`.")
            self.error.result = result  # type: ignore[attr-defined]
            raise self.error

    @contextlib.contextmanager
    def also(self, listener: Listener) -> Iterator[None]:
        """Tell one more listener of what happens inside, and close it at the end if it can be closed."""
        self.listeners.append(listener)
        try:
            yield
        finally:
            if listener in self.listeners:
                self.listeners.remove(listener)
            if hasattr(listener, "close"):
                listener.close()


def log(event: Event) -> None:
    """Write an event to the `jaxscale` logger at its level."""
    if LOG.isEnabledFor(event.level):
        facts = ", ".join(f"{name} {value}" for name, value in event.facts.items() if name != "cells")
        LOG.log(event.level, "%s: %s", event.name, facts)


def silent(event: Event) -> None:
    """Tell nobody of what happened."""
