"""How many lanes a block has. A width fixes bits, so it is chosen once per bucket and kept in the store."""

import dataclasses
from typing import Any

import numpy as np

from jaxscale.engine.ask.request import Request
from jaxscale.engine.machine.devices import CPU_WIDTH, block_width
from jaxscale.engine.place.probe import BASIC_RATE, lanes_at_once, measure, pick, pilot
from jaxscale.engine.run.cost import step_cost
from jaxscale.engine.run.program import Program

SHARED_WIDTH = 64
WORTH_SECONDS = 300.0  # a probe costs half a minute of compiles and runs: only runs longer than this are probed unasked


@dataclasses.dataclass(frozen=True)
class Width:
    """The width of a bucket's blocks, and where it comes from.

    Attributes:
      width: lanes per block.
      rates: {width: lane-steps a second of full blocks on all devices}, where it was measured.
      why: "given", "measured" or "rule of thumb", in words for people.
    """

    width: int
    rates: dict[int, float]
    why: str

    def facts(self) -> dict[str, Any]:
        """Return plain JSON for a manifest."""
        return {"width": self.width, "why": self.why, "rates": {str(w): float(f"{r:.4g}") for w, r in self.rates.items()}}


def usual_width(request: Request, program: Program) -> int:
    """Return the user's width, or the one that suits the program and the machine by rule of thumb."""
    if isinstance(request.width, int | np.integer):
        return int(request.width)
    platform = request.devices[0].platform
    if program.shared and platform == "cpu":
        cost = step_cost(program)
        products = sum(cost.product_flops.values())
        # matrix times vector has become matrix times matrix: 64 lanes took hardly longer than 16 (four times the rate)
        return SHARED_WIDTH if products > cost.flops / 2 else CPU_WIDTH
    return block_width(program.operand_bytes, platform)


def choose_width(request: Request, program: Program, *, stored: bool) -> Width:
    """Return the user's width; or the rule of thumb's; or the measured one, when asked for or when a stored run is long enough.

    Without a store nothing remembers a measurement, and the next call might measure differently: there the rule of thumb
    keeps two sweeps bit for bit comparable.
    """
    if isinstance(request.width, int | np.integer):
        return Width(int(request.width), {}, "given")
    usual = usual_width(request, program)
    if request.width != "measure":
        if not stored:
            return Width(usual, {}, "rule of thumb")
        lane_steps = request.grid.lanes_per_bucket * int(request.times[-1])
        guess = step_cost(program).flops * lane_steps / (BASIC_RATE * len(request.devices))
        if guess >= WORTH_SECONDS and program.can_stop and not program.shared:  # as if no lane stopped: a pilot knows better
            guess = pilot(request, program, usual)
        if request.devices[0].platform == "cpu" and guess < WORTH_SECONDS:
            return Width(usual, {}, f"rule of thumb: about {guess:.2g} s of work are not worth a probe")
    rates = measure(request, program, usual)
    at_once = lanes_at_once(request, program, usual)
    return Width(pick(rates, usual, at_once, len(request.devices), program.can_stop), rates, "measured")
