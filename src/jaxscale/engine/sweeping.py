"""`sweep`: every run of a grid, planned, sharded, reclaimed, stored, resumed, on one machine or many."""

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxscale.engine.ask.grid import Seeds
from jaxscale.engine.ask.request import Request
from jaxscale.engine.events import Bar, Listener, Listeners, profiled
from jaxscale.engine.keep.dataset import assemble
from jaxscale.engine.keep.pieces import Pieces
from jaxscale.engine.place import pod
from jaxscale.engine.place.local import CHECKPOINT_SECONDS, Bucket, Running, TooWide, Totals, run_bucket, settle
from jaxscale.engine.place.sizes import settle_sizes
from jaxscale.engine.place.workers import Workers
from jaxscale.engine.store.disk import Store, StoreError
from jaxscale.engine.store.manifest import read_grid, read_times, write_grid

if TYPE_CHECKING:
    import xarray


def sweep(
    experiment: Callable[..., Any],
    *,
    grid: Mapping[str, Any] | None = None,
    static: Mapping[str, Any] | None = None,
    sizes: Mapping[str, Any] | None = None,
    seeds: Seeds = 1,
    times: Any,
    store: str | os.PathLike | None = None,
    share: str | Sequence[str] = (),
    root: int = 0,
    width: int | str | None = None,
    devices: Sequence[Any] | None = None,
    memory: int | None = None,
    precision: str = "highest",
    reclaim: bool = True,
    disorder: str | None = None,
    checkpoint: float | None = CHECKPOINT_SECONDS,
    reduce: bool | str = False,
    sizes_as: str | None = None,
    part: tuple[int, int] | None = None,
    executor: Any = None,
    listeners: Iterable[Listener] = (),
    profile: str | os.PathLike | None = None,
    progress: bool = True,
) -> "xarray.Dataset":
    """Run an experiment at every grid point for many seeds, and label the results.

    A run depends on its own coordinates, its seed, `root` and the block width, and on nothing else: not on the other
    cells, their order, the number of devices or processes, or interruptions. At a fixed width that holds bit for bit.

    Args:
      experiment: function of the axis names giving a system; an ordinary function, so `learning_rate=2 / d` is fine.
      grid: {axis: numbers}; traced, so values cost no compile. The product of all axes is run.
      static: {axis: values}; one compile per point of their product.
      sizes: {axis: whole numbers}, shapes that one padded program can serve: the experiment takes `axis`, traced then, and
        `axis_max`, a plain number.
      seeds: runs per grid point, or {"data": a, "init": b} to cross a draws of the disorder with b of everything else;
        the disorder is then held once for the b runs that share it.
      times: (n,) increasing steps at which to observe; see `jaxscale.log_times`.
      store: folder to keep finished runs in. Running again resumes, also in the middle of a run; a finished sweep is a
        load; a wider grid or more seeds run only what is new.
      share: axes left out of the random key, for common random numbers along them.
      root: seed of everything.
      width: lanes per block, at least 2; "measure" to time several; None for the rule of thumb, or, with a store, for
        a measurement where the run is long enough to pay for it. Kept on resume.
      devices: devices to shard lanes over; all local ones if None.
      memory: bytes per device; measured if None.
      precision: `jax.default_matmul_precision` inside the runs.
      reclaim: drop stopped lanes between segments.
      disorder: "kept" in memory, or "redrawn" from its key in every segment; by the memory plan if None: redrawn where keeping
        it would leave room for few runs at once. The bits are the same.
      checkpoint: with a store, seconds between two saves of runs under way; shorter runs are never saved. None for never.
      reduce: keep moments over seeds (mean, std, skewness, kurtosis, Binder, smallest, largest, counts of diverged and
        censored runs) instead of every run; "quantiles" keeps a sketch of the distribution too.
      sizes_as: "padded" (one program, masked) or "buckets" (a compile per size); the cheaper by estimate if None. Kept on
        resume. The two draw different numbers.
      part: (i, n) to compute the i-th of n parts, counted from 0, into a store that the other parts write too.
      executor: whatever has `submit(function, *arguments)` giving futures: `concurrent.futures`, a Dask client, submitit.
        Workers write their runs into `store`, a folder that all of them see.
      listeners: functions of every `jaxscale.engine.events.Event`, e.g. `JsonLines(path)` or `OnCells(function)`.
      profile: folder for a trace to open in Perfetto.
      progress: show a bar on anything over two seconds.

    Returns:
      Dataset with dims (*static, *grid, "seed" or "data", "init", "time"), one variable per observable, `diverged_at`
      without the time axis, provenance in attrs. A diverged run is NaN from its first bad step on. With `reduce`, dims
      (*static, *grid, "time", "statistic").

    Raises:
      ValueError, TypeError: bad arguments, before anything compiles.
      StoreError: the store belongs to another sweep, or cannot be written.
      MemoryError: not even two runs fit.
    """
    arguments = dict(
        grid=grid, static=static, seeds=seeds, times=times, share=share, root=root, width=width, memory=memory,
        precision=precision, reduce=reduce, disorder=disorder,
    )  # fmt: skip
    _check_places(store, part, executor, devices)
    if checkpoint is not None and (isinstance(checkpoint, bool) or not isinstance(checkpoint, Real) or not checkpoint >= 0):
        raise ValueError(f"checkpoint must be seconds between two saves, at least 0, or None for never; got {checkpoint!r}.")
    if sizes:
        experiment, arguments, _ = settle_sizes(experiment, arguments, sizes, sizes_as, store, devices)
    request = Request.make(experiment, **arguments, devices=devices)
    how = Running(reclaim, checkpoint)
    workers = Workers(executor, experiment, arguments, store, how) if executor is not None else None
    with profiled(profile):
        return _run(request, store, part or pod.part(), workers, Listeners(listeners), how, progress)


