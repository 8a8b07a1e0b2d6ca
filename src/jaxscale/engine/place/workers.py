"""A sweep on somebody else's workers: whatever has `submit` and gives futures. Workers write their runs into the store.

A task is idempotent: it stores its piece and returns only a name, so a dead worker costs what it was doing. Workers should
be one process per accelerator, started by spawn: JAX does not survive a fork.
"""

import dataclasses
import pickle
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxscale.engine.ask.request import Request
from jaxscale.engine.events import LOG
from jaxscale.engine.keep.pieces import Piece
from jaxscale.engine.place import local as work
from jaxscale.engine.place.local import Bucket, TooWide, Totals, run_bucket
from jaxscale.engine.place.probe import seconds_per_lane_step
from jaxscale.engine.store.disk import Store
from jaxscale.engine.store.files import StoreError

FEWEST_TASKS = 16  # so that a few workers share a small sweep
POLL_SECONDS = 0.02

_BUCKETS: dict[tuple, Bucket] = {}  # of a worker: tracing once per bucket and process


@dataclasses.dataclass(frozen=True)
class Job:
    """What every task of a bucket carries; plain data beside the experiment, which must be importable by the workers."""

    experiment: Any
    arguments: Mapping[str, Any]
    static: Mapping[str, Any]
    store: str
    how: work.Running = work.Running()
    program: str = ""
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def bucket(self) -> Bucket:
        """The bucket, in a worker."""
        asked = pickle.dumps(dict(self.arguments))  # a wider grid numbers its runs differently
        token = (self.store, work.bucket_name(self.static), self.program, str(self.settings), asked)
        if token not in _BUCKETS:
            request = Request.make(self.experiment, **self.arguments, checked=True)
            program = request.program(self.static)
            if self.program and program.fingerprint != self.program:
                raise StoreError(
                    f"a worker's program of bucket {token[1]} is {program.fingerprint}, not {self.program}: its code or its "
                    "versions differ from the submitting process's. Install the same code everywhere."
                )
            _BUCKETS[token] = Bucket(request, program, dict(self.settings))
        return _BUCKETS[token]


