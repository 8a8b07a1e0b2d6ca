"""The memory plan: how many blocks of a bucket run at once on a device, and whether its disorder is kept or drawn again."""


from jaxscale.engine.ask.grid import Lanes
from jaxscale.engine.ask.request import Request
from jaxscale.engine.run.cost import draw_cost, step_cost, tree_bytes
from jaxscale.engine.run.executable import Executable
from jaxscale.engine.run.executables import executable_of
from jaxscale.engine.run.program import Program
from jaxscale.engine.run.seats import room_needed

MIN_BLOCKS = 16  # per device: with fewer, the last lanes of a cohort idle for a large part of it
MAX_BLOCKS = 1024  # in flight per device: the last ones idle for under a hundredth of it, and memory stays flat in lanes
REDRAW_SHARE = 0.05  # of the steps' work that drawing disorder again may cost


def fitted(request: Request, program: Program, width: int, lanes: Lanes, most: int | None = None) -> Executable:
    """Return compiled code with room for `lanes`, or for as many as the memory holds, or for `most` blocks a device."""
    blocks, groups = room_needed(lanes, len(request.devices), width, program.shared)
    fitting = blocks_that_fit(request, program, width, groups / blocks)
    redraw = redraws(request, program, width, min(blocks, MAX_BLOCKS), fitting)
    if redraw:
        fitting = blocks_that_fit(request, program, width, 0.0)
    fitting = min(fitting, most or MAX_BLOCKS)
    fitting = max(1, min(fitting, request.reduction.max_runs // width))
    # rounded up, so that a few more seeds next time find the program compiled
    blocks, groups = (min(1 << max(n - 1, 0).bit_length(), fitting) for n in (blocks, groups))
    return executable_of(request, program, width, blocks, groups, redraw)


def blocks_that_fit(request: Request, program: Program, width: int, groups_per_block: float) -> int:
    """Return how many blocks fit on a device; with 0 groups a block, without their disorder."""
    data, state, observed = (tree_bytes(shape) for shape in program.shapes)
    own = state + 2 * observed + 64 + request.reduction.host_bytes(len(program.shapes[2]), len(request.times))
    copies = groups_per_block if program.shared or not groups_per_block else width
    free = max(request.memory - 4 * width * program.lane_bytes, 0)  # less a block in work: old, new and temporaries
    return max(int(free // (width * own + copies * data)), 1)


def redraws(request: Request, program: Program, width: int, wanted: int, fitting: int) -> bool:
    """Return whether the disorder is drawn again in every segment: where keeping it would leave reclaiming too few blocks to
    work with, and drawing costs little beside the steps of a segment.
    """
    if request.disorder is not None:
        return request.disorder == "redrawn"
    if not program.can_stop or fitting >= min(wanted, MIN_BLOCKS):
        return False
    last = int(request.times[-1])
    segments = len(request.times) + 2 * last.bit_length()  # records, and looks at twice the step each
    cheap = segments * draw_cost(program).flops <= REDRAW_SHARE * last * step_cost(program).flops
    return cheap and blocks_that_fit(request, program, width, 0.0) >= 2 * fitting
