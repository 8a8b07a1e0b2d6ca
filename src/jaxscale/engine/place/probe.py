"""How fast a block width is, by running it."""

import math
import time
from typing import Any

import numpy as np

from jaxscale.engine.ask.request import Request, Running
from jaxscale.engine.keep.rows import Rows
from jaxscale.engine.machine.devices import is_out_of_memory
from jaxscale.engine.place.room import fitted
from jaxscale.engine.run.cohort import run_cohort
from jaxscale.engine.run.executable import Executable
from jaxscale.engine.run.executables import executable_of
from jaxscale.engine.run.program import Program

BASIC_RATE = 2e9  # flops a second and core of unremarkable code, to guess how long a run is before anything is compiled
PILOT_SECONDS = 5.0  # after which a pilot has shown that a run is long
GAIN = 1.1  # another width than the rule of thumb's must be this much faster, so that noise does not decide
TAIL = 12.0  # longest over mean stopping time of a large cohort whose times have an exponential tail: about ln of its lanes
MAX_WIDTH = 4096
STEADY_SECONDS = 0.05
MAX_SECONDS, MAX_STEPS = 2.0, 2**22


def pilot(request: Request, program: Program, width: int) -> float:
    """Return the seconds that a bucket will take whose lanes may stop early, from a block of them per device; infinite if
    it is long.
    """
    everything, slots = request.grid.lanes_per_bucket, width * len(request.devices)
    index = np.unique(np.linspace(0, everything - 1, min(slots, everything)).astype(np.int64))
    executable, lanes = executable_of(request, program, width, 1), request.grid.lanes(program.static, index)
    _ = executable.start, executable.advance  # compile before the clock starts
    until = time.perf_counter() + PILOT_SECONDS

    def hurry(progress: Any) -> None:
        if time.perf_counter() > until:
            raise _LongEnough

    try:
        seconds = run_cohort(executable, lanes, request.times[-1:], recorder=Rows, tell=hurry).seconds
    except _LongEnough:
        return math.inf
    return seconds * everything / len(index)


class _LongEnough(Exception):
    """A pilot that takes longer than is needed to know."""


def pick(rates: dict[int, float], usual: int, at_once: int, devices: int, can_stop: bool) -> int:
    """Return the width of the largest useful throughput: a cohort's last block idles, the more the wider it is.

    Args:
      rates: {width: lane-steps a second of full blocks}.
      usual: kept unless another is `GAIN` times better.
      at_once: lanes of a cohort, over which the last blocks are spread.
      devices: how many blocks run side by side.
      can_stop: whether lanes leave at different times.
    """

    def useful(width: int) -> float:
        idle = TAIL * width * devices / (2 * at_once) if can_stop else 0.0
        return rates[width] / (1 + idle)

    best = max(rates, key=useful)
    return best if usual not in rates or useful(best) > GAIN * useful(usual) else usual


def measure(request: Request, program: Program, usual: int) -> dict[int, float]:
    """Return the rates of the usual width and its neighbours, walking up and down by powers of two until it gets slower."""
    rates: dict[int, float] = {}
    for factor in (2.0, 0.5):
        width, best = usual, 0.0
        while 2 <= width <= min(MAX_WIDTH, _widest(request, program)):
            if width not in rates:
                try:
                    rates[width] = rate(request, program, width)
                except Exception as error:
                    if not is_out_of_memory(error):
                        raise
                    break
            if rates[width] < 0.9 * best:
                break
            best = max(best, rates[width])
            width = int(width * factor)
    return rates or {usual: rate(request, program, usual)}


def rate(request: Request, program: Program, width: int) -> float:
    """Return the lane-steps a second of one full block per device."""
    return 1 / seconds_per_lane_step(request, executable_of(request, program, width, 1))


def seconds_per_lane_step(request: Request, executable: Executable) -> float:
    """Return the seconds from two lengths of one block per device, whose difference leaves out what a cohort costs whatever
    its length.
    """
    slots = executable.width * len(request.devices)
    some = request.grid.lanes(executable.program.static, np.arange(min(request.grid.lanes_per_bucket, slots)))
    if executable.program.shared:
        some = some.take(slice(0, 1))  # a block holds one group; its empty slots cost the same
    steps = 8
    while True:  # also past the last recorded step: a lane that has stopped costs the same
        once, twice = (
            min(run_cohort(executable, some, np.array([n]), recorder=Rows, how=Running(reclaim=False)).seconds for _ in
            range(2))
            for n in (steps, 2 * steps)
        )
        if twice - once > STEADY_SECONDS:
            return (twice - once) / steps / slots
        if twice > MAX_SECONDS or steps >= MAX_STEPS:  # noise, or every lane diverges: an upper limit
            return twice / (2 * steps) / slots
        steps *= 4


def lanes_at_once(request: Request, program: Program, width: int) -> int:
    """Return how many of a bucket's runs are in flight at a width."""
    executable = fitted(request, program, width, request.grid.lanes(program.static))
    return max(1, min(request.grid.lanes_per_bucket, executable.rows * len(request.devices)))


def _widest(request: Request, program: Program) -> int:
    return max(2, int(request.memory // max(6 * program.lane_bytes, 1)))
