"""Listeners that make a file, a tracker's rows or a bar of a sweep's events; and what is said of work that takes long."""

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from jaxscale.engine.events import Event, PieceDone, Segment


class JsonLines:
    """One JSON object a line, appended: {"event", "at" (seconds since 1970), facts...}. At most one segment a second.

    Args:
      path: file; made with its folders if needed.
    """

    def __init__(self, path: str | os.PathLike):
        self.path, self.last = Path(path), 0.0
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def __call__(self, event: Event) -> None:
        """Append the event as a line."""
        now = time.time()
        if isinstance(event, Segment):
            if now - self.last < 1:
                return
            self.last = now
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
        if isinstance(event, Segment):
            self.waiting.cancel()
            self._segment(event)
        elif isinstance(event, PieceDone):
            self.done += event.runs
            self.steps += event.lane_steps
            self.slots += event.slot_steps
            self.bar.update(max(self.done - self.bar.n, 0))

    def close(self) -> None:
        """Take the bar off the screen."""
        self.waiting.cancel()
        self.bar.close()

    def _compiling(self) -> None:
        self.bar.delay = 0  # it has been seen, so its end is to be seen too
        self.bar.set_postfix_str("tracing and compiling")

    def _segment(self, now: Segment) -> None:
        done = self.done + now.lanes - now.live + now.live * now.step / max(now.last, 1)
        steps, slots = self.steps + now.lane_steps, self.slots + now.slot_steps
        rate = steps / max(time.perf_counter() - self.began, 1e-9)
        self.bar.set_postfix_str(
            f"live {now.live}, finished {now.finished}, diverged {now.diverged}, useful {steps / max(slots, 1):.0%}, "
            f"{rate:.3g} lane-steps/s",
            refresh=False,
        )
        self.bar.update(max(done - self.bar.n, 0))


@contextlib.contextmanager
def said(text: str, after: float = 2.0) -> Iterator[None]:
    """Print on stderr what is being done, if it takes longer than `after` seconds."""
    timer = threading.Timer(after, lambda: print(text, file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@contextlib.contextmanager
def profiled(folder: str | os.PathLike | None) -> Iterator[None]:
    """Write a trace of everything inside to `folder`, for ui.perfetto.dev; do nothing for None."""
    if folder is None:
        yield
        return
    import jax

    with jax.profiler.trace(os.fspath(folder), create_perfetto_trace=True):
        yield
