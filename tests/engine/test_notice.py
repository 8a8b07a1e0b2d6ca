"""Notice is used: the segment ends, the cohort is saved, the exit code requeues, the bits are the undisturbed ones."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import ends
import numpy as np
import pytest

import jaxscale as js
from jaxscale.engine.errors import StoreError
from jaxscale.engine.machine import notice
from jaxscale.engine.place.workers import Leash
from jaxscale.engine.store.files import locked

ONE_COHORT = {"grid": {"rate": [3.9]}, "seeds": 16}


def at_step(number, step):
    def hear(event):
        if event.name == "segment" and event.step >= step and not notice.given():
            os.kill(os.getpid(), number)

    return hear


@pytest.fixture(scope="module")
def whole():
    return ends.run(**ONE_COHORT)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_runs_under_way_are_saved_and_go_on(tmp_path, whole, number, caplog):
    before = signal.getsignal(number)
    with pytest.raises(SystemExit) as left:
        ends.run(store=tmp_path, listeners=[at_step(number, 1)], **ONE_COHORT)
    assert left.value.code == notice.REQUEUE == 75 and not notice.given() and signal.getsignal(number) == before
    assert f"{signal.Signals(number).name}: finished and saved runs are in" in caplog.text
    assert js.load(tmp_path).attrs["pending"] > 0 and len(list((tmp_path / "checkpoints").iterdir())) == 1
    resumed = []
    again = ends.run(store=tmp_path, listeners=[lambda event: resumed.append(event.name)], **ONE_COHORT)
    assert "resumed" in resumed
    for name in ("x", "steps", "over", "diverged_at"):
        np.testing.assert_array_equal(again[name], whole[name])


def test_notice_before_the_first_segment_ends_at_once(tmp_path, whole):
    def hear(event):
        if event.name == "planned":
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(SystemExit):
        ends.run(store=tmp_path, listeners=[hear], **ONE_COHORT)
    assert js.load(tmp_path).attrs["done"] == 0
    np.testing.assert_array_equal(ends.run(store=tmp_path, **ONE_COHORT)["x"], whole["x"])


def test_handlers_of_others_are_theirs_and_a_sweep_without_a_store_takes_no_notice(tmp_path, whole):
    heard, before = [], signal.signal(signal.SIGTERM, lambda *_: heard.append(1))
    try:
        found = ends.run(store=tmp_path, listeners=[at_step(signal.SIGTERM, 1)], **ONE_COHORT)
        np.testing.assert_array_equal(found["x"], whole["x"])
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard
    handlers = {store: set() for store in (None, tmp_path / "new")}
    for store, seen in handlers.items():
        ends.run(store=store, listeners=[lambda event, seen=seen: seen.add(signal.getsignal(signal.SIGTERM))], **ONE_COHORT)
    assert handlers[None] == {before} and before not in handlers[tmp_path / "new"]


def test_a_worker_writes_nothing_once_its_sweep_has_ended(tmp_path):
    ends.run(store=tmp_path, **ONE_COHORT)
    with locked(tmp_path):
        Leash(str(tmp_path))(None)
    with pytest.raises(StoreError, match="nobody holds .* any more: the sweep that submitted this task has ended"):
        Leash(str(tmp_path))(None)


DRIVER = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor
from jaxscale.engine.machine import notice


def work(driver):
    notice.end_with(driver)
    time.sleep(0.2)
    return os.getpid()


if __name__ == "__main__":
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as pool:
        seen = set()
        while len(seen) < 2:  # each has had a task, as every worker of a sweep has
            seen |= set(pool.map(work, [os.getpid()] * 4))
        print(*seen, flush=True)
        time.sleep(60)
"""


def test_idle_workers_end_when_their_driver_is_killed(tmp_path):
    file = tmp_path / "driver.py"
    file.write_text(textwrap.dedent(DRIVER))
    driver = subprocess.Popen([sys.executable, str(file)], stdout=subprocess.PIPE, text=True)
    workers = [int(pid) for pid in driver.stdout.readline().split()]
    driver.kill()
    driver.stdout.close()
    driver.wait()
    deadline = time.monotonic() + 20
    while (left := [pid for pid in workers if _runs(pid)]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(workers) == 2 and not left


def _runs(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
