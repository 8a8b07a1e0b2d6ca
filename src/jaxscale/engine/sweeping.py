"""`sweep`: every run of a grid, planned, sharded, reclaimed, stored, resumed, on one machine or many."""

import contextlib
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Unpack

import numpy as np

from jaxscale.engine.ask.options import SweepOptions, asked, complete, takes_options
from jaxscale.engine.ask.request import Request, Running, check_manner
from jaxscale.engine.errors import StoreError
from jaxscale.engine.events import LOG, Done, Listeners, Planned, Tell, Undefined
from jaxscale.engine.keep.dataset import PARTS, assemble, check_room, result_bytes
from jaxscale.engine.keep.pieces import Pieces, RunsPiece, account, whole
from jaxscale.engine.listeners import Bar, profiled
from jaxscale.engine.loading import finished_elsewhere
from jaxscale.engine.machine import notice
from jaxscale.engine.machine.processes import agree, own_part
from jaxscale.engine.place import pod
from jaxscale.engine.place.bucket import Bucket, Runner, Totals
from jaxscale.engine.place.local import Local
from jaxscale.engine.place.sizes import settle_sizes
from jaxscale.engine.place.workers import Workers
from jaxscale.engine.run.executables import program_of
from jaxscale.engine.run.program import Program
from jaxscale.engine.store.disk import DiskStore
from jaxscale.engine.store.identity import contract, platform
from jaxscale.engine.store.manifest import write_grid
from jaxscale.engine.store.memory import MemoryStore

if TYPE_CHECKING:
    import xarray


@takes_options
def sweep(experiment: Callable[..., Any], **options: Unpack[SweepOptions]) -> "xarray.Dataset":
    """Run an experiment at every grid point for many seeds, and label the results.

    A run depends on its own coordinates, its seed, `root` and the block width, and on nothing else: not on the other
    cells, their order, the number of devices or processes, or interruptions. At a fixed width that holds bit for bit.

    Args:
      experiment: function of the axis names giving a system; an ordinary function, so `learning_rate=2 / d` is fine.
      **options: see `SweepOptions`.

    Returns:
      Dataset with dims (*static, *grid, "seed" or "data", "init", "time"), one variable per observable, `diverged_at`
      without the time axis, provenance in attrs. A diverged run is NaN from its first bad step on. With `reduce`, dims
      (*static, *grid, "time", "statistic").

    Raises:
      ValueError, TypeError: bad arguments, before anything compiles.
      StoreError: the store belongs to another sweep, or cannot be written.
      MemoryError: not even two runs fit.
      what a listener raised, after the sweep, with the Dataset as the error's `result`.
    """
    chosen = complete(options)
    check_manner(chosen)
    experiment, chosen = settle_sizes(experiment, chosen)
    request = Request.make(experiment, **asked(chosen))
    budget = chosen["budget"]
    how = Running(chosen["reclaim"], chosen["checkpoint"], None if budget is None else time.monotonic() + budget)
    tell = Listeners(chosen["listeners"])
    with profiled(chosen["profile"]), notice.heeded(chosen["store"]):
        result = _run(request, chosen, how, tell)
    tell.settle(result)
    return result


