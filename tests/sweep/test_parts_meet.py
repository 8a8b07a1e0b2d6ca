"""Parts that write one store at the same time: their runs are never of two widths, and never counted twice."""

import contextlib
import json
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscale as js


@jax.custom_batching.custom_vmap
def block_width(x):
    """1 for a single run; under vmap the number of lanes: bits that depend on the width, as real ones do."""
    return jnp.ones_like(x)


@block_width.def_vmap
def _(size, batched, x):
    return jnp.full_like(x, size), batched[0]


@js.record
class Walk:
    rate: jax.Array

    def sample(self, key):
        return jnp.zeros(())

    def init(self, key, data):
        return jax.random.key_data(key)[0].astype(jnp.float32) / 2.0**32

    def step(self, key, state, data):
        return state + 0.5 * self.rate

    def observe(self, state, data):
        return {"position": state, "width": block_width(state)}


def walk(rate):
    return Walk(rate=rate)


def run(store=None, **more):
    common = dict(grid={"rate": [0.1, 0.2, 0.3]}, seeds=8, times=[0, 9], devices=jax.devices()[:1], progress=False)
    return js.sweep(walk, store=store, **(common | more))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Several pieces a part, and a machine whose usual width is 4."""
    monkeypatch.setattr(sys.modules["jaxscale.sweep.work"], "FIRST_BLOCKS", 2)
    monkeypatch.setattr(sys.modules["jaxscale.sweep.devices"], "CPU_WIDTH", 4)


def after_the_first_piece(do):
    """A listener: what another process does meanwhile."""
    done = []

    def hear(event):
        if event.name == "piece" and not done:
            done.append(True)
            do()

    return hear


def test_one_part_is_narrowed_while_another_runs(tmp_path, monkeypatch):
    work, cramped = sys.modules["jaxscale.sweep.work"], []
    run_one = work._run_one

    def run_if_there_is_room(bucket, executable, *rest):
        if cramped and executable.width > 2:
            raise MemoryError("no room for blocks of 4")
        return run_one(bucket, executable, *rest)

    def the_other_part():
        cramped.append(True)
        with contextlib.suppress(js.StoreError, MemoryError):  # as good an answer
            run(tmp_path, part=(0, 2))
        cramped.clear()

    monkeypatch.setattr(work, "_run_one", run_if_there_is_room)
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
