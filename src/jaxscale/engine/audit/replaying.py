"""One run of a sweep, looked at step by step."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxscale.engine.ask.request import Running
from jaxscale.engine.keep.rows import Rows
from jaxscale.engine.listeners import said
from jaxscale.engine.place.bucket import Bucket
from jaxscale.engine.place.room import fitted
from jaxscale.engine.run.cohort import run_cohort
from jaxscale.engine.run.executables import program_of
from jaxscale.engine.store.recorded import Recorded, find_run

if TYPE_CHECKING:
    import xarray


def replay(
    experiment: Callable[..., Any], runs: Any, cell: Mapping[str, Any], *, times: Sequence[int] | np.ndarray | None = None
) -> "xarray.Dataset":
    """Make one run again, at its recorded width, with every step observed.

    Args:
      experiment: what was swept.
      runs: the Dataset that `sweep` or `load` gave, or the store's folder.
      cell: one value for every axis, `seed` (or `data` and `init`) included; values of the grid, or nearest to them.
      times: steps to observe; every step if None.

    Returns:
      Dataset with dims ("time",) and the cell as scalar coordinates.

    Raises:
      ValueError: an axis is missing or unknown, or has no such value.
      StoreError: another experiment.
    """
    record = Recorded.of(runs)
    every = np.arange(record.contract["times"][-1] + 1)
    request = record.request(experiment, times=every if times is None else times, reduce=False)
    static, index, labels = find_run(record.grid, cell)
    bucket = Bucket(request, program_of(request, static), {})
    record.check_program(bucket.name, bucket.program)
    lanes = bucket.lanes(np.array([index]))
    executable = fitted(request, bucket.program, record.buckets[bucket.name]["width"], lanes)
    with said(f"running {dict(cell)} again to step {int(request.times[-1]):,}, looking {len(request.times):,} times ..."):
        records = run_cohort(executable, lanes, request.times, recorder=Rows, how=Running(reclaim=False))
    import xarray

    variables = {name: ("time", values[0]) for name, values in records.observed.items()}
    return xarray.Dataset(variables, labels | {"time": request.times}, {"diverged_at": int(records.diverged_at[0])})
