"""Ctrl-C that nobody swallows: a KeyboardInterrupt raised inside of a library's callback may be lost there."""

import signal
import threading
from types import TracebackType
from typing import Any


class Interrupts:
    """While it is entered, remembers that Ctrl-C was pressed; as a listener of a sweep, raises it again at the next event."""

    asked = False

    def __enter__(self) -> "Interrupts":
        self.before: Any = None
        if threading.current_thread() is threading.main_thread():  # handlers can be set nowhere else
            self.before = signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)

    def __call__(self, event: Any) -> None:
        """Raise what was asked for, if it still is to be raised."""
        del event
        if self.asked:
            raise KeyboardInterrupt

    def _note(self, number: int, frame: Any) -> None:
        self.asked = True
        raise KeyboardInterrupt
