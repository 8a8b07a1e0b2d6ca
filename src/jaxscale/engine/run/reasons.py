"""Why a run ended: one enum, and the one function that decides. A new reason is a member and a line here."""

import enum
from typing import NamedTuple

import numpy as np

from jaxscale.engine.ask.request import Running


class Reason(enum.IntEnum):
    """Why a lane is no longer stepped."""

    LIVE = 0  # it is
    STOPPED = 1  # the system says that the run is over
    DIVERGED = 2  # its state is not finite
    COMPLETE = 3  # it reached the last recorded step
    OUT_OF_TIME = 4  # the sweep's budget is spent, or notice was given; the run is pending


class Look(NamedTuple):
    """What the host knows of a cohort's lanes at the end of a segment."""

    stopped: np.ndarray  # (n,) bool, the system's word
    bad: np.ndarray  # (n,) int, steps taken when the state first was not finite, -1 if it is
    at_end: bool  # this is the last recorded step


def reasons(look: Look, live: np.ndarray, how: Running) -> np.ndarray:
    """Return (n,) int8, why each live lane leaves now; LIVE where it stays, and for lanes that are gone already.

    Later lines outrank earlier ones. Without reclaiming, stopped lanes idle to the end.
    """
    why = np.full(len(live), Reason.LIVE, np.int8)
    if how.over():
        why[:] = Reason.OUT_OF_TIME
    if look.at_end:
        why[:] = Reason.COMPLETE
    if how.reclaim:
        why[look.stopped] = Reason.STOPPED
    why[look.bad >= 0] = Reason.DIVERGED
    return np.where(live, why, np.int8(Reason.LIVE))
