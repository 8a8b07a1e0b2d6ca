"""Dask and submitit as executors: the bits of one process, also when workers are killed again and again."""

import os
import random
import signal
import sys
import threading
from pathlib import Path

import coupled_maps
import numpy as np
import pytest

import jaxscale as js
from jaxscale.engine.store.disk import DiskStore

KILLS, WORKERS = 4, 2
pytestmark = pytest.mark.filterwarnings("ignore")  # theirs


@pytest.fixture(scope="module")
def chaos():
    """The module of the experiment, where other processes find it too. They have one device each."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
        patch.setenv("JAX_NUM_CPU_DEVICES", "1")
        yield coupled_maps


def sweep(chaos, store=None, **changes):
    return js.sweep(chaos.maps, store=store, **(coupled_maps.COMMON | changes))


def assert_nothing_twice(store, runs):
    ids = np.concatenate([piece.ids for pieces in DiskStore.read(store).pieces().values() for piece in pieces])
    assert len(ids) == len(np.unique(ids)) == runs


def pieces(store):
    """Names of the finished pieces."""
    return {mark.stem for mark in (Path(store) / "pieces").glob("*.done")}


@pytest.mark.slow
def test_dask_threads(chaos, tmp_path):
    distributed = pytest.importorskip("distributed")
    heard = []
    with (
        distributed.LocalCluster(2, processes=False, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        listeners = [lambda event: heard.append(event.facts["runs"]) if event.name == "piece" else None]
        result = sweep(chaos, tmp_path, executor=client, listeners=listeners)
        assert sweep(chaos, tmp_path, executor=client.get_executor()).equals(result)
    assert sum(heard) == 24
    assert result.equals(sweep(chaos))
    assert_nothing_twice(tmp_path, 24)


class Killer(threading.Thread):
    """Kills a worker that has a task, at random moments, `KILLS` times; counts those that cost the worker its task."""

    def __init__(self, client, begun):
        super().__init__(daemon=True)
        self.client, self.begun, self.over = client, begun, threading.Event()
        self.moments, self.hits, self.trouble = random.Random(0), 0, None

    def run(self):
        try:
            while self.hits < KILLS and not self.over.wait(self.moments.uniform(0.1, 1.0)):
                self._try_to_kill()
        except Exception as error:  # told by the test
            self.trouble = error

    def _try_to_kill(self):
        if not self.begun():
            return
        busy = sorted(address for address, tasks in self.client.processing().items() if tasks)
        pids = self.client.run(os.getpid, workers=busy, on_error="ignore") if busy else {}
        if not pids:
            return
        address = self.moments.choice(sorted(pids))
        if self.client.processing().get(address):
            os.kill(pids[address], signal.SIGKILL)
            self.hits += 1


@pytest.mark.slow
@pytest.mark.parametrize("reduce", [False, True])
def test_dask_workers_killed(chaos, tmp_path, monkeypatch, reduce):
    distributed = pytest.importorskip("distributed")
    import dask

    long = dict(times=[0, 1, 300_000], seeds=32, reduce=reduce)
    plain = sweep(chaos, tmp_path / "calm", **long)
    monkeypatch.setattr(sys.modules["jaxscale.engine.place.local"], "PIECE_SECONDS", 0.5)
    monkeypatch.setattr(sys.modules["jaxscale.engine.place.workers"], "MIN_TASKS", 48)
    settings = {"distributed.scheduler.allowed-failures": 2, "distributed.worker.multiprocessing-method": "spawn"}
    with (
        dask.config.set(settings),
        distributed.LocalCluster(WORKERS, processes=True, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster) as client,
    ):
        store = tmp_path / "store"
        killer = Killer(client, begun=lambda: pieces(store))
        killer.start()
        try:
            result = sweep(chaos, store, executor=client, **long)
        finally:
            killer.over.set()
            killer.join()
    assert killer.trouble is None and killer.hits >= KILLS, (killer.trouble, killer.hits)
    if reduce:
        assert result.runs.equals(plain.runs) and result.censored.equals(plain.censored)
        np.testing.assert_allclose(result.first.sel(statistic="mean"), plain.first.sel(statistic="mean"), rtol=1e-5)
    else:
        assert result.equals(plain)
        assert_nothing_twice(store, 96)
    again = sweep(chaos, store, **long)
    assert again.attrs["runs_computed"] == 0 and again.equals(result)
    assert not list(store.rglob(".*"))


@pytest.mark.slow
def test_submitit(chaos, tmp_path, monkeypatch):
    submitit = pytest.importorskip("submitit")
    executor = submitit.AutoExecutor(tmp_path / "logs", cluster="local")
    executor.update_parameters(timeout_min=5)
    try:
        assert executor.submit(os.getpid).result() != os.getpid()
    except Exception as error:  # no processes of one's own
        pytest.skip(f"submitit's local executor does not run here: {error}")
    monkeypatch.setattr(sys.modules["jaxscale.engine.place.workers"], "MIN_TASKS", 2)  # a task is a process there
    result = sweep(chaos, tmp_path / "store", executor=executor)
    assert result.equals(sweep(chaos))
    assert_nothing_twice(tmp_path / "store", 24)
