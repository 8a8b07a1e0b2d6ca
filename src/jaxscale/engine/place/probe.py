"""Which block width is fastest, by running it. A width fixes bits, so it is chosen once per bucket and kept in the store."""

import dataclasses
import math
import time
from typing import Any

import numpy as np

from jaxscale.engine.ask.request import Request
from jaxscale.engine.machine.devices import is_out_of_memory
from jaxscale.engine.run.cohort import run_cohort
from jaxscale.engine.run.cost import step_cost
from jaxscale.engine.run.executable import Executable
from jaxscale.engine.run.program import Program

WORTH_SECONDS = 300.0  # a probe costs half a minute of compiles and runs: only runs longer than this are probed unasked
BASIC_RATE = 2e9  # flops a second and core of unremarkable code, to guess how long a run is before anything is compiled
PILOT_SECONDS = 5.0  # after which a pilot has shown that a run is long
GAIN = 1.1  # another width than the rule of thumb's must be this much faster, so that noise does not decide
TAIL = 12.0  # longest stopping time over mean, for a cohort of many runs: what the last block idles for
WIDEST = 4096
STEADY_SECONDS = 0.05
MOST_SECONDS, MOST_STEPS = 2.0, 2**22


@dataclasses.dataclass(frozen=True)
class Probe:
    """What was measured. Rates are lane-steps a second of full blocks on all devices."""

    width: int
    rates: dict[int, float]
    why: str

    def facts(self) -> dict[str, Any]:
        """For a manifest; plain JSON."""
        return {"width": self.width, "why": self.why, "rates": {str(w): float(f"{r:.4g}") for w, r in self.rates.items()}}


def choose_width(request: Request, program: Program, *, stored: bool) -> Probe:
    """The user's width; or the rule of thumb's; or the measured one, when asked for or when a stored run is long enough.

    Without a store nothing remembers a measurement, and the next call might measure differently: there the rule of thumb
    keeps two sweeps bit for bit comparable.
    """
    if isinstance(request.width, int | np.integer):
        return Probe(int(request.width), {}, "given")
    usual = request.block_width(program)
    if request.width != "measure":
        if not stored:
            return Probe(usual, {}, "rule of thumb")
        lane_steps = request.grid.lanes_per_bucket * int(request.times[-1])
        guess = step_cost(program).flops * lane_steps / (BASIC_RATE * len(request.devices))
        if guess >= WORTH_SECONDS and program.can_stop and not program.shared:  # as if no lane stopped: a pilot knows better
            guess = pilot(request, program, usual)
        if request.devices[0].platform == "cpu" and guess < WORTH_SECONDS:
            return Probe(usual, {}, f"rule of thumb: about {guess:.2g} s of work are not worth a probe")
    rates = measure(request, program, usual)
    width = pick(rates, usual, _at_once(request, program), len(request.devices), program.can_stop)
    return Probe(width, rates, "measured")


def pilot(request: Request, program: Program, width: int) -> float:
    """Seconds that a bucket will take whose lanes may stop early, from a block of them per device; infinite if it is long."""
    everything, slots = request.grid.lanes_per_bucket, width * len(request.devices)
    index = np.unique(np.linspace(0, everything - 1, min(slots, everything)).astype(np.int64))
    executable, lanes = request.sized(program, width, 1), request.grid.lanes(program.static, index)
    _ = executable.start, executable.advance  # compile before the clock starts
    until = time.perf_counter() + PILOT_SECONDS

    def hurry(progress: Any) -> None:
        if time.perf_counter() > until:
            raise _LongEnough

    try:
        seconds = run_cohort(executable, lanes, request.times[-1:], tell=hurry).seconds
    except _LongEnough:
        return math.inf
    return seconds * everything / len(index)


class _LongEnough(Exception):
    """A pilot that takes longer than is needed to know."""


def pick(rates: dict[int, float], usual: int, at_once: int, devices: int, can_stop: bool) -> int:
    """The width of the largest useful throughput: a cohort's last block idles, the more the wider it is.

    Args:
      rates: {width: lane-steps a second of full blocks}.
      usual: kept unless another is `GAIN` times better.
      at_once: lanes of a cohort, over which the last blocks are spread.
      devices: how many blocks run side by side.
      can_stop: whether lanes leave at different times.
    """

    def useful(width):
        idle = TAIL * width * devices / (2 * at_once) if can_stop else 0.0
        return rates[width] / (1 + idle)

    best = max(rates, key=useful)
    return best if usual not in rates or useful(best) > GAIN * useful(usual) else usual


def measure(request: Request, program: Program, usual: int) -> dict[int, float]:
    """Rates of the usual width and its neighbours, walking up and down by powers of two until it gets slower."""
    rates: dict[int, float] = {}
    for factor in (2.0, 0.5):
        width, best = usual, 0.0
        while 2 <= width <= min(WIDEST, _widest(request, program)):
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
    """Lane-steps a second of one full block per device."""
    return 1 / seconds_per_lane_step(request, request.sized(program, width, 1))


def seconds_per_lane_step(request: Request, executable: Executable) -> float:
    """From two lengths of one block per device, whose difference leaves out what a cohort costs whatever its length."""
    slots = executable.width * len(request.devices)
    some = request.grid.lanes(executable.program.static, np.arange(min(request.grid.lanes_per_bucket, slots)))
    if executable.program.shared:
        some = some.take(slice(0, 1))  # a block holds one group; its empty slots cost the same
    steps = 8
    while True:  # also past the last recorded step: a lane that has stopped costs the same
        once, twice = (
            min(run_cohort(executable, some, np.array([n]), reclaim=False).seconds for _ in range(2))
            for n in (steps, 2 * steps)
        )
        if twice - once > STEADY_SECONDS:
            return (twice - once) / steps / slots
        if twice > MOST_SECONDS or steps >= MOST_STEPS:  # noise, or every lane diverges: an upper limit
            return twice / (2 * steps) / slots
        steps *= 4


def _at_once(request, program):
    executable = request.executable(program, request.block_width(program), request.grid.lanes(program.static))
    return max(1, min(request.grid.lanes_per_bucket, executable.rows * len(request.devices)))


def _widest(request, program):
    return max(2, int(request.memory // max(6 * program.lane_bytes, 1)))