class Workers:
    """An executor, and what it is to compute."""

    def __init__(self, executor: Any, experiment: Any, arguments: Mapping[str, Any], store: Any, how: work.Running):
        self.executor = _checked(executor, experiment)
        self.job = Job(experiment, arguments, {}, str(Path(store).resolve()), how)

    def platform(self) -> dict[str, Any]:
        """Of a worker: runs are its, not the submitting process's."""
        return self.executor.submit(_platform).result()

    def settle(self, request: Request, static: Mapping[str, Any], store: Store) -> Bucket:
        """Fix a bucket's width on a worker, or find it fixed."""
        program = request.program(static)
        job = dataclasses.replace(self.job, static=static, program=program.fingerprint)
        settings = store.settle(
            work.bucket_name(static), program.fingerprint, lambda: self.executor.submit(_settings, job).result()
        )
        return Bucket(request, program, settings)

    def run(self, bucket: Bucket, index: np.ndarray, tell: work.Tell, store: Store, totals: Totals) -> Bucket:
        """Compute the lanes at `index`; tasks that failed are tried again as long as others get on. The bucket as it ended.

        Raises:
          the first failure, when nothing gets on any more.
        """
        while len(index):
            job = dataclasses.replace(
                self.job, static=bucket.program.static, program=bucket.program.fingerprint, settings=bucket.settings
            )
            failures = self._round(job, bucket, index, tell, totals)
            if any(isinstance(failure, TooWide) for failure in failures) and bucket.may_narrow:
                tell("out of memory", bucket=bucket.name, width=bucket.width, now=bucket.width // 2)
                bucket = dataclasses.replace(bucket, settings=store.narrow(bucket.name, bucket.width // 2))
                index = bucket.pending([])
                continue
            pieces = store.pieces().get(bucket.name, [])
            left = bucket.pending(pieces)
            if not bucket.request.reduce:  # workers return keys only: what they stored is handed over from the store
                _hand_over(bucket, bucket.lanes(np.setdiff1d(index, left)), pieces, tell)
            if len(left) >= len(index):
                raise failures[0] if failures else StoreError(f"workers finished but stored nothing in '{job.store}'.")
            if failures:
                LOG.warning("%d tasks failed (%s) and are tried again", len(failures), failures[0])
            index = left
        return bucket

    def _round(self, job, bucket, index, tell, totals) -> list[BaseException]:
        size = _task_size(bucket, len(index))
        waiting = {self.executor.submit(run_task, job, part): len(part) for part in _parts(bucket, index, size)}
        failures: list[BaseException] = []
        try:
            while waiting:
                for future in [future for future in waiting if future.done()]:
                    runs = waiting.pop(future)
                    try:
                        found = future.result()
                    except Exception as error:
                        failures.append(error)
                        continue
                    totals.count(found)
                    tell("piece", bucket=bucket.name, runs=runs, **found)
                time.sleep(POLL_SECONDS)
        finally:  # interrupted: nobody may write once the store is let go
            for future in waiting:
                if hasattr(future, "cancel"):
                    future.cancel()
            while not all(future.done() for future in waiting):
                time.sleep(POLL_SECONDS)
        return failures


def _hand_over(bucket, lanes, pieces, tell):
    """Tell of the cells that this round has finished."""
    for piece in pieces if len(lanes) else ():
        order = np.argsort(lanes.ids)
        at = np.minimum(np.searchsorted(lanes.ids, piece["ids"], sorter=order), len(lanes) - 1)
        mine = lanes.ids[order][at] == piece["ids"]
        if mine.any():
            rows = Piece({name: values[mine] for name, values in piece.items() if np.ndim(values)})
            tell(
                "stored", bucket=bucket.name, runs=int(mine.sum()), cells=work.cells(bucket, lanes.take(order[at][mine]), rows)
            )


def run_task(job: Job, index: np.ndarray) -> dict[str, Any]:
    """Compute and store some lanes of a bucket; what is stored already is left alone. Runs in a worker."""
    bucket, store = job.bucket(), Store.read(job.store)
    totals = Totals()
    waiting = index[np.isin(index, bucket.pending(store.pieces().get(bucket.name, [])))]
    if len(waiting):
        run_bucket(bucket, waiting, store, lambda *a, **k: None, totals, job.how, whole=True)
    return {
        "lane_steps": totals.lane_steps, "slot_steps": totals.slot_steps, "runs_computed": totals.runs_computed,
        "seconds": round(totals.run_seconds, 3),
    }  # fmt: skip


def _settings(job: Job) -> dict[str, Any]:
    """A bucket's settings, found in a worker."""
    bucket = job.bucket()
    fixed = work.settings(bucket.request, bucket.program, stored=True)
    executable = bucket.request.sized(bucket.program, fixed["width"], 1)
    pace = seconds_per_lane_step(bucket.request, executable)
    return fixed | {"lane_step_seconds": pace, "at_once": fixed["width"] * len(executable.devices)}


def _platform() -> dict[str, Any]:
    return Request.make(_nothing, times=[0], checked=True).platform


def _nothing() -> None:
    """Stands for an experiment where none is needed."""


def _task_size(bucket, pending):
    """Runs a task: about `PIECE_SECONDS` if none stops early, full blocks, enough tasks for several workers."""
    settings, last = bucket.settings, int(bucket.request.times[-1])
    block = settings.get("at_once", bucket.width * jax.local_device_count())
    wanted = work.PIECE_SECONDS / (settings.get("lane_step_seconds", 1e-4) * max(last, 1))
    return block * max(1, round(min(wanted, pending / FEWEST_TASKS) / block))


def _parts(bucket, index, size):
    """Consecutive lanes; lanes that share their disorder stay together as far as the size allows."""
    inits = bucket.request.grid.seeds.get("init", 1)
    if inits > 1 and size > inits:
        size -= size % inits
    return [index[at : at + size] for at in range(0, len(index), size)]


def _checked(executor, experiment):
    if hasattr(executor, "get_executor"):  # a Dask client: as concurrent futures, every submission a task of its own
        return executor.get_executor(pure=False)
    if not hasattr(executor, "submit"):
        raise TypeError(f"executor must have submit(function, *arguments) giving futures; got {type(executor).__name__}.")
    if isinstance(executor, ProcessPoolExecutor):
        if (context := executor._mp_context) is not None and context.get_start_method() == "fork":
            raise ValueError(
                "executor forks its processes, and JAX hangs after a fork. Use "
                "ProcessPoolExecutor(mp_context=multiprocessing.get_context('spawn'))."
            )
        try:
            pickle.dumps(experiment)
        except (pickle.PicklingError, AttributeError, TypeError) as error:
            raise TypeError(
                f"the experiment must be importable by the workers ({error}). Define it at the top of a module."
            ) from error
    return executor