def _run(request: Request, options: dict[str, Any], how: Running, tell: Listeners) -> "xarray.Dataset":
    began = time.perf_counter()
    if own_part():
        agree(0)  # meet now: processes that first meet after an hour of work find the others gone
    part, executor, path = options["part"] or own_part(), options["executor"], options["store"]
    programs = [program_of(request, static) for static in request.grid.buckets()]
    returns = _returns(request, programs, path)
    identity = contract(request) | (
        platform(request) if executor is None else Workers.machine(executor, request.experiment)
    )  # fmt: skip
    if path is not None and (found := finished_elsewhere(path, request, identity)) is not None:
        return found
    with _opened(path, identity, request, part) as store:
        totals = Totals()
        runner: Runner = (
            Local(request, store, tell, totals, how, part, take=whole if returns else account) if executor is None
            else Workers(executor, request, asked(options), store, tell, totals, how)
        )  # fmt: skip
        pieces: Pieces = store.pieces(mend=part is None, take=whole if returns else account)
        buckets = [runner.settle(program) for program in programs]
        _check_widths(request.width, buckets)
        pending = [bucket.pending(pieces.get(bucket.name, []), part, store.path) for bucket in buckets]
        total = sum(map(len, pending))
        tell(Planned(runs=request.grid.lanes_per_bucket * len(buckets), pending=total, buckets=len(buckets)))
        if isinstance(runner, Local) and total:
            runner.saved = store.saved_cohorts()
        with tell.also(Bar(total, options["progress"] and total > 0)):
            for at, (bucket, index) in enumerate(zip(buckets, pending)):
                if len(index):
                    buckets[at] = runner.run(bucket, index, pieces.setdefault(bucket.name, []))
        notice.check()
        units = store.add_units({name: pair for bucket in buckets for name, pair in bucket.program.units.items()})
        if executor is not None or (part and path is not None):
            pieces = store.pieces(take=whole if returns else account)
        complete = not _left(buckets, pieces)  # out of time, what is saved is still wanted
        if complete and part is None:
            store.drop_saved(lambda: _all_ids(request))
        _tell_undefined(pieces, tell)
        tell(Done(runs=total, seconds=round(time.perf_counter() - began, 3)))
    if complete and part is not None and path is not None:
        DiskStore.tidy(path, lambda: _all_ids(request))
    if not returns:
        raise StoreError(f"all runs asked for are in '{path}', and together they do not fit the memory here. {PARTS}")
    if own_part():
        pieces = pod.gather(pieces, request, path)
        pod.check_complete(_left(buckets, pieces), path)
    made_by = {"width": {b.name: b.width for b in buckets}, "program": {b.name: b.program.fingerprint for b in buckets}}
    provenance = identity | made_by | totals.facts() | {"wall_seconds": time.perf_counter() - began}
    provenance |= {"created": time.strftime("%FT%T%z")}
    return assemble(request.grid, request.times, request.reduction, pieces, units, provenance)


def _opened(path: Any, identity: dict[str, Any], request: Request, part: tuple[int, int] | None) -> Any:
    """Return the context of the store of a sweep: a folder's, or the memory's where there is none."""
    if path is None:
        return contextlib.nullcontext(MemoryStore())
    return DiskStore.open(path, identity, write_grid(request.grid), part)


def _returns(request: Request, programs: list[Program], path: Any) -> bool:
    """Return whether the result fits the memory. If it does not, a sweep with a store runs all the same.

    Raises:
      StoreError: there is no store, so that nothing would come of running.
    """
    size = sum(result_bytes(request.grid, request.times, request.reduction, program.shapes[2]) for program in programs)
    try:
        check_room(size, request.grid, request.times)
    except StoreError:
        if path is None:
            raise
        LOG.warning("the result is %.3g GB, more than the memory can hold; it is stored in '%s'. %s", size / 1e9, path, PARTS)
        return False
    return True


def _all_ids(request: Request) -> np.ndarray:
    return np.concatenate([request.grid.lanes(point).ids for point in request.grid.buckets()])


def _left(buckets: list[Bucket], pieces: Pieces) -> int:
    """Return how many runs no piece holds."""
    return sum(len(bucket.pending(pieces.get(bucket.name, []))) for bucket in buckets)


def _tell_undefined(pieces: Pieces, tell: Tell) -> None:
    """Tell which observables are not numbers in runs whose states are: such runs count as done, so it has to be said."""
    by_run = [piece for some in pieces.values() for piece in some if isinstance(piece, RunsPiece)]
    for name in sorted({name for piece in by_run for name in piece.observed}):
        have = [piece for piece in by_run if name in piece.observed and piece.observed[name].dtype.kind == "f"]
        sound = [piece.diverged_at < 0 for piece in have]
        lost = sum(int((np.isnan(piece.observed[name]).any(1) & good).sum()) for piece, good in zip(have, sound))
        if lost:
            tell(Undefined(observable=name, runs=lost, of=int(sum(good.sum() for good in sound))))


def _check_widths(width: Any, buckets: list[Bucket]) -> None:
    for bucket in buckets:
        if isinstance(width, int) and width != bucket.width:
            raise StoreError(f"this store's bucket {bucket.name} has width {bucket.width}; got width={width}. Leave it out.")
