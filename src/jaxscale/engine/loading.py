"""`load`: what a store holds, whole or in part; a part of a store that is larger than the memory as well."""

import difflib
import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxscale.engine.ask.grid import Grid, bucket_name
from jaxscale.engine.ask.reduction import find_reduction
from jaxscale.engine.ask.request import Request
from jaxscale.engine.errors import StoreError
from jaxscale.engine.events import LOG
from jaxscale.engine.keep.dataset import assemble
from jaxscale.engine.keep.pieces import Piece, RunsPiece
from jaxscale.engine.store.disk import DiskStore
from jaxscale.engine.store.manifest import read_grid, read_times

if TYPE_CHECKING:
    import xarray


def load(
    store: str | os.PathLike, *, sel: Mapping[str, Any] | None = None, times: Sequence[int] | None = None,
    observables: str | Sequence[str] | None = None,
) -> "xarray.Dataset":  # fmt: skip
    """Return the result of a stored sweep, finished or not: runs that are not there yet are NaN.

    A part is read piece by piece, and takes the memory of the part and of one piece.

    Args:
      store: folder.
      sel: {axis: a value or several of those that were swept}; one value takes the axis away, as in xarray.
      times: recorded steps; all if None.
      observables: names; all if None.

    Raises:
      StoreError: `store` is no store, or what is asked for does not fit the memory.
      ValueError: an axis, value, step or observable that is not there.
    """
    opened = DiskStore.read(store)
    manifest = opened.manifest
    reduction = find_reduction(manifest["contract"].get("reduce", False))
    recorded = read_times(manifest)
    grid, single = _chosen(read_grid(manifest), sel or {})
    steps = recorded if times is None else _steps(recorded, times)
    names = [observables] if isinstance(observables, str) else observables
    columns, seen = np.searchsorted(recorded, steps), set[str]()
    ids = np.concatenate([grid.lanes(point).ids for point in grid.buckets()]) if sel else None

    def take(piece: Piece) -> Piece:
        """Return what is asked for of a piece."""
        seen.update(piece.observed if isinstance(piece, RunsPiece) else getattr(piece, "moments", ()))
        if ids is not None and isinstance(piece, RunsPiece):
            piece = piece.take(np.isin(piece.ids, ids))
        return piece if names is None and times is None else piece.part(columns, names)

    try:
        made = assemble(grid, steps, reduction, opened.pieces(take=take), *_origin(manifest))
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"'{store}' holds pieces that do not fit its manifest ({error}). It was altered.") from error
    if seen and (unknown := [name for name in names or () if name not in seen]):
        raise ValueError(f"observables has no {_near(unknown[0], sorted(seen))}.")
    return made.isel(dict.fromkeys(single, 0)) if single else made


def finished_elsewhere(
    store: str | os.PathLike, request: Request, identity: Mapping[str, Any]
) -> "xarray.Dataset | None":  # fmt: skip
    """Return the result of a store that holds every run asked for, made by another JAX: a finished sweep loads whatever comes.

    None where runs are missing, or where more than JAX differs, or nothing does.
    """
    try:
        opened = DiskStore.read(store)
    except StoreError:
        return None  # whoever opens it to write says what is wrong
    made, mine = opened.manifest["contract"], json.loads(json.dumps(identity))
    if {name for name in {*made, *mine} if made.get(name) != mine.get(name)} != {"jax"}:
        return None
    grid, reduction, pieces = request.grid, request.reduction, opened.pieces()
    if not all(reduction.done(grid, point, pieces.get(bucket_name(point), [])).all() for point in grid.buckets()):
        return None
    LOG.warning("'%s' is complete; its runs were made by JAX %s, and this is %s", store, made["jax"], mine["jax"])
    return assemble(grid, request.times, reduction, pieces, *_origin(opened.manifest))


def _origin(manifest: Mapping[str, Any]) -> tuple[dict[str, tuple[str, str]], dict[str, Any]]:
    """Return the units of the observables, and where the runs come from."""
    units = {name: (d, u) for name, (d, u) in manifest["request"].get("units", {}).items()}
    made_by = {key: {name: b[key] for name, b in manifest["buckets"].items()} for key in ("width", "program")}
    return units, manifest["contract"] | made_by


def _chosen(grid: Grid, sel: Mapping[str, Any]) -> tuple[Grid, list[str]]:
    """Return the part of a grid that has the values asked for, and the axes of which one value is."""
    axes, static, single = dict(grid.axes), dict(grid.static), []
    for name, wanted in sel.items():
        if name not in axes and name not in static:
            raise ValueError(f"sel has no {_near(name, [*axes, *static])}.")
        several = isinstance(wanted, list | tuple | np.ndarray)
        values = list(wanted) if several else [wanted]
        single += [] if several else [name]
        if name in axes:
            axes[name] = axes[name][[_place(name, axes[name], value) for value in values]]
        else:
            static[name] = tuple(static[name][_place(name, np.array(static[name], object), value)] for value in values)
    return Grid(axes, static, grid.seeds, grid.share), single


def _place(name: str, values: np.ndarray, wanted: Any) -> int:
    """Return where a value stands on an axis: the nearest number, if it is that but for rounding."""
    if isinstance(wanted, int | float | np.number) and values.dtype != object:
        at = int(np.argmin(np.abs(values.astype(float) - wanted)))
        if np.isclose(values[at], wanted, rtol=1e-5, atol=0):
            return at
    elif wanted in (known := values.tolist()):
        return known.index(wanted)
    raise ValueError(f"sel: axis '{name}' has no {wanted!r}; it has {values.tolist()[:20]}.")


def _steps(recorded: np.ndarray, times: Sequence[int]) -> np.ndarray:
    wanted = np.unique(np.atleast_1d(np.asarray(times)))
    if not len(wanted) or (missing := np.setdiff1d(wanted, recorded)).size:
        what = f"step {missing[0]}" if len(wanted) else "steps"
        raise ValueError(f"times has no {what}; recorded are {recorded.tolist()[:20]}.")
    return wanted.astype(recorded.dtype)


def _near(name: str, known: Any) -> str:
    close = difflib.get_close_matches(str(name), [str(one) for one in known], 1)
    return f"'{name}'; " + (f"did you mean '{close[0]}'?" if close else f"choose from {list(known)}")
