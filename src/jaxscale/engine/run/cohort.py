"""The host loop of one cohort: step it from one cut to the next, let finished and diverged lanes go, pack the rest."""

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.engine.ask.grid import Lanes
from jaxscale.engine.keep.rows import Records, Rows
from jaxscale.engine.run.executable import Executable
from jaxscale.engine.run.seats import Seats
from jaxscale.engine.store.checkpoint import Checkpoint

DISPATCH_SECONDS = 5e-4  # what a segment costs beside its steps, until it has been measured
SPAN_STEPS, SPAN_SECONDS = 256, 10.0  # the longest segment, until a step has been timed, and then: for progress and checkpoints


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
    recorder: Callable[[Executable, Lanes, np.ndarray, Seats], Any] = Rows,
    tell: Callable[[Progress], None] = lambda progress: None,
    reclaim: bool = True,
    checkpoint: Checkpoint | None = None,
) -> Records:
    """Run `lanes` from step 0, or from a checkpoint, to the last of `times` and record them.

    Results depend on nothing but each lane's coordinates and the block width: not on the cuts made here, nor on which
    lanes share a block, nor on where a run was interrupted.

    Args:
      executable: compiled for at least as many rows (and groups) as needed.
      lanes: at most `rows * devices` of them, in whole groups when disorder is shared.
      times: recorded steps, increasing.
      recorder: keeps what the lanes observe: every lane, or moments over seeds.
      tell: called between segments.
      reclaim: let stopped lanes go. Off, they idle to the end; the results are the same.
      checkpoint: where the cohort is saved between segments, and found again.
    """
    began = time.perf_counter()
    seats = Seats(executable, lanes)
    kept = recorder(executable, lanes, times, seats)
    saved = checkpoint.load(lanes.ids, times) if checkpoint else None
    cohort, records, live, now, finished = _begun(executable, lanes, seats, kept, saved)
    pace, may_stop = _Pace(), executable.program.can_stop and reclaim
    cut = 0 if may_stop else min(int(times[0]), SPAN_STEPS)  # a first record far away is no reason to keep stopped lanes
    if saved:
        cut = pace.next_cut(now, times, may_stop, int(live.sum()))
    while True:
        clock = time.perf_counter()
        cohort, report, slots = _segment(executable, cohort, seats.blocks(live), now, cut)
        stopped, bad = _flags(report, seats)
        ran = time.perf_counter() - clock
        records.paid(int(live.sum()), slots, cut - now)

        diverged = live & (bad >= 0)
        records.diverged_at[diverged] = bad[diverged]
        ended = live & (stopped | diverged) if reclaim else diverged
        kept.see(report, live, ended, cut, records.diverged_at)
        finished += int((ended & ~diverged).sum())
        pace.saw(cut - now, int(live.sum()), int(ended.sum()), ran, time.perf_counter() - clock - ran, slots)
        live &= ~ended
        now = cut
        tell(_progress(records, now, times, live, finished))
        if now == times[-1] or not live.any():
            break
        if checkpoint and checkpoint.due():
            leaves = [leaf[seats.slot[live]] for leaf in jax.tree.leaves(jax.device_get(cohort.state))]
            checkpoint.save(lanes.ids, times, now, live, finished, records, kept.arrays(), leaves)
        cut = pace.next_cut(now, times, may_stop, int(live.sum()))
    records.arrays = kept.close(records.diverged_at)
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
        """Learn from one segment."""
        self.look = 0.5 * self.look + 0.5 * (looked + DISPATCH_SECONDS)
        if steps and live:
            self.step = ran / steps
            self.lane_step = self.step / slots
            self.hazard = 0.5 * self.hazard + 0.5 * ended / (steps * live)

    def next_cut(self, now: int, times: np.ndarray, may_stop: bool, live: int) -> int:
        """The next record, or a point before it: to be seen and saved, and where looking pays, at most twice as far, so that
        estimates stay fresh.
        """
        stride = SPAN_SECONDS / self.step if self.step else SPAN_STEPS
        if may_stop:
            loss = self.lane_step * self.hazard * live
            stride = min(stride, max(now, 8), math.sqrt(2 * self.look / loss) if loss else math.inf)
        return min(int(times[np.searchsorted(times, now, side="right")]), now + int(max(1, stride)))


def _begun(executable, lanes, seats, kept, saved):
    """Cohort, records, live lanes, step and how many have finished: at step 0, or where a checkpoint left them."""
    live = np.ones(len(lanes), bool)
    cohort = executable.start(seats.lanes(lanes), seats.group_lanes(lanes), seats.blocks(live))
    if not saved:
        return cohort, Records(np.full(len(lanes), -1, np.int32)), live, 0, 0
    kept.restore(saved.kept)
    cohort = cohort._replace(state=seats.place_state(cohort.state, saved.leaves, saved.live))
    return cohort, saved.records, saved.live, saved.step, saved.finished


def _segment(executable, cohort, blocks, now, cut):
    """The cohort at the cut, its report, and the slots that were paid for."""
    cohort, report = executable.advance(cohort, blocks, jnp.int32(now), jnp.int32(cut))
    return cohort, report, int(np.asarray(blocks.used).sum()) * executable.width


def _progress(records, now, times, live, finished):
    gone = int((records.diverged_at >= 0).sum())
    return Progress(
        now, int(times[-1]), len(live), int(live.sum()), finished, gone, records.lane_steps, records.slot_steps
    )  # fmt: skip


def _flags(report, seats):
    """Stop flags and first bad steps by lane."""
    stopped, bad, ran = (x[seats.slot] for x in jax.device_get((report.stopped, report.bad, report.ran)))
    return stopped & ran, np.where(ran, bad, -1)
