"""Parts that write one store at the same time: their runs are never of two widths, and never counted twice."""

import contextlib
import json
import sys

import jax
import numpy as np
import pytest
from walks import wide_walk

import jaxscale as js
from jaxscale.engine.store.files import is_held, locked


def run(store=None, **more):
    common = dict(grid={"rate": [0.1, 0.2, 0.3]}, seeds=8, times=[0, 9], devices=jax.devices()[:1], progress=False)
    return js.sweep(wide_walk, store=store, **(common | more))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Several pieces a part, and a machine whose usual width is 4."""
    monkeypatch.setattr(sys.modules["jaxscale.engine.place.local"], "FIRST_BLOCKS", 2)
    monkeypatch.setattr(sys.modules["jaxscale.engine.machine.devices"], "CPU_WIDTH", 4)


def after_the_first_piece(do):
    """A listener: what another process does meanwhile."""
    done = []

    def hear(event):
        if event.name == "piece" and not done:
            done.append(True)
            do()

    return hear


def test_one_part_is_narrowed_while_another_runs(tmp_path, monkeypatch):
    work, cramped = sys.modules["jaxscale.engine.place.local"], []
    run_one = work.run_one

    def run_if_there_is_room(bucket, executable, *rest):
        if cramped and executable.width > 2:
            raise MemoryError("no room for blocks of 4")
        return run_one(bucket, executable, *rest)

    def the_other_part():
        cramped.append(True)
        with contextlib.suppress(js.StoreError, MemoryError):  # as good an answer
            run(tmp_path, part=(0, 2))
        cramped.clear()

    monkeypatch.setattr(work, "run_one", run_if_there_is_room)
    with contextlib.suppress(js.StoreError):
        run(tmp_path, part=(1, 2), listeners=[after_the_first_piece(the_other_part)])
    found = js.load(tmp_path)
    widths = {int(width) for width in np.unique(found.width) if width == width}
    assert widths <= set(json.loads(found.attrs["width"]).values())


def test_moments_of_overlapping_parts_count_every_run_once(tmp_path):
    """Somebody cut the sweep into two, somebody else into three; a task that was given up may come back as well."""

    def third():
        with contextlib.suppress(js.StoreError):  # refused: as good an answer
            run(tmp_path, reduce=True, width=2, part=(0, 3))

    run(tmp_path, reduce=True, width=2, part=(0, 2), listeners=[after_the_first_piece(third)])
    runs = js.load(tmp_path).runs
    assert (runs[0] == 8).all() and (runs <= 8).all()


def test_runs_of_overlapping_parts_are_the_same_runs(tmp_path):
    calm = run(width=2)

    def third():
        with contextlib.suppress(js.StoreError):
            run(tmp_path, width=2, part=(0, 3))

    run(tmp_path, width=2, part=(0, 2), listeners=[after_the_first_piece(third)])
    assert run(tmp_path, width=2).equals(calm) and js.load(tmp_path).equals(calm)


def test_processes_that_look_at_a_lock_do_not_see_each_other(tmp_path):
    """Two parts that start together both look at a lock left by an earlier cut: neither takes the other's look for a holder."""
    fcntl = pytest.importorskip("fcntl")
    (tmp_path / "lock.0-of-2.earlier").touch()
    with open(tmp_path / "lock.0-of-2.earlier") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        assert not is_held(tmp_path / "lock.0-of-2.earlier")
    with locked(tmp_path, "lock.0-of-2.earlier"):
        assert is_held(tmp_path / "lock.0-of-2.earlier")
