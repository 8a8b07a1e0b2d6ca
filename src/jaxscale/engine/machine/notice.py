"""Notice: the SIGTERM or SIGUSR1 that a scheduler sends some seconds before it kills. Segments end, and what runs is saved."""

import contextlib
import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from typing import Any

from jaxscale.engine.events import LOG

SIGNALS = ("SIGTERM", "SIGUSR1")
REQUEUE = 75  # the exit code that says "try again": EX_TEMPFAIL of sysexits.h

_given: list[int] = []  # the signals that have come; handlers are of the process, and so is this
_watched: set[int] = set()  # the parents that this process ends with


class Noticed(SystemExit):
    """The process was told to end. Runs under way are saved in their store, and the same call goes on with them."""


def given() -> bool:
    """Return whether notice was given, so that no segment begins."""
    return bool(_given)


def check() -> None:
    """Raise `Noticed` if notice was given: what is not saved by now need not be."""
    if _given:
        raise Noticed(REQUEUE)


@contextlib.contextmanager
def heeded(store: Any) -> Iterator[None]:
    """While entered, take notice; afterwards the process exits with `REQUEUE` if any was given.

    Only where there is a store to save into, in the main thread, and for signals that nobody handles yet.

    Args:
      store: folder, or None.
    """
    if store is None or threading.current_thread() is not threading.main_thread():
        yield
        return
    numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
    before = {number: signal.signal(number, _note) for number in numbers if signal.getsignal(number) == signal.SIG_DFL}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        came, _given[:] = list(_given), []
        if came:
            LOG.warning("%s: finished and saved runs are in '%s'; the same call goes on", signal.Signals(came[0]).name, store)
            raise Noticed(REQUEUE)


def _note(number: int, frame: Any) -> None:
    del frame
    _given.append(number)


def end_with(driver: int) -> None:
    """Let this process end when the one that started it does, if that is `driver`: orphans of a pool wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is None or parent.pid != driver or driver in _watched:
        return
    _watched.add(driver)

    def wait() -> None:
        parent.join()
        os._exit(REQUEUE)  # as a kill would: nothing that a store holds can be torn by it

    threading.Thread(target=wait, daemon=True).start()
