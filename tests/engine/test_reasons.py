"""Why a lane leaves: the whole table of what can be so at once, against the rule in words."""

import itertools
import time

import numpy as np

from jaxscale.engine.ask.request import Running
from jaxscale.engine.run.reasons import Look, Reason, reasons

FLAGS = np.array(list(itertools.product([False, True], repeat=3)))  # live, not finite, stopped: neighbours differ in the last


def expected(live, bad, stopped, at_end, late, reclaim):
    """The rule in words: divergence outranks the system's word, that outranks the end, and the end outranks the clock."""
    if not live:
        return Reason.LIVE
    if bad:
        return Reason.DIVERGED
    if stopped and reclaim:
        return Reason.STOPPED
    return Reason.COMPLETE if at_end else Reason.OUT_OF_TIME if late else Reason.LIVE


def test_every_combination_of_what_can_be_so():
    live, bad, stopped = FLAGS.T
    for at_end, late, reclaim in itertools.product([False, True], repeat=3):
        how = Running(reclaim=reclaim, deadline=time.monotonic() + (-1.0 if late else 1e6))
        found = reasons(Look(stopped, np.where(bad, 7, -1), at_end), live, how)
        assert found.dtype == np.int8
        assert found.tolist() == [expected(*flags, at_end, late, reclaim) for flags in FLAGS.tolist()], (at_end, late, reclaim)


def test_a_run_that_is_bad_from_the_start_has_diverged():
    assert reasons(Look(np.array([False]), np.array([0]), False), np.array([True]), Running()) == [Reason.DIVERGED]


def test_without_a_deadline_time_is_no_reason():
    nothing = Look(np.zeros(3, bool), np.full(3, -1), False)
    assert np.all(reasons(nothing, np.ones(3, bool), Running()) == Reason.LIVE)


def test_the_numbers_that_checkpoints_hold_stay():
    names = ["LIVE", "STOPPED", "DIVERGED", "COMPLETE", "OUT_OF_TIME"]
    assert [(reason.name, reason.value) for reason in Reason] == [(name, i) for i, name in enumerate(names)]
