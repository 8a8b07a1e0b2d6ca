"""Whether a sweep of a user's experiment depends on nothing but what it should."""

import tempfile
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Unpack

import jax
import numpy as np

from jaxscale.engine.ask.options import SweepOptions, takes_options
from jaxscale.engine.sweeping import sweep

if TYPE_CHECKING:
    import xarray


@takes_options
def check_reproducible(experiment: Callable[..., Any], **options: Unpack[SweepOptions]) -> None:
    """Assert that a sweep gives the same bits whatever happens around a run: neighbours, order, devices, memory, interruption.

    Keep it small: it is run several times.

    Args:
      experiment: as for `jaxscale.sweep`.
      **options: see `SweepOptions`.

    Raises:
      AssertionError: naming what a run depends on.
    """
    quiet: Any = options | {"progress": False}
    whole = sweep(experiment, **quiet)
    ways: dict[str, Callable[[], Any]] = {
        "the memory: one block at a time": lambda: sweep(experiment, **quiet | {"memory": 1}),
        "reclaiming stopped runs": lambda: sweep(experiment, **quiet | {"reclaim": False}),
        "the number of devices": lambda: sweep(experiment, **quiet | {"devices": jax.local_devices()[:1]}),
        "the order of the grid": lambda: sweep(experiment, **quiet | {"grid": _turned(options.get("grid") or {})}),
        "being stored in parts": lambda: _in_parts(experiment, quiet),
    }
    for name, way in ways.items():
        other = way().reindex_like(whole)
        for variable in whole:
            same = np.array_equal(whole[variable].values, other[variable].values, equal_nan=whole[variable].dtype.kind == "f")
            assert same, f"'{variable}' depends on {name}; does the experiment use anything but its arguments and keys?"


def _turned(grid: Mapping[str, Any]) -> dict[str, Any]:
    return {name: np.atleast_1d(values)[::-1] for name, values in grid.items()}


def _in_parts(experiment: Callable[..., Any], options: Mapping[str, Any]) -> "xarray.Dataset":
    with tempfile.TemporaryDirectory() as folder:
        for i in range(3):
            runs = sweep(experiment, **{**options, "store": folder, "part": (i, 3)})
        return runs.load()
