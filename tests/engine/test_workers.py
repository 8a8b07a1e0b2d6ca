"""A sweep on an executor: the bits of one process, nothing twice, errors heard, and unfit executors refused."""

import contextlib
import dataclasses
import importlib
import multiprocessing
import shutil
import sys
import threading
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
import pytest

import jaxscale as js
from jaxscale.engine.listeners import OnCells
from jaxscale.engine.place.workers import run_task
from jaxscale.engine.store.disk import DiskStore

MODULE = '''
"""Coupled logistic maps, importable by workers. Chaotic: a difference in the last bit is of order one at the end."""

import os

import jax
import jax.numpy as jnp
import jaxscale as js

GAIN = 0.99


@js.record
class Maps:
    rate: jax.Array
    d: int = js.static(default=3)

    def sample(self, key):
        weights = jax.random.uniform(key, (self.d, self.d))
        return weights / jnp.sum(weights, axis=1, keepdims=True)

    def init(self, key, data):
        return jax.random.uniform(key, (self.d,))

    def step(self, key, state, data):
        mixed = GAIN * (data @ state) + 0.01 * jax.random.uniform(key)
        return self.rate * mixed * (1.0 - mixed)

    def observe(self, state, data):
        return {"first": state[0], "coupling": data[0, 1]}


def maps(rate, d=3):
    return Maps(rate=rate, d=d)


@js.record
class Short(Maps):
    rate: jax.Array

    def observe(self, state, data):
        return {"first": state[0].astype(jnp.bfloat16), "coupling": data[0, 1].astype(jnp.float16)}


def short(rate):
    return Short(rate=rate)


def unless(lane, function, job, index):
    """The task, unless it has the lane: then an error."""
    if lane in index:
        raise ZeroDivisionError(f"lane {lane}")
    return function(job, index)


def die_at(lane, function, job, index):
    """The task, unless it has the lane: then the worker is gone, as when the system kills it."""
    if lane in index:
        os._exit(9)
    return function(job, index)
'''
COMMON = dict(grid={"rate": [3.7, 3.8, 3.9]}, seeds=8, times=[0, 1, 200], width=2, progress=False)
RUNS = 24


@pytest.fixture(scope="module")
def chaos(tmp_path_factory):
    """The module of the experiments, where processes started from here find it. They have one device each."""
    folder = tmp_path_factory.mktemp("importable")
    (folder / "chaos_of_workers.py").write_text(MODULE)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("JAX_NUM_CPU_DEVICES", "1")
        yield importlib.import_module("chaos_of_workers")
    sys.modules.pop("chaos_of_workers")


def spawning(workers=2):
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


@pytest.fixture(scope="module")
def pool(chaos):
    """Two processes."""
    with spawning() as pool:
        yield pool


@pytest.fixture(scope="module")
def whole(chaos):
    """What every way of running must give."""
    return sweep(chaos)


class Inline:
    """The least an executor can be: `submit` runs the task; `before` is told first and may raise."""

    def __init__(self, before=lambda function, arguments: None):
        self.before = before

    def submit(self, function, *arguments):
        future = Future()
        try:
            self.before(function, arguments)
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


class Through:
    """Tasks go to a pool by way of another function of the worker's module."""

    def __init__(self, pool, function, *first):
        self.pool, self.function, self.first = pool, function, first

    def submit(self, function, *arguments):
        if function is run_task:
            return self.pool.submit(self.function, *self.first, function, *arguments)
        return self.pool.submit(function, *arguments)


class Heard(list):
    """A listener: runs of every piece, as they are told."""

    def __call__(self, event):
        if event.name == "piece":
            self.append(event.facts["runs"])


def sweep(chaos, store=None, **changes):
    return js.sweep(chaos.maps, store=store, **(COMMON | changes))


def stored(store):
    """Identities of all runs of all pieces."""
    found = [piece.ids for pieces in DiskStore.read(store).pieces().values() for piece in pieces]
    return np.concatenate(found) if found else np.zeros(0, np.uint64)


def assert_nothing_twice(store, runs):
    ids = stored(store)
    distinct = len(np.unique(ids))
    assert (len(ids), distinct) == (runs, runs)