def _run(request, store, part, workers, tell, how, progress):
    began = time.perf_counter()
    if pod.part():
        pod.agree(0)  # meet now: processes that first meet after an hour of work find the others gone
    contract = request.contract | (workers.platform() if workers else request.platform)
    totals = Totals()
    opened = (
        Store.open(store, contract, write_grid(request.grid), part) if store is not None else contextlib.nullcontext(_Memory())
    )
    with opened as keeper:
        pieces: Pieces = keeper.pieces(mend=part is None)
        buckets = [
            workers.settle(request, point, keeper) if workers else settle(request, request.program(point), keeper, tell)
            for point in request.grid.buckets()
        ]
        _check_widths(request.width, buckets)
        work = [(bucket, bucket.pending(pieces.get(bucket.name, []), part, keeper.path)) for bucket in buckets]
        total = sum(len(index) for _, index in work)
        tell("planned", runs=request.grid.lanes_per_bucket * len(buckets), pending=total, buckets=len(buckets))
        saved = keeper.saved_cohorts() if total else []
        with tell.also(Bar(total, progress and total > 0)):
            for at, (bucket, index) in enumerate(work):
                if workers:
                    buckets[at] = workers.run(bucket, index, tell, keeper, totals)
                elif len(index):
                    buckets[at] = _run_narrowing(bucket, index, pieces, keeper, tell, totals, how, saved, part)
        if part is None:
            keeper.drop_checkpoints(lambda: np.concatenate([request.grid.lanes(p).ids for p in request.grid.buckets()]))
        units = keeper.keep_units({name: pair for bucket in buckets for name, pair in bucket.program.units.items()})
        if workers or (part and store is not None):
            pieces = keeper.pieces()
        _tell_undefined(pieces, tell)
        tell("done", runs=total, seconds=round(time.perf_counter() - began, 3))
    if pod.part():
        pieces = pod.gather(pieces, store)
        pod.check_complete(sum(len(bucket.pending(pieces.get(bucket.name, []))) for bucket in buckets), store)
    made_by = {"width": {b.name: b.width for b in buckets}, "program": {b.name: b.program.fingerprint for b in buckets}}
    provenance = contract | made_by | _account(totals) | {"wall_seconds": time.perf_counter() - began}
    return assemble(request.grid, request.times, pieces, units, provenance | {"created": time.strftime("%FT%T%z")})


