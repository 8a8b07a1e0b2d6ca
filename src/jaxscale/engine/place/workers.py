"""A sweep on somebody else's workers: whatever has `submit` and gives futures. Workers write their runs into the store.

A task is idempotent: it stores its piece and returns only a name, so a dead worker costs what it was doing. Workers should
be one process per accelerator, started by spawn: JAX does not survive a fork.
"""

import dataclasses
import math
import os
import pickle
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np

from jaxscale.engine.ask.grid import Lanes, bucket_name
from jaxscale.engine.ask.request import Request, Running
from jaxscale.engine.errors import StoreError
from jaxscale.engine.events import LOG, CellsStored, Event, OutOfMemory, PieceDone, Tell
from jaxscale.engine.keep.pieces import RunsPiece
from jaxscale.engine.machine import notice
from jaxscale.engine.place import local
from jaxscale.engine.place.bucket import Bucket, Totals, cells, settings
from jaxscale.engine.place.local import TooWide, run_bucket
from jaxscale.engine.place.probe import seconds_per_lane_step
from jaxscale.engine.run.executables import executable_of, program_of
from jaxscale.engine.run.program import Program
from jaxscale.engine.store.contract import Settings
from jaxscale.engine.store.disk import DiskStore
from jaxscale.engine.store.files import fcntl, is_held
from jaxscale.engine.store.identity import platform

MIN_TASKS = 16  # so that a few workers share a small sweep
POLL_SECONDS = 0.02
LOOK_SECONDS = 1.0  # between two looks of a worker at whether its sweep goes on

_buckets: dict[tuple, Bucket] = {}  # of a worker: tracing once per bucket and process


@dataclasses.dataclass(frozen=True)
class Job:
    """What every task of a bucket carries; plain data beside the experiment, which must be importable by the workers."""

    experiment: Any
    asked: Mapping[str, Any]  # options that say what the runs are
    static: Mapping[str, Any]
    store: str
    how: Running = Running()
    program: str = ""
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    driver: int = dataclasses.field(default_factory=os.getpid)  # the process that submits

    def bucket(self) -> Bucket:
        """Return the bucket, in a worker."""
        asked = pickle.dumps(dict(self.asked))  # a wider grid numbers its runs differently
        token = (self.store, bucket_name(self.static), self.program, str(self.settings), asked)
        if token not in _buckets:
            request = Request.make(self.experiment, **self.asked, checked=True)
            program = program_of(request, self.static)
            if self.program and program.fingerprint != self.program:
                raise StoreError(
                    f"a worker's program of bucket {token[1]} is {program.fingerprint}, not {self.program}: its code or its "
                    "versions differ from the submitting process's. Install the same code everywhere."
                )
            _buckets[token] = Bucket(request, program, dict(self.settings))
        return _buckets[token]


