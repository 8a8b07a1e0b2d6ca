"""From lanes to a labelled result: one `xarray.Dataset`, seeds never averaged unless moments were asked for."""

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxscale.engine.ask.grid import Grid
from jaxscale.engine.keep import sums as moments
from jaxscale.engine.keep.pieces import Piece, Pieces
from jaxscale.engine.machine.devices import memory_bytes
from jaxscale.engine.store.files import StoreError

if TYPE_CHECKING:
    import xarray

EXPLAINED = {
    "diverged_at": ("first step whose state was not finite; -1 if all were", "steps"),
    "runs": ("runs behind the moments", "1"),
    "diverged": ("runs whose state was not finite by then, left out of the moments", "1"),
    "censored": ("runs that had neither stopped nor diverged by then", "1"),
}


def assemble(
    grid: Grid, times: np.ndarray, pieces: Pieces, units: Mapping[str, tuple[str, str]], provenance: Mapping[str, Any]
) -> "xarray.Dataset":
    """Put finished runs where they belong.

    Returns:
      dims (*static, *grid, seed or data and init, time), or, of moments, (*static, *grid, time, statistic); runs that are
      not there are NaN. `diverged_at` has no time axis.

    Raises:
      StoreError: the result would not fit the memory of this machine.
    """
    import xarray  # half a second, so only when there is a result

    _check_size(grid, times, pieces)
    reduced = any("cell" in piece for found in pieces.values() for piece in found) or bool(provenance.get("reduce"))
    columns = [
        (_moments if reduced else _lanes)(grid, static, pieces.get(bucket_name(static), []), times) for static in grid.buckets()
    ]
    cell_dims = (*grid.static, *grid.axes, *(() if reduced else grid.seeds))
    shape = tuple(len(v) for v in (*grid.static.values(), *grid.axes.values())) + (
        () if reduced else tuple(grid.seeds.values())
    )
    variables = {}
    for name in dict.fromkeys(name for bucket in columns for name in bucket):
        dims, like = next(bucket[name] for bucket in columns if name in bucket)
        parts = [bucket[name][1] if name in bucket else np.full(like.shape, np.nan) for bucket in columns]
        values = np.stack(parts).reshape(*shape, *like.shape[1:])
        definition, unit = units.get(name.removesuffix("_quantile"), EXPLAINED.get(name, ("", "")))
        attrs = {"long_name": definition, "units": unit} if definition else {}
        if provenance.get("share"):  # these points have their random numbers in common: fits resample them together
            attrs["shared"] = ",".join(provenance["share"])
        variables[name] = ((*cell_dims, *dims), values, attrs)
    coords: dict[str, Any] = {name: list(values) for name, values in grid.static.items()}
    coords |= dict(grid.axes)
    coords["time"] = ("time", times, {"long_name": "recorded step", "units": "steps"})
    if reduced:
        coords |= {"statistic": list(moments.STATISTICS), "quantile": list(moments.QUANTILES)}
    else:
        coords |= {name: np.arange(n) for name, n in grid.seeds.items()}
    used = {dim for dims, _, _ in variables.values() for dim in dims} | {*cell_dims, "time"}
    provenance = {**provenance, **_account(variables, reduced, len(columns) * grid.lanes_per_bucket)}
    facts: dict[str, Any] = {k: v if isinstance(v, str | int | float) else json.dumps(v) for k, v in provenance.items()}
    return xarray.Dataset(variables, {k: v for k, v in coords.items() if k in used}, facts)


def bucket_name(static: Mapping[str, Any]) -> str:
    """A bucket's name in stores and messages."""
    return json.dumps(dict(sorted(static.items())))


def _account(variables, reduced, requested) -> dict[str, int]:
    """Requested = done + failed + pending, always; a run that diverged has failed."""
    if reduced:
        there, failed = (int(variables[name][1][..., -1].sum()) if name in variables else 0 for name in ("runs", "diverged"))
    else:
        diverged_at = variables["diverged_at"][1] if "diverged_at" in variables else np.zeros(0)
        there, failed = int((diverged_at == diverged_at).sum()), int((diverged_at >= 0).sum())
    return {"requested": requested, "done": there - failed, "failed": failed, "pending": requested - there}


def _check_size(grid, times, pieces):
    found = [piece for some in pieces.values() for piece in some]
    one = max((sum(v.nbytes for v in piece.values()) / max(len(piece["ids"]), 1) for piece in found), default=8)
    reduced = any("cell" in piece for piece in found)
    rows = math.prod(len(v) for v in grid.static.values()) * (grid.cells if reduced else grid.lanes_per_bucket)
    wanted = 3 * (one + 40) * rows  # by bucket, together, and what labels a run
    half = memory_bytes(jax.local_devices(backend="cpu")[:1])  # the other half is for whoever else asks meanwhile
    if wanted > half:
        raise StoreError(
            f"the result would take {wanted / 1e9:.3g} GB and {2 * half / 1e9:.3g} GB are free, half of it to take: "
            f"{grid.lanes_per_bucket:,} runs x "
            f"{len(times)} times a bucket. Record fewer times, ask for fewer seeds, or reduce=True."
        )


def _moments(grid, static, pieces, times):
    column = moments.columns(grid, static, pieces, len(times))
    return moments.variables(column)


def _lanes(grid, static, pieces: list[Piece], times) -> "dict[str, tuple[tuple[str, ...], np.ndarray]]":
    """{name: (dims after the run, values)} of one bucket."""
    ids = grid.lanes(static).ids
    order = np.argsort(ids)
    columns: dict[str, np.ndarray] = {}
    filled = np.zeros(len(ids), bool)
    for piece in pieces:
        place = np.minimum(np.searchsorted(ids[order], piece["ids"]), len(ids) - 1)
        asked = ids[order][place] == piece["ids"]  # a store may hold runs of a wider grid
        rows = order[place[asked]]
        filled[rows] = True
        for name, values in (piece.observed | {"diverged_at": piece["diverged_at"]}).items():
            if name not in columns:
                columns[name] = np.zeros((len(ids), *values.shape[1:]), values.dtype)
            columns[name][rows] = values[asked]
    if not filled.all():  # whole numbers and flags have no NaN: they become floats where something is missing
        for name, values in columns.items():
            columns[name] = np.where(filled.reshape(-1, *[1] * (values.ndim - 1)), values, np.float32(np.nan))
    del times
    return {name: (("time",) * (values.ndim - 1), values) for name, values in columns.items()}