def load(store: str | os.PathLike) -> "xarray.Dataset":
    """The result of a stored sweep, finished or not: runs that are not there yet are NaN.

    Raises:
      StoreError: `store` is no store.
    """
    found = Store.read(store)
    units = {name: (d, u) for name, (d, u) in found.manifest["request"].get("units", {}).items()}
    made_by = {key: {name: b[key] for name, b in found.manifest["buckets"].items()} for key in ("width", "program")}
    provenance = found.manifest["contract"] | made_by
    try:
        return assemble(read_grid(found.manifest), read_times(found.manifest), found.pieces(), units, provenance)
    except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"'{store}' holds pieces that do not fit its manifest ({error}). It was altered.") from error


def _run_narrowing(bucket, index, pieces, keeper, tell, totals, how, saved, part):
    """Run a bucket; if not one block fits, begin it anew with blocks of half the width. The bucket as it ended."""
    while True:
        try:
            made = run_bucket(bucket, index, keeper, tell, totals, how, first=saved)
        except TooWide as error:
            if not bucket.may_narrow or part is not None:  # the other parts run at this width
                raise MemoryError(str(error)) from error
            tell("out of memory", bucket=bucket.name, width=bucket.width, now=bucket.width // 2)
            bucket = Bucket(bucket.request, bucket.program, keeper.narrow(bucket.name, bucket.width // 2))
            pieces[bucket.name] = []
            index = bucket.pending([])
        else:
            pieces.setdefault(bucket.name, []).extend(made)
            return bucket


def _tell_undefined(pieces, tell):
    """Which observables are not numbers in runs whose states are: such runs count as done, so it has to be said."""
    found = [piece for some in pieces.values() for piece in some if "diverged_at" in piece]
    for name in sorted({name for piece in found for name in piece.observed}):
        have = [piece for piece in found if name in piece.observed and piece.observed[name].dtype.kind == "f"]
        sound = [piece["diverged_at"] < 0 for piece in have]
        lost = sum(int((np.isnan(piece.observed[name]).any(1) & good).sum()) for piece, good in zip(have, sound))
        if lost:
            tell("not a number", observable=name, runs=lost, of=int(sum(good.sum() for good in sound)))


def _account(totals: Totals) -> dict[str, Any]:
    share = totals.lane_steps / max(totals.slot_steps, 1)
    names = ("trace_seconds", "compile_seconds", "first_run_seconds", "run_seconds", "compiles", "runs_computed")
    return {name: getattr(totals, name) for name in names} | {"useful_share": share}


def _check_places(store, part, executor, devices):
    if part is not None:
        pair = isinstance(part, tuple | list) and len(part) == 2
        if (
            not pair
            or not all(isinstance(p, int | np.integer) and not isinstance(p, bool) for p in part)
            or not 0 <= part[0] < part[1]
        ):
            raise ValueError(f"part must be (i, n), whole numbers with 0 <= i < n; got {part!r}.")
    if executor is not None and devices is not None:
        raise ValueError("pass devices= or executor=, not both: workers use the devices they have.")
    if (part is not None or executor is not None) and store is None:
        raise ValueError("parts and workers meet in a store: pass store=, a folder that all of them see.")
    if part is not None and executor is not None:
        raise ValueError("pass part= or executor=, not both: an executor cuts the sweep itself.")


def _check_widths(width, buckets):
    for bucket in buckets:
        if isinstance(width, int) and width != bucket.width:
            raise StoreError(f"this store's bucket {bucket.name} has width {bucket.width}; got width={width}. Leave it out.")


class _Memory:
    """Keeps nothing; results live in the returned Dataset."""

    path = None

    on_disk = False

    def pieces(self, mend=False):
        return {}

    def settle(self, bucket, program, make):
        settings = {"program": program, **make()}
        return settings | {"width": pod.agree(settings["width"])}

    def narrow(self, bucket, width):
        return {"width": width}

    def keep_units(self, units):
        return units

    def write(self, bucket, piece):
        pass

    def checkpoint_path(self, bucket, ids):
        return None

    def saved_cohorts(self):
        return []

    def drop_checkpoints(self, done):
        pass