class Workers:
    """An executor as a `Runner`.

    Args:
      executor: has `submit`.
      request: of the sweep.
      asked: the options it was made of.
      store: the folder that all workers see.
      tell: told of everything.
      totals: added to.
      how: reclaiming and checkpoints.
    """

    def __init__(
        self, executor: Any, request: Request, asked: Mapping[str, Any], store: DiskStore, tell: Tell, totals: Totals, how:
        Running
    ):
        self.executor = checked_executor(executor, request.experiment)
        self.request, self.store, self.tell, self.totals = request, store, tell, totals
        self.job = Job(request.experiment, {**asked, "devices": None}, {}, str(Path(store.path).resolve()), how)

    @staticmethod
    def machine(executor: Any, experiment: Any) -> dict[str, Any]:
        """Return what the bits depend on of a worker: runs are its, not the submitting process's."""
        return checked_executor(executor, experiment).submit(worker_platform).result()

    def platform(self) -> dict[str, Any]:
        """Return what the bits depend on of a worker."""
        return self.machine(self.executor, self.request.experiment)

    def settle(self, program: Program) -> Bucket:
        """Fix a bucket's width on a worker, or find it fixed."""
        job = dataclasses.replace(self.job, static=program.static, program=program.fingerprint)

        def make() -> Settings:
            return self.executor.submit(worker_settings, job).result()

        return Bucket(self.request, program, self.store.settle(bucket_name(program.static), program.fingerprint, make))

    def run(self, bucket: Bucket, index: np.ndarray, pieces: list[Any]) -> Bucket:
        """Compute the lanes at `index`; tasks that failed are tried again as long as others get on. Return the bucket as it
        ended;
        its pieces are in the store.

        Raises:
          the first failure, when nothing gets on any more.
        """
        while len(index):
            job = dataclasses.replace(
                self.job, static=bucket.program.static, program=bucket.program.fingerprint, settings=bucket.settings
            )
            failures = self._round(job, bucket, index)
            if notice.given():
                return bucket
            if any(isinstance(failure, TooWide) for failure in failures) and bucket.may_narrow:
                self.tell(OutOfMemory(bucket=bucket.name, width=bucket.width, now=bucket.width // 2))
                bucket = dataclasses.replace(bucket, settings=self.store.narrow(bucket.name, bucket.width // 2))
                index = bucket.pending([])
                continue
            stored = self.store.pieces().get(bucket.name, [])
            left = bucket.pending(stored)
            if bucket.request.reduction.piece is RunsPiece:  # workers return keys only: what they stored is handed over
                _hand_over(bucket, bucket.lanes(np.setdiff1d(index, left)), stored, self.tell)
            if len(left) >= len(index):
                raise failures[0] if failures else StoreError(f"workers finished but stored nothing in '{job.store}'.")
            if failures:
                LOG.warning("%d tasks failed (%s) and are tried again", len(failures), failures[0])
            index = left
        return bucket

    def _round(self, job: Job, bucket: Bucket, index: np.ndarray) -> list[BaseException]:
        size = _task_size(bucket, len(index))
        waiting = {self.executor.submit(run_task, job, part): len(part) for part in _parts(bucket, index, size)}
        failures: list[BaseException] = []
        try:
            while waiting and not notice.given():
                for future in [future for future in waiting if future.done()]:
                    runs = waiting.pop(future)
                    try:
                        facts = future.result()
                    except Exception as error:
                        failures.append(error)
                        continue
                    done = PieceDone(bucket=bucket.name, runs=runs, **facts)
                    self.totals.add_task(done)
                    self.tell(done)
                time.sleep(POLL_SECONDS)
        finally:  # interrupted: nobody may write once the store is let go
            for future in waiting:
                if hasattr(future, "cancel"):
                    future.cancel()
            while not notice.given() and not all(future.done() for future in waiting):  # workers see the lock go
                time.sleep(POLL_SECONDS)
        return failures


def _hand_over(bucket: Bucket, lanes: Lanes, pieces: Sequence[RunsPiece], tell: Tell) -> None:
    """Tell of the cells that this round has finished."""
    for piece in pieces if len(lanes) else ():
        order = np.argsort(lanes.ids)
        at = np.minimum(np.searchsorted(lanes.ids, piece.ids, sorter=order), len(lanes) - 1)
        mine = lanes.ids[order][at] == piece.ids
        if mine.any():
            finished = cells(bucket, lanes.take(order[at][mine]), piece.take(mine))
            tell(CellsStored(bucket=bucket.name, runs=int(mine.sum()), cells=finished))


def run_task(job: Job, index: np.ndarray) -> dict[str, Any]:
    """Compute and store some lanes of a bucket, in a worker; what is stored already is left alone. Return facts of
    `PieceDone`.
    """
    notice.end_with(job.driver)
    bucket, store, leash = job.bucket(), DiskStore.read(job.store), Leash(job.store)
    totals = Totals()
    waiting = index[np.isin(index, bucket.pending(store.pieces().get(bucket.name, [])))]
    if len(waiting):
        run_bucket(bucket, waiting, store, leash, totals, job.how, whole=True)
    return {
        "lane_steps": totals.lane_steps, "slot_steps": totals.slot_steps, "runs_computed": totals.runs_computed,
        "seconds": round(totals.run_seconds, 3),
    }  # fmt: skip


class Leash:
    """Told of everything in a worker, it raises once no process holds the store any more: without the lock nobody writes.

    Args:
      store: folder.
    """

    def __init__(self, store: str):
        self.store, self.looked = Path(store), -math.inf

    def __call__(self, event: Event) -> None:
        """Look, once in `LOOK_SECONDS`."""
        if time.monotonic() - self.looked >= LOOK_SECONDS:
            self.looked = time.monotonic()
            if fcntl is not None and not any(map(is_held, self.store.glob("lock*"))):
                raise StoreError(f"nobody holds '{self.store}' any more: the sweep that submitted this task has ended.")


def worker_settings(job: Job) -> Settings:
    """Return a bucket's settings, found in a worker."""
    notice.end_with(job.driver)
    bucket = job.bucket()
    chosen = settings(bucket.request, bucket.program, stored=True)
    executable = executable_of(bucket.request, bucket.program, chosen["width"], 1)
    pace = seconds_per_lane_step(bucket.request, executable)
    return chosen | {"lane_step_seconds": pace, "at_once": chosen["width"] * len(executable.devices)}


def worker_platform() -> dict[str, Any]:
    """Return what the bits depend on of the machine that this runs on."""
    return platform(Request.make(_nothing, times=[0], checked=True))


def _nothing() -> None:
    """Stand for an experiment where none is needed."""


def _task_size(bucket: Bucket, pending: int) -> int:
    """Return runs a task: about `PIECE_SECONDS` if none stops early, full blocks, enough tasks for several workers."""
    settings, last = bucket.settings, int(bucket.request.times[-1])
    block = settings.get("at_once", bucket.width * jax.local_device_count())
    wanted = local.PIECE_SECONDS / (settings.get("lane_step_seconds", 1e-4) * max(last, 1))
    return block * max(1, round(min(wanted, pending / MIN_TASKS) / block))


def _parts(bucket: Bucket, index: np.ndarray, size: int) -> list[np.ndarray]:
    """Return consecutive lanes; lanes that share their disorder stay together as far as the size allows."""
    inits = bucket.request.grid.seeds.get("init", 1)
    if inits > 1 and size > inits:
        size -= size % inits
    return [index[at : at + size] for at in range(0, len(index), size)]


def checked_executor(executor: Any, experiment: Any) -> Any:
    """Return what tasks are submitted to.

    Raises:
      TypeError, ValueError: it has no `submit`, forks its processes, or cannot be sent the experiment.
    """
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