def assert_same_moments(result, plain):
    """Counts are exact; sums over runs agree to float32 rounding."""
    assert result.runs.equals(plain.runs) and result.censored.equals(plain.censored)
    assert result.sizes == plain.sizes
    for name in ("first", "coupling"):
        for statistic, most in {"mean": 1e-5, "std": 1e-4, "min": 0.0, "max": 0.0}.items():
            np.testing.assert_allclose(
                result[name].sel(statistic=statistic), plain[name].sel(statistic=statistic), rtol=most, atol=most
            )


def test_threads(chaos, tmp_path):
    static = {"d": [2, 3]}
    heard = Heard()
    with ThreadPoolExecutor(3) as threads:
        result = sweep(chaos, tmp_path, static=static, executor=threads, listeners=[heard])
    assert result.equals(sweep(chaos, static=static)) and not result.first.isnull().any()
    assert sum(heard) == 2 * RUNS
    assert_nothing_twice(tmp_path, 2 * RUNS)
    assert js.load(tmp_path).equals(result)


def test_processes(chaos, pool, whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    heard = Heard()
    result = sweep(chaos, "store", executor=pool, listeners=[heard])  # a relative path means the same to the workers
    assert result.equals(whole)
    assert sum(heard) == RUNS and len(heard) >= 8  # there is something for every worker
    assert_nothing_twice(tmp_path / "store", RUNS)
    assert sweep(chaos, "store").equals(whole)
    again = sweep(chaos, "store", executor=pool, listeners=[heard])
    assert again.equals(whole) and sum(heard) == RUNS  # finished: a load


def test_trackers_hear_of_workers_runs(chaos, tmp_path):
    """Workers return keys only; what they stored is handed over, every run once."""
    handed = []
    with ThreadPoolExecutor(2) as pool:
        runs = js.sweep(
            chaos.maps, grid={"rate": [3.7, 3.8]}, seeds=6, times=[0, 5], width=2, executor=pool, store=tmp_path,
            progress=False, listeners=[OnCells(handed.append)],
        )  # fmt: skip
    rate, seed, first = (np.concatenate([part[name] for part in handed]) for name in ("rate", "seed", "first"))
    assert len(seed) == 12 == len({*zip(rate.tolist(), seed.tolist())})
    for r, s, value in zip(rate, seed, first):
        assert value == runs["first"].sel(rate=r, seed=s).isel(time=-1)


def test_crossed_disorder(chaos, tmp_path):
    crossed = dict(seeds={"data": 3, "init": 5}, width=4)
    result = sweep(chaos, tmp_path, executor=Inline(), **crossed)
    assert result.equals(sweep(chaos, **crossed))
    assert_nothing_twice(tmp_path, 45)


def test_observables_of_two_bytes(chaos, tmp_path):
    """numpy has no bfloat16 of its own, and its files forget that it was one."""
    plain = js.sweep(chaos.short, **COMMON)
    assert js.sweep(chaos.short, store=tmp_path, executor=Inline(), **COMMON).equals(plain)
    assert js.load(tmp_path).equals(plain)


def test_width_chosen_by_a_worker(chaos, tmp_path):
    result = sweep(chaos, tmp_path, executor=Inline(), width=None)
    width = int(result.attrs["width"].split(":")[1].strip(" }"))
    assert result.equals(sweep(chaos, width=width))
    with pytest.raises(js.StoreError, match=f"has width {width}; got width={2 * width}"):
        sweep(chaos, tmp_path, executor=Inline(), width=2 * width)


def test_provenance_counts_the_workers_runs(chaos, tmp_path):
    attrs = sweep(chaos, tmp_path, executor=Inline()).attrs
    assert attrs["runs_computed"] == RUNS
    assert 0 < attrs["useful_share"] <= 1


@pytest.mark.parametrize("begin, end", [(None, "pool"), ("pool", None), ("pool", "pool")])
def test_resume_runs_only_what_is_missing(chaos, pool, whole, tmp_path, begin, end):
    sweep(chaos, tmp_path, executor=begin and pool)
    marks = sorted((tmp_path / "pieces").glob("*.done"))
    lost = 0
    for mark in marks[:: max(len(marks) // 3, 1)]:
        with np.load(mark.with_suffix(".npz")) as piece:
            lost += len(piece["ids"])
        mark.unlink()
    assert 0 < lost <= RUNS
    planned, heard = [], Heard()
    listeners = [heard, lambda event: planned.append(event.facts["pending"]) if event.name == "planned" else None]
    assert sweep(chaos, tmp_path, executor=end and pool, listeners=listeners).equals(whole)
    assert sum(heard) == lost and planned == [lost]
    assert_nothing_twice(tmp_path, RUNS)


@pytest.mark.parametrize("changes", [{"seeds": 12}, {"grid": {"rate": [3.6, 3.7, 3.8, 3.9]}}], ids=["seeds", "grid"])
def test_wider_with_the_same_workers(chaos, tmp_path, changes):
    sweep(chaos, tmp_path, executor=Inline())
    heard = Heard()
    result = sweep(chaos, tmp_path, executor=Inline(), listeners=[heard], **changes)
    plain = sweep(chaos, **changes)
    assert result.equals(plain)
    assert sum(heard) == plain.first.isel(time=0).size - RUNS
    assert_nothing_twice(tmp_path, plain.first.isel(time=0).size)


def test_damaged_piece(chaos, whole, tmp_path):
    sweep(chaos, tmp_path, executor=Inline())
    sorted((tmp_path / "pieces").glob("*.npz"))[1].write_bytes(b"spoilt")
    with pytest.warns(UserWarning, match="does not match its checksum"):
        assert sweep(chaos, tmp_path, executor=Inline()).equals(whole)
    assert_nothing_twice(tmp_path, RUNS)


def test_one_task_always_fails(chaos, pool, whole, tmp_path):
    with pytest.raises(ZeroDivisionError, match="lane 13"):
        sweep(chaos, tmp_path, executor=Through(pool, chaos.unless, 13))
    left = js.load(tmp_path).first.isnull().any("time")
    assert 1 <= int(left.sum()) <= 2  # one block
    assert bool(left.values.reshape(-1)[13])
    assert sweep(chaos, tmp_path, executor=pool).equals(whole)
    assert_nothing_twice(tmp_path, RUNS)


def test_task_that_fails_once_is_tried_again(chaos, whole, tmp_path, caplog):
    failed = []

    def before(function, arguments):
        if function is run_task and len(failed) < 2:
            failed.append(arguments)
            raise ConnectionError("a cable was pulled")

    assert sweep(chaos, tmp_path, executor=Inline(before)).equals(whole)
    assert "2 tasks failed" in caplog.text and "a cable was pulled" in caplog.text
    assert_nothing_twice(tmp_path, RUNS)


def test_every_task_fails(chaos, tmp_path):
    def before(function, arguments):
        if function is run_task:
            raise ConnectionError("nobody there")

    with pytest.raises(ConnectionError, match="nobody there"):
        sweep(chaos, tmp_path, executor=Inline(before))
    assert len(stored(tmp_path)) == 0


def test_worker_dies(chaos, whole, tmp_path):
    with spawning(1) as pool, pytest.raises(BrokenProcessPool):
        sweep(chaos, tmp_path, executor=Through(pool, chaos.die_at, 13))
    done = stored(tmp_path)
    assert 0 < len(done) < RUNS
    assert sweep(chaos, tmp_path, executor=Inline()).equals(whole)
    assert_nothing_twice(tmp_path, RUNS)


def test_workers_that_see_another_folder(chaos, tmp_path):
    class Elsewhere(Inline):
        def submit(self, function, *arguments):
            if function is run_task:
                (tmp_path / "elsewhere" / "pieces").mkdir(parents=True, exist_ok=True)
                (tmp_path / "elsewhere" / "checkpoints").mkdir(exist_ok=True)
                job, index = arguments
                arguments = dataclasses.replace(job, store=str(tmp_path / "elsewhere")), index
            return super().submit(function, *arguments)

    with pytest.raises(js.StoreError, match="holds no jaxscale store"):
        sweep(chaos, tmp_path / "here", executor=Elsewhere())


def test_worker_with_other_code(chaos, whole, tmp_path):
    class Other(Inline):
        def submit(self, function, *arguments):
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(chaos, "GAIN", 0.5)
                return super().submit(function, *arguments)

    def refused(store):
        with pytest.raises(js.StoreError, match="a worker's program .* differ.* Install the same code everywhere"):
            sweep(chaos, store, executor=Other())

    first = tmp_path / "first"
    refused(first)
    assert len(stored(first)) == 0
    assert sweep(chaos, first, executor=Inline()).equals(whole)  # nothing was fixed by the wrong worker
    sorted((first / "pieces").glob("*.done"))[0].unlink()
    settled = shutil.copytree(first, tmp_path / "settled")  # another folder, which no worker has seen
    refused(settled)
    assert len(stored(settled)) == len(stored(first)) < RUNS


@pytest.mark.parametrize(
    "changes", [{}, {"reduce": True}, {"seeds": 128, "memory": 1}], ids=["rows", "moments", "several pieces a task"]
)
def test_task_does_not_repeat_what_is_stored(chaos, tmp_path, changes):
    tasks = []
    sweep(chaos, tmp_path, executor=Inline(lambda *task: tasks.append(task)), **changes)
    again = [function(*arguments) for function, arguments in tasks if function is run_task]
    assert len(again) >= 3
    assert [task["lane_steps"] for task in again] == [0] * len(again)


@pytest.mark.parametrize("reduce", [False, True])
def test_task_goes_on_at_another_worker(chaos, tmp_path, reduce):
    """A worker with little memory stores the first of its task's pieces and dies; the task is given to a larger one."""
    tasks = []

    def before(function, arguments):
        if function is not run_task:
            return
        job, index = arguments
        tasks.append(len(index))
        if len(tasks) == 2:
            run_task(dataclasses.replace(job, arguments={**job.arguments, "memory": 1}), index[:8])

    result = sweep(chaos, tmp_path, executor=Inline(before), seeds=128, reduce=reduce)
    assert tasks[1] > 8
    if reduce:
        assert result.runs.values.tolist() == [[128] * 3] * 3
    else:
        assert_nothing_twice(tmp_path, 3 * 128)


def test_reduce(chaos, pool, tmp_path):
    kind = "quantiles"
    result = sweep(chaos, tmp_path, executor=pool, reduce=kind)
    plain = sweep(chaos, reduce=kind)
    assert result.runs.values.tolist() == [[8, 8, 8]] * 3
    assert_same_moments(result, plain)
    np.testing.assert_allclose(result.first_quantile, plain.first_quantile, rtol=1e-5)
    heard = Heard()
    assert sweep(chaos, tmp_path, executor=pool, reduce=kind, listeners=[heard]).equals(result) and not heard


def test_reduce_resumed(chaos, tmp_path):
    sweep(chaos, tmp_path, executor=Inline(), reduce=True)
    for mark in sorted((tmp_path / "pieces").glob("*.done"))[::3]:
        mark.unlink()
    assert int(js.load(tmp_path).runs.isel(time=0).sum()) < RUNS
    with ThreadPoolExecutor(2) as threads:
        assert_same_moments(sweep(chaos, tmp_path, executor=threads, reduce=True), sweep(chaos, reduce=True))


def test_listener_that_fails_is_heard(chaos, tmp_path):
    def broken(event):
        if event.name == "piece":
            raise LookupError("no tracker")

    for executor in (None, Inline()):
        with pytest.raises(LookupError, match="no tracker"):
            sweep(chaos, tmp_path / str(executor is None), executor=executor, listeners=[broken])


class Gated(ThreadPoolExecutor):
    """One thread; its tasks wait for a gate after the first few."""

    def __init__(self, free):
        super().__init__(1)
        self.free, self.gate = free, threading.Event()

    def submit(self, function, *arguments):
        if function is not run_task:
            return super().submit(function, *arguments)
        self.free -= 1
        return super().submit(self._late, self.free < 0, function, *arguments)

    def _late(self, late, function, *arguments):
        if late:
            assert self.gate.wait(60)
        return function(*arguments)


@pytest.mark.parametrize("reduce", [False, True])
def test_interrupted_sweep_leaves_no_writer(chaos, tmp_path, reduce):
    """Ctrl-C, and the cell is run again: what the first call had submitted must not write beside the second."""
    heard = Heard()
    first = Gated(free=10)

    def interrupt(event):
        heard(event)
        if len(heard) == 10:
            threading.Timer(2, first.gate.set).start()  # for a sweep that waits for its tasks
            raise KeyboardInterrupt

    many = dict(seeds=128, reduce=reduce)  # tasks of several blocks, cut in another way when fewer runs are left
    with contextlib.ExitStack() as stack:
        stack.callback(first.shutdown)
        stack.callback(first.gate.set)
        with pytest.raises(KeyboardInterrupt):
            sweep(chaos, tmp_path, executor=first, listeners=[interrupt], **many)
        done = sum(heard)
        with contextlib.suppress(js.StoreError):  # to be refused while they write is fine
            sweep(chaos, tmp_path, executor=Inline(), **many)
    sweep(chaos, tmp_path, **many)
    assert 0 < done < 3 * 128
    if reduce:
        most = js.load(tmp_path).runs.max("time").values.tolist()
        assert max(most) <= 128
    else:
        assert_nothing_twice(tmp_path, 3 * 128)


def test_block_that_does_not_fit_a_worker(chaos, tmp_path, monkeypatch):
    """As without workers: the bucket begins anew with narrower blocks."""
    work = sys.modules["jaxscale.engine.place.local"]
    run_cohort = work.run_cohort

    def small(executable, *arguments, **options):
        if executable.width > 2:
            raise MemoryError("Out of memory")
        return run_cohort(executable, *arguments, **options)

    monkeypatch.setattr(work, "run_cohort", small)
    narrow = sweep(chaos, width=2)
    for executor in (None, Inline()):
        result = sweep(chaos, tmp_path / str(executor is None), executor=executor, width=None)
        assert result.equals(narrow)


def test_forking_pool_is_refused(chaos, tmp_path):
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("fork")) as pool:
        with pytest.raises(ValueError, match="fork.*spawn"):
            sweep(chaos, tmp_path / "store", executor=pool)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("strange", [4, "processes", object(), multiprocessing.get_context("spawn")])
def test_object_without_submit_is_refused(chaos, tmp_path, strange):
    with pytest.raises(TypeError, match=f"executor must have submit.*got {type(strange).__name__}"):
        sweep(chaos, tmp_path / "store", executor=strange)
    assert not (tmp_path / "store").exists()


def test_experiment_that_cannot_be_imported_is_refused(chaos, pool, tmp_path):
    def local(rate):
        return chaos.maps(rate)

    for experiment in (lambda rate: chaos.maps(rate), local):
        with pytest.raises(TypeError, match="must be importable by the workers.*top of a module"):
            js.sweep(experiment, store=tmp_path / "store", executor=pool, **COMMON)
    assert not (tmp_path / "store").exists()


def test_executor_needs_a_store(chaos):
    with pytest.raises(ValueError, match="pass store="):
        sweep(chaos, executor=Inline())


def test_executor_and_part(chaos, tmp_path):
    with pytest.raises(ValueError, match="part= or executor=, not both"):
        sweep(chaos, tmp_path / "store", executor=Inline(), part=(0, 2))


def test_store_held_by_another(chaos, whole, tmp_path):
    """The submitting process holds the store for its workers."""
    refused = []

    def intrude(event):
        if event.name == "piece" and not refused:
            with pytest.raises(js.StoreError, match="is being written by process"):
                sweep(chaos, tmp_path)
            with pytest.raises(js.StoreError, match="is being written by process"):
                sweep(chaos, tmp_path, part=(0, 2))
            refused.append(True)

    assert sweep(chaos, tmp_path, executor=Inline(), listeners=[intrude]).equals(whole)
    assert refused
    assert not list(Path(tmp_path).rglob(".*"))  # nothing half-written stays
