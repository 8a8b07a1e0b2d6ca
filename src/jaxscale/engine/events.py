"""What a sweep says while it runs: events, and the listeners that make a bar, a log or a file of them.

An event is a name and plain facts. Nothing inside the compiled programs calls back: events come from the host loop between
segments. Any function of an event is a listener; hand yours to `sweep(listeners=[...])`.
"""

import contextlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

LOG = logging.getLogger("jaxscale")
LEVELS = {
    "segment": logging.DEBUG, "out of memory": logging.WARNING, "checkpoint failed": logging.WARNING,
    "not a number": logging.WARNING,
}  # fmt: skip


class Event(NamedTuple):
    """Something happened.

    Names: "planned" (runs, pending), "settled" (bucket, width, probe), "compiled" (bucket, seconds), "segment" (step, live,
    finished, diverged, lane_steps, slot_steps), "piece" (bucket, runs, seconds, cells), "stored" (the
    cells of workers' pieces, after a round of tasks), "checkpoint", "checkpoint failed",
    "resumed", "out of memory", "not a number" (observable, runs, of: runs that have not diverged), "done".
    """

    name: str
    facts: dict[str, Any]


Listener = Callable[[Event], None]


class Listeners:
    """All listeners of one sweep, called in order."""

    def __init__(self, listeners: Iterable[Listener]):
        self.listeners = [log, *listeners]

    def __call__(self, event: str, /, **facts: Any) -> None:
        """Tell everyone."""
        for listener in self.listeners:
            listener(Event(event, facts))

    @contextlib.contextmanager
    def also(self, bar: "Bar") -> Iterator[None]:
        """With one more listener, closed at the end."""
        self.listeners.append(bar)
        try:
            yield
        finally:
            self.listeners.remove(bar)
            bar.close()


def log(event: Event) -> None:
    """To the `jaxscale` logger: segments at DEBUG, trouble at WARNING, the rest at INFO."""
    level = LEVELS.get(event.name, logging.INFO)
    if LOG.isEnabledFor(level):
        facts = ", ".join(f"{name} {value}" for name, value in event.facts.items() if name != "cells")
        LOG.log(level, "%s: %s", event.name, facts)


class JsonLines:
    """One JSON object a line, appended: {"event", "at" (seconds since 1970), facts...}. At most one segment a second.

    Args:
      path: file; made with its folders if needed.
    """

    def __init__(self, path: str | os.PathLike):
        self.path, self.last = Path(path), 0.0
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def __call__(self, event: Event) -> None:
        """Append a line."""
        now = time.time()
        if event.name == "segment" and now - self.last < 1:
            return
        self.last = now if event.name == "segment" else self.last
        facts = {name: value for name, value in event.facts.items() if name != "cells"}
        with open(self.path, "a") as file:
            file.write(json.dumps({"event": event.name, "at": round(now, 3), **facts}, default=str) + "\n")


class OnCells:
    """Hands finished runs to a function, for experiment trackers.

    Args:
      function: called with a dict of columns, one row per finished run: the coordinates, the seed, `diverged_at`, and each
        observable at the last recorded step. It runs between segments, so keep it quick. With an executor it is called as
        rounds of tasks end; with `reduce` never, since no runs are kept.
    """

    def __init__(self, function: Callable[[dict[str, Any]], None]):
        self.function = function

    def __call__(self, event: Event) -> None:
        """Hand over the runs of a finished piece."""
        if "cells" in event.facts:
            self.function(event.facts["cells"])


class Bar:
    """Progress: runs done, live, finished, diverged, useful share, lane-steps/s, time left. Silent under two seconds.

    Compiling sends no events, so a timer shows the bar if nothing has come by then.
    """

    def __init__(self, total: int, show: bool):
        from tqdm.auto import tqdm

        quiet = not sys.stderr.isatty() and "ipykernel" not in sys.modules  # a log file wants a line now and then
        self.bar = tqdm(total=total, unit="run", disable=not show, delay=2, smoothing=0.1, mininterval=15 if quiet else 0.2,
                        bar_format="{l_bar}{bar}| {n:.0f}/{total} runs [{elapsed}<{remaining}{postfix}]")  # fmt: skip
        self.done, self.steps, self.slots, self.began = 0, 0, 0, time.perf_counter()
        self.waiting = threading.Timer(2, self._compiling)
        self.waiting.daemon = True
        if show:
            self.waiting.start()

    def __call__(self, event: Event) -> None:
        """Move on. A live lane counts for the share of its steps that are done."""
        if event.name == "segment":
            self.waiting.cancel()
            self._segment(event.facts)
        elif event.name == "piece":
            self.done += event.facts["runs"]
            self.steps += event.facts.get("lane_steps", 0)
            self.slots += event.facts.get("slot_steps", 0)
            self.bar.update(max(self.done - self.bar.n, 0))

    def close(self) -> None:
        """No more."""
        self.waiting.cancel()
        self.bar.close()

    def _compiling(self):
        self.bar.delay = 0  # it has been seen, so its end is to be seen too
        self.bar.set_postfix_str("tracing and compiling")

    def _segment(self, now):
        done = self.done + now["lanes"] - now["live"] + now["live"] * now["step"] / max(now["last"], 1)
        steps, slots = self.steps + now["lane_steps"], self.slots + now["slot_steps"]
        rate = steps / max(time.perf_counter() - self.began, 1e-9)
        self.bar.set_postfix_str(
            f"live {now['live']}, finished {now['finished']}, diverged {now['diverged']}, useful {steps / max(slots, 1):.0%}, "
            f"{rate:.3g} lane-steps/s",
            refresh=False,
        )
        self.bar.update(max(done - self.bar.n, 0))


@contextlib.contextmanager
def said(text: str, after: float = 2.0) -> Iterator[None]:
    """What is being done, on stderr, if it takes longer than `after` seconds."""
    timer = threading.Timer(after, lambda: print(text, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextlib.contextmanager
def profiled(folder: str | os.PathLike | None) -> Iterator[None]:
    """A trace of everything inside, written to `folder` for ui.perfetto.dev; nothing for None."""
    if folder is None:
        yield
        return
    import jax

    with jax.profiler.trace(os.fspath(folder), create_perfetto_trace=True):
        yield
