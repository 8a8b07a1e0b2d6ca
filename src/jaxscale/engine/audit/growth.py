"""More of a stored sweep: more seeds, more values along any axis, other people's stores. Only what is new is computed."""

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxscale.engine.ask.grid import Grid, Seeds
from jaxscale.engine.audit.verification import Recorded
from jaxscale.engine.keep.pieces import Piece
from jaxscale.engine.store.disk import Store
from jaxscale.engine.store.files import StoreError
from jaxscale.engine.store.manifest import compare, write_grid
from jaxscale.engine.sweeping import load, sweep

if TYPE_CHECKING:
    import xarray


def top_up(experiment: Callable[..., Any], store: str | os.PathLike, *, seeds: Seeds, **options: Any) -> "xarray.Dataset":
    """The same sweep with more seeds.

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
    **options: Any,
) -> "xarray.Dataset":
    """The same sweep with more values along some axes, beside those that are there.

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
    """One store of several that made parts of one sweep, on machines that share no folder. Run again, it goes on.

    Args:
      stores: folders, left as they are.
      into: a new folder, or one of an earlier merge.

    Raises:
      StoreError: they belong to different sweeps or differ in width, or hold different results of one run.
    """
    found = [Store.read(path) for path in stores]
    if not found:
        raise ValueError("merge needs at least one store; got none.")
    for path, other in zip(stores, found):
        compare(path, found[0].manifest["contract"], other.manifest["contract"])
    grids = [Recorded.of(path).grid for path in stores]
    with Store.open(into, found[0].manifest["contract"], write_grid(_joined(grids))) as target:
        kept = {name: pieces for name, pieces in target.pieces(mend=True).items()}
        for path, other in zip(stores, found):
            target.keep_units({name: tuple(pair) for name, pair in other.manifest["request"].get("units", {}).items()})
            for name, settings in other.manifest["buckets"].items():
                fixed = target.settle(name, settings["program"], functools.partial(dict, settings))
                compare(path, {"width": fixed["width"]}, {"width": settings["width"]})
            for name, pieces in other.pieces().items():
                for piece in pieces:
                    fresh = _fresh(piece, kept.setdefault(name, []), path)
                    if len(fresh["ids"]):
                        target.write(name, fresh)
                        kept[name].append(fresh)
    return load(into)


def _fresh(piece: Piece, kept: list[Piece], path: Any) -> Piece:
    """The runs of a piece that are not there yet.

    Raises:
      StoreError: one is there with another result.
    """
    new = np.ones(len(piece["ids"]), bool)
    for other in kept:
        _, mine, theirs = np.intersect1d(piece["ids"], other["ids"], return_indices=True)
        new[mine] = False
        for name in set(piece) | set(other):
            if name not in piece or name not in other or not _same(piece[name][mine], other[name][theirs]):
                raise StoreError(
                    f"'{path}' and another store hold different results ('{name}') of {len(mine)} same runs. One of them is of "
                    "another machine or was altered: `jaxscale verify` tells which."
                )
        if "cell" in piece:
            _check_overlap(piece, other, new, path)
    return Piece({name: values[new] for name, values in piece.items()})


def _check_overlap(piece, other, new, path):
    for cell, low, high in zip(piece["cell"][new], piece["low"][new], piece["high"][new]):
        if np.any((other["cell"] == cell) & (other["low"] < high) & (other["high"] > low)):
            raise StoreError(f"'{path}' holds moments over seeds that another store holds too; they cannot be taken apart.")


def _same(a, b):
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def _joined(grids: Sequence[Grid]) -> Grid:
    first = grids[0]
    axes = {name: np.unique(np.concatenate([g.axes[name] for g in grids])) for name in first.axes}
    fixed = {name: tuple(dict.fromkeys(v for g in grids for v in g.static[name])) for name in first.static}
    return Grid(axes, fixed, {name: max(g.seeds[name] for g in grids) for name in first.seeds}, first.share)


def _again(experiment, store, grid, seeds, options):
    contract = Recorded.of(store).contract
    return sweep(
        experiment, grid=grid.axes, static=grid.static, seeds=seeds, times=contract["times"], share=tuple(grid.share),
        root=contract["root"], precision=contract["precision"], reduce=contract["reduce"], store=store, **options,
    )  # fmt: skip


def _union(old, more):
    """Old values, then those of the new ones that differ from them as runs see them."""
    if not isinstance(old, np.ndarray):
        return list(dict.fromkeys([*old, *more]))
    further = np.array(more, old.dtype)
    return np.concatenate([old, further[~np.isin(further, old)]])
