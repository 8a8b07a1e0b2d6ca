"""The state that one run of a sweep ends in: what a store does not keep, made again."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.engine.listeners import said
from jaxscale.engine.run.executables import program_of
from jaxscale.engine.run.program import Lane
from jaxscale.engine.store.recorded import Recorded, find_run


def final_state(experiment: Callable[..., Any], runs: Any, cell: Mapping[str, Any]) -> tuple[Any, Any, Any]:
    """Run one lane again, alone, and keep its state.

    It is the run with the same keys; beside others, in a block of the recorded width, the last bits of its arithmetic may
    differ (`replay` repeats them).

    Args:
      experiment: what was swept.
      runs: the Dataset that `sweep` or `load` gave, or the store's folder.
      cell: as for `jaxscale.replay`.

    Returns:
      The system, its data, and its state at the last recorded step.

    Raises:
      ValueError: an axis is missing or unknown, or has no such value.
      StoreError: another experiment.
    """
    record = Recorded.of(runs)
    steps = record.contract["times"][-1]
    request = record.request(experiment, times=np.array([steps]), reduce=False)
    static, index, _ = find_run(record.grid, cell)
    program = program_of(request, static)
    lanes = request.grid.lanes(static).take(np.array([index]))
    coords = {name: jnp.asarray(values[0]) for name, values in lanes.coords.items()}
    lane = Lane(coords, jnp.asarray(lanes.words[0]), jnp.asarray(lanes.seeds[0]))

    @jax.jit
    def run(lane: Lane) -> Any:
        data = program.begin_data(lane)
        key, state = program.begin(lane, data)
        return data, program.run(lane, key, state, data, (jnp.int32(0), jnp.int32(steps)))[0]

    with jax.default_matmul_precision(program.precision), said(f"running {dict(cell)} again to step {steps:,} ..."):
        data, state = run(lane)
    return program.build(Lane({k: v[0] for k, v in lanes.coords.items()}, lane.words, lane.seeds)), data, state
