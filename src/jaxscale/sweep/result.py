"""From lanes to a labelled result: one `xarray.Dataset`, seeds never averaged."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxscale.sweep.grid import Grid
from jaxscale.sweep.store import Piece

if TYPE_CHECKING:
    import xarray

DIVERGED = ("first step whose state was not finite; -1 if all were", "steps")


def assemble(
    grid: Grid,
    times: np.ndarray,
    pieces: Mapping[str, list[Piece]],
    units: Mapping[str, tuple[str, str]],
    provenance: Mapping[str, Any],
) -> "xarray.Dataset":
    """Put finished lanes where they belong.

    Returns:
      dims (*static, *grid, seed or data and init, time); lanes that are not there are NaN. `diverged_at` has no time axis.
    """
    import xarray  # half a second, so only when there is a result

    columns = [_bucket_columns(grid, static, pieces.get(bucket_name(static), []), len(times)) for static in grid.buckets()]
    dims = (*grid.static, *grid.axes, *grid.seeds, "time")
    shape = (*(len(v) for v in grid.static.values()), *grid.shape)
    variables = {}
    for name in dict.fromkeys(name for bucket in columns for name in bucket):
        like = next(bucket[name] for bucket in columns if name in bucket)
        parts = [bucket.get(name, np.full(like.shape, np.nan)) for bucket in columns]
        values = np.stack(parts).reshape(*shape, *like.shape[1:])
        definition, unit = units.get(name, DIVERGED if name == "diverged_at" else ("", ""))
        attrs = {"long_name": definition, "units": unit} if definition else {}
        variables[name] = (dims[: values.ndim], values, attrs)
    coords: dict[str, Any] = {name: list(values) for name, values in grid.static.items()}
    coords |= {**grid.axes, **{name: np.arange(n) for name, n in grid.seeds.items()}}
    coords["time"] = ("time", times, {"long_name": "recorded step", "units": "steps"})
    facts: dict[str, Any] = {k: v if isinstance(v, str | int | float) else json.dumps(v) for k, v in provenance.items()}
    return xarray.Dataset(variables, coords, facts)


def bucket_name(static: Mapping[str, Any]) -> str:
    """A bucket's name in stores and messages."""
    return json.dumps(dict(sorted(static.items())))


def _bucket_columns(grid, static, pieces, n_times):
    """{name: (lanes, times) or (lanes,)} of one bucket."""
    ids = grid.lanes(static).ids
    order = np.argsort(ids)
    columns: dict[str, np.ndarray] = {}
    filled = np.zeros(len(ids), bool)
    for piece in pieces:
        place = np.minimum(np.searchsorted(ids[order], piece["ids"]), len(ids) - 1)
        asked = ids[order][place] == piece["ids"]  # a store may hold lanes of a wider grid
        rows = order[place[asked]]
        filled[rows] = True
        for name, values in (piece.observed | {"diverged_at": piece["diverged_at"]}).items():
            if name not in columns:
                columns[name] = np.zeros((len(ids), *values.shape[1:]), values.dtype)
            columns[name][rows] = values[asked]
    if not filled.all():  # whole numbers and flags have no NaN: they become floats where something is missing
        for name, values in columns.items():
            columns[name] = np.where(filled.reshape(-1, *[1] * (values.ndim - 1)), values, np.float32(np.nan))
    return columns
