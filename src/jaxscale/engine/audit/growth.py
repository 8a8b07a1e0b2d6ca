"""More of a stored sweep: more seeds, more values along any axis, other people's stores. Only what is new is computed."""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from jaxscale.engine.ask.grid import Grid, Seeds
from jaxscale.engine.ask.options import Again
from jaxscale.engine.errors import StoreError
from jaxscale.engine.keep.pieces import CellsPiece, Piece
from jaxscale.engine.loading import load
from jaxscale.engine.store.disk import DiskStore
from jaxscale.engine.store.manifest import compare, write_grid
from jaxscale.engine.store.recorded import Recorded
from jaxscale.engine.sweeping import sweep

if TYPE_CHECKING:
    import xarray


def top_up(
    experiment: Callable[..., Any], store: str | os.PathLike, *, seeds: Seeds, **options: Unpack[Again]
) -> "xarray.Dataset":
    """Run the same sweep with more seeds.

    Args:
      experiment: what was swept.
      store: folder of the sweep.
      seeds: how many in all, old ones included.
      **options: how to run, as for `jaxscale.sweep`: devices, memory, executor, progress, ...

    Raises:
      StoreError: no store, or of another experiment.
    """
    return _again(experiment, store, Recorded.of(store).grid, seeds, options)


def extend(
    experiment: Callable[..., Any],
    store: str | os.PathLike,
    *,
    grid: Mapping[str, Any] | None = None,
    static: Mapping[str, Any] | None = None,
    **options: Unpack[Again],
) -> "xarray.Dataset":
    """Run the same sweep with more values along some axes, beside those that are there.

    Args:
      experiment: what was swept.
      store: folder of the sweep.
      grid: {axis: further values}.
      static: {axis: further values}.
      **options: how to run, as for `jaxscale.sweep`.

    Raises:
      ValueError: an axis that the sweep does not have.
      StoreError: no store, or of another experiment.
    """
    old = Recorded.of(store).grid
    more = {str(name): np.atleast_1d(values).tolist() for name, values in {**(grid or {}), **(static or {})}.items()}
    if unknown := sorted((set(grid or {}) - set(old.axes)) | (set(static or {}) - set(old.static))):
        raise ValueError(f"'{unknown[0]}' is no axis of this sweep, whose axes are {[*old.static, *old.axes]}.")
    axes = {name: _union(v, more.get(name, [])) for name, v in old.axes.items()}
    fixed = {name: tuple(_union(v, more.get(name, []))) for name, v in old.static.items()}
    return _again(experiment, store, Grid(axes, fixed, old.seeds, old.share), old.seeds, options)


def merge(stores: Sequence[str | os.PathLike], into: str | os.PathLike) -> "xarray.Dataset":
    """Make one store of several that made parts of one sweep, on machines that share no folder. Run again, it goes on.

    Args:
      stores: folders, left as they are.
      into: a new folder, or one of an earlier merge.

    Raises:
      StoreError: they belong to different sweeps or differ in width, or hold different results of one run.
    """
    sources = [DiskStore.read(path) for path in stores]
    if not sources:
        raise ValueError("merge needs at least one store; got none.")
    first = sources[0].manifest["contract"]
    for path, source in zip(stores, sources):
        compare(path, first, source.manifest["contract"])
    grids = [Recorded.of(path).grid for path in stores]
    with DiskStore.open(into, first, write_grid(_joined(grids))) as target:
        there = target.pieces(mend=True)
        for path, source in zip(stores, sources):
            target.add_units({name: tuple(pair) for name, pair in source.manifest["request"].get("units", {}).items()})
            for name, settings in source.manifest["buckets"].items():
                fixed = target.settle(name, settings["program"], functools.partial(dict, settings))
                compare(path, {"width": fixed["width"]}, {"width": settings["width"]})
            for name, pieces in source.pieces().items():
                for piece in pieces:
                    fresh = _fresh(piece, there.setdefault(name, []), path)
                    if len(fresh):
                        target.write(name, fresh)
                        there[name].append(fresh)
    return load(into)


def _fresh(piece: Piece, there: list[Piece], path: Any) -> Piece:
    """Return the runs of a piece that are not there yet.

    Raises:
      StoreError: one is there with another result.
    """
    new = np.ones(len(piece), bool)
    own = piece.arrays()
    for other in there:
        _, mine, theirs = np.intersect1d(piece.ids, other.ids, return_indices=True)
        new[mine] = False
        old = other.arrays()
        for name in set(own) | set(old):
            if name not in own or name not in old or not _same(own[name][mine], old[name][theirs]):
                raise StoreError(
                    f"'{path}' and another store hold different results ('{name}') of {len(mine)} same runs. One of them is of "
                    "another machine or was altered: `jaxscale verify` tells which."
                )
        if isinstance(piece, CellsPiece) and isinstance(other, CellsPiece):
            _check_overlap(piece, other, new, path)
    return piece.take(new)


def _check_overlap(piece: CellsPiece, other: CellsPiece, new: np.ndarray, path: Any) -> None:
    for cell, low, high in zip(piece.cell[new], piece.low[new], piece.high[new]):
        if np.any((other.cell == cell) & (other.low < high) & (other.high > low)):
            raise StoreError(f"'{path}' holds moments over seeds that another store holds too; they cannot be taken apart.")


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def _joined(grids: Sequence[Grid]) -> Grid:
    first = grids[0]
    axes = {name: np.unique(np.concatenate([g.axes[name] for g in grids])) for name in first.axes}
    fixed = {name: tuple(dict.fromkeys(v for g in grids for v in g.static[name])) for name in first.static}
    return Grid(axes, fixed, {name: max(g.seeds[name] for g in grids) for name in first.seeds}, first.share)


def _again(
    experiment: Callable[..., Any], store: str | os.PathLike, grid: Grid, seeds: Seeds, options: Mapping[str, Any]
) -> "xarray.Dataset":
    again = Recorded.of(store).asked | {"grid": grid.axes, "static": grid.static, "seeds": seeds, "store": store}
    return sweep(experiment, **again, **options)


def _union(old: Any, more: Sequence[Any]) -> Any:
    """Return the old values, then those of the new ones that differ from them as runs see them."""
    if not isinstance(old, np.ndarray):
        return list(dict.fromkeys([*old, *more]))
    further = np.array(more, old.dtype)
    return np.concatenate([old, further[~np.isin(further, old)]])
