"""From lanes to a labelled result: one `xarray.Dataset`, seeds never averaged unless moments were asked for."""

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxscale.engine.ask.grid import Grid, bucket_name
from jaxscale.engine.ask.reduction import Reduction
from jaxscale.engine.errors import StoreError
from jaxscale.engine.keep.pieces import Pieces, RunsPiece
from jaxscale.engine.keep.rows import stored_type
from jaxscale.engine.machine.devices import memory_bytes

if TYPE_CHECKING:
    import xarray

PARTS = "Load a part: js.load(store, sel={axis: values}, times=[...], observables=[...])."
NUMBERS = 16  # of one observable at one time of one grid point, about, where seeds are reduced
EXPLAINED = {
    "diverged_at": ("first step whose state was not finite; -1 if all were", "steps"),
    "runs": ("runs behind the moments", "1"),
    "diverged": ("runs whose state was not finite by then, left out of the moments", "1"),
    "censored": ("runs that had neither stopped nor diverged by then", "1"),
}


def assemble(
    grid: Grid, times: np.ndarray, reduction: Reduction, pieces: Pieces, units: Mapping[str, tuple[str, str]],
    provenance: Mapping[str, Any],
) -> "xarray.Dataset":  # fmt: skip
    """Put finished runs where they belong in one labelled result.

    Returns:
      dims (*static, *grid, seed or data and init, time), or, of moments, (*static, *grid, time, statistic); runs that are
      not there are NaN. `diverged_at` has no time axis.

    Raises:
      StoreError: the result would not fit the memory of this machine.
    """
    import xarray  # half a second, so only when there is a result

    _check_size(grid, times, pieces, reduction)
    columns = [reduction.columns(grid, static, pieces.get(bucket_name(static), []), times) for static in grid.buckets()]
    seeds = grid.seeds if reduction.by_run else {}
    cell_dims = (*grid.static, *grid.axes, *seeds)
    shape = tuple(len(v) for v in (*grid.static.values(), *grid.axes.values())) + tuple(seeds.values())
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
    coords |= {name: np.arange(n) for name, n in seeds.items()} | reduction.coordinates()
    used = {dim for dims, _, _ in variables.values() for dim in dims} | {*cell_dims, "time"}
    provenance = {**provenance, **_account(variables, reduction.by_run, len(columns) * grid.lanes_per_bucket)}
    facts: dict[str, Any] = {k: v if isinstance(v, str | int | float) else json.dumps(v) for k, v in provenance.items()}
    return xarray.Dataset(variables, {k: v for k, v in coords.items() if k in used}, facts)


def _account(variables: Mapping[str, Any], by_run: bool, requested: int) -> dict[str, int]:
    """Return the counts whose sum is always that of the runs asked for; a run that diverged has failed."""
    if by_run:
        diverged_at = variables["diverged_at"][1] if "diverged_at" in variables else np.zeros(0)
        there, failed = int((diverged_at == diverged_at).sum()), int((diverged_at >= 0).sum())
    else:
        counts = (variables[name][1][..., -1] if name in variables else np.zeros(0) for name in ("runs", "diverged"))
        there, failed = (int(np.nansum(count)) for count in counts)  # a bucket that has not begun counts nothing
    return {"requested": requested, "done": there - failed, "failed": failed, "pending": requested - there}


def result_bytes(grid: Grid, times: np.ndarray, reduction: Reduction, observables: Mapping[str, Any]) -> int:
    """Return the bytes of one bucket's result: known before anything is compiled.

    Args:
      grid: of the sweep.
      times: recorded steps.
      reduction: what is kept.
      observables: {name: what has a dtype}.
    """
    if reduction.by_run:
        return grid.lanes_per_bucket * (len(times) * sum(stored_type(o.dtype).itemsize for o in observables.values()) + 12)
    return grid.cells * len(times) * len(observables) * 8 * NUMBERS


def check_room(size: float, grid: Grid, times: np.ndarray) -> None:
    """Raise StoreError where a result of so many bytes cannot be put together in the memory of this machine."""
    wanted = 3 * size  # by bucket, together, and what labels a run
    half = memory_bytes(jax.local_devices(backend="cpu")[:1])  # the other half is for whoever else asks meanwhile
    if wanted > half:
        raise StoreError(
            f"the result would take {wanted / 1e9:.3g} GB and {2 * half / 1e9:.3g} GB are free, half of it to take: "
            f"{grid.lanes_per_bucket:,} runs x {len(times)} times a bucket. Record fewer times, ask for fewer seeds, or "
            f"reduce=True; or sweep into a store. {PARTS}"
        )


def _check_size(grid: Grid, times: np.ndarray, pieces: Pieces, reduction: Reduction) -> None:
    """Raise StoreError where the pieces are too many bytes to put together."""
    one = max((piece.nbytes / max(len(piece), 1) for some in pieces.values() for piece in some), default=8)
    rows = math.prod(len(v) for v in grid.static.values())
    rows *= grid.lanes_per_bucket if reduction.piece is RunsPiece else grid.cells
    check_room((one + 40) * rows, grid, times)
