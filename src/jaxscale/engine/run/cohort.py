"""The host loop of one cohort: step it from one cut to the next, let finished and diverged lanes go, pack the rest."""

import math
import time
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.engine.ask.grid import Lanes
from jaxscale.engine.ask.request import Running
from jaxscale.engine.run.executable import Blocks, Cohort, Executable, Report
from jaxscale.engine.run.reasons import Look, Reason, reasons
from jaxscale.engine.run.recorder import MakeRecorder, Recorder, Records, Saved, Saver
from jaxscale.engine.run.seats import Seats

DISPATCH_SECONDS = 5e-4  # what a segment costs beside its steps, until it has been measured
SPAN_STEPS, SPAN_SECONDS = 256, 10.0  # the longest segment, until a step has been timed, and then: for progress and checkpoints


PLAIN = Running()


class Progress(NamedTuple):
    """The state of a cohort between two segments."""

    step: int
    last: int
    lanes: int
    live: int
    finished: int
    diverged: int
    lane_steps: int
    slot_steps: int


def run_cohort(
    executable: Executable,
    lanes: Lanes,
    times: np.ndarray,
    *,
    recorder: MakeRecorder,
    tell: Callable[[Progress], None] = lambda progress: None,
    how: Running = PLAIN,
    saver: Saver | None = None,
) -> Records:
    """Run `lanes` from step 0, or from where they were saved, to the last of `times` and record them.

    Results depend on nothing but each lane's coordinates and the block width: not on the cuts made here, nor on which
    lanes share a block, nor on where a run was interrupted.

    Args:
      executable: compiled for at least as many rows (and groups) as needed.
      lanes: at most `rows * devices` of them, in whole groups when disorder is shared.
      times: recorded steps, increasing.
      recorder: makes what keeps the lanes' observables: every lane, or moments over seeds.
      tell: called between segments.
      how: whether stopped lanes go (else they idle to the end; the results are the same), and until when segments begin.
      saver: where the cohort is saved between segments, and found again.

    Returns:
      The records; lanes whose reason is `OUT_OF_TIME` are in no piece, and are saved if there is a `saver`.
    """
    began = time.perf_counter()
    seats = Seats(executable, lanes)
    keeping = recorder(executable, lanes, times, seats)
    saved = saver.load(lanes.ids, times) if saver else None
    cohort, records, now = _begun(executable, lanes, seats, keeping, saved)
    live = records.why == Reason.LIVE
    pace, may_stop = _Pace(), executable.program.can_stop and how.reclaim
    cut = 0 if may_stop else min(int(times[0]), SPAN_STEPS)  # a first record far away is no reason to keep stopped lanes
    if saved:
        cut = pace.next_cut(now, times, may_stop, int(live.sum()))
    while True:
        clock = time.perf_counter()
        cohort, report, slots = _segment(executable, cohort, seats.blocks(live), now, cut)
        look = _looked(report, seats, cut == times[-1])
        ran = time.perf_counter() - clock
        records.paid(int(live.sum()), slots, cut - now)

        why = reasons(look, live, how)
        records.diverged_at[live & (why == Reason.DIVERGED)] = look.bad[live & (why == Reason.DIVERGED)]
        ended = (why == Reason.STOPPED) | (why == Reason.DIVERGED)
        keeping.see(report, live, ended, cut, records.diverged_at)
        pace.saw(cut - now, int(live.sum()), int(ended.sum()), ran, time.perf_counter() - clock - ran, slots)
        records.why[live] = np.where(ended, why, Reason.LIVE)[live]
        live &= ~ended
        now = cut
        tell(_progress(records, now, times, live))
        over = now == times[-1] or not live.any()
        late = not over and bool((why[live] == Reason.OUT_OF_TIME).any())
        if saver and not over and (late or saver.due()):
            leaves = [leaf[seats.slot[live]] for leaf in jax.tree.leaves(jax.device_get(cohort.state))]
            saver.save(lanes.ids, times, Saved(now, records, keeping.arrays(), leaves))
        if over or late:
            break
        cut = pace.next_cut(now, times, may_stop, int(live.sum()))
    records.why[live] = why[live]
    records.piece = keeping.close(records.diverged_at, records.why != Reason.OUT_OF_TIME)
    records.seconds = time.perf_counter() - began
    return records


class _Pace:
    """When to look for stopped lanes. Looking costs c seconds; not looking for n steps gives h live n^2 / 2 lane-steps to
    lanes that have stopped, h being the share of live lanes that stop in a step, at s seconds each. Least is lost at
    n = sqrt(2 c / (s h live)). All three are measured as the run goes; the results do not depend on them.
    """

    def __init__(self) -> None:
        self.look, self.step, self.lane_step, self.hazard = DISPATCH_SECONDS, 0.0, 0.0, 0.0

    def saw(self, steps: int, live: int, ended: int, ran: float, looked: float, slots: int) -> None:
        """Learn from what one segment took."""
        self.look = 0.5 * self.look + 0.5 * (looked + DISPATCH_SECONDS)
        if steps and live:
            self.step = ran / steps
            self.lane_step = self.step / slots
            self.hazard = 0.5 * self.hazard + 0.5 * ended / (steps * live)

    def next_cut(self, now: int, times: np.ndarray, may_stop: bool, live: int) -> int:
        """Return the next record, or a point before it: to be seen and saved, and where looking pays, at most twice as far, so
        that estimates stay fresh.
        """
        stride = SPAN_SECONDS / self.step if self.step else SPAN_STEPS
        if may_stop:
            loss = self.lane_step * self.hazard * live
            stride = min(stride, max(now, 8), math.sqrt(2 * self.look / loss) if loss else math.inf)
        return min(int(times[np.searchsorted(times, now, side="right")]), now + int(max(1, stride)))


def _begun(
    executable: Executable, lanes: Lanes, seats: Seats, keeping: Recorder, saved: Saved | None
) -> tuple[Cohort, Records, int]:
    """Return cohort, records and step: at step 0, or where the cohort was saved."""
    cohort = executable.start(seats.lanes(lanes), seats.group_lanes(lanes), seats.blocks(np.ones(len(lanes), bool)))
    if not saved:
        return cohort, Records.empty(len(lanes)), 0
    keeping.restore(saved.recorded)
    live = saved.records.why == Reason.LIVE
    return cohort._replace(state=seats.place_state(cohort.state, saved.leaves, live)), saved.records, saved.step


def _segment(executable: Executable, cohort: Cohort, blocks: Blocks, now: int, cut: int) -> tuple[Cohort, Report, int]:
    """Return the cohort at the cut, its report, and the slots that were paid for."""
    cohort, report = executable.advance(cohort, blocks, jnp.int32(now), jnp.int32(cut))
    return cohort, report, int(np.asarray(blocks.used).sum()) * executable.width


def _progress(records: Records, now: int, times: np.ndarray, live: np.ndarray) -> Progress:
    finished, diverged = (int((records.why == reason).sum()) for reason in (Reason.STOPPED, Reason.DIVERGED))
    return Progress(
        now, int(times[-1]), len(live), int(live.sum()), finished, diverged, records.lane_steps, records.slot_steps
    )  # fmt: skip


def _looked(report: Report, seats: Seats, at_end: bool) -> Look:
    """Return stop flags and first bad steps by lane."""
    stopped, bad, ran = (x[seats.slot] for x in jax.device_get((report.stopped, report.bad, report.ran)))
    return Look(stopped & ran, np.where(ran, bad, -1), at_end)
