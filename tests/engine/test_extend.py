"""A wider request runs only what is new, and a finished one nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscale as js
from jaxscale.engine.errors import StoreError
from jaxscale.engine.run import executables
from jaxscale.engine.run.executable import Executable


def uniform(key):
    """One number in [0, 1] of a key: its own bits, which compile in no time."""
    return jax.random.key_data(key)[0].astype(jnp.float32) / 2.0**32


@js.record
class Walk:
    rate: jax.Array
    d: int = js.static(default=2)

    def sample(self, key):
        return uniform(key)

    def init(self, key, data):
        return uniform(key) * jnp.arange(1.0, self.d + 1.0)

    def step(self, key, state, data):
        return state + self.rate * (data - state) + uniform(key)

    def observe(self, state, data):
        return {"first": state[0], "disorder": data}


def walk(rate, d=2):
    return Walk(rate=rate, d=d)


COMMON = dict(grid={"rate": [0.1, 0.2]}, seeds=5, times=[0, 2, 9], width=2, devices=jax.devices()[:1], progress=False)
WIDER = {
    "values": {"grid": {"rate": [0.05, 0.1, 0.15, 0.2]}},
    "seeds": {"seeds": 9},
    "both": {"grid": {"rate": [0.2, 0.3, 0.1]}, "seeds": 6},
}


def run(**changes):
    return js.sweep(walk, **(COMMON | changes))


@pytest.fixture
def compiled(monkeypatch):
    """Names of the programs compiled from here on."""
    names, build = [], Executable.compile_program
    monkeypatch.setattr(
        Executable, "compile_program", lambda self, f, *a, **k: names.append(f.__name__) or build(self, f, *a, **k)
    )
    return names


@pytest.mark.parametrize("changes", WIDER.values(), ids=WIDER)
def test_wider(tmp_path, changes):
    first = run(store=tmp_path)
    wider = run(store=tmp_path, **changes)
    assert first.attrs["runs_computed"] == 10
    assert wider.attrs["runs_computed"] == wider["first"].isel(time=0).size - 10
    assert wider.sel(rate=first.rate, seed=first.seed).equals(first)
    assert wider.equals(run(**changes))


def test_more_static_points(tmp_path):
    first = run(store=tmp_path, static={"d": [2]})
    wider = run(store=tmp_path, static={"d": [3, 2]})
    assert wider.attrs["runs_computed"] == 10
    assert wider.sel(d=[2]).equals(first)


def test_more_data_seeds(tmp_path):
    first = run(store=tmp_path, seeds={"data": 2, "init": 3})
    wider = run(store=tmp_path, seeds={"data": 3, "init": 3})
    assert (first.attrs["runs_computed"], wider.attrs["runs_computed"]) == (12, 6)
    assert wider.sel(data=first.data).equals(first)


def test_more_init_seeds(tmp_path):
    run(store=tmp_path, seeds={"data": 3, "init": 4})
    wider = run(store=tmp_path, seeds={"data": 3, "init": 5})
    assert wider.attrs["runs_computed"] == 2 * 3


def test_whole_numbers_and_fractions_are_different_axes(tmp_path):
    run(store=tmp_path, grid={"rate": [0, 1]})
    with pytest.raises(StoreError, match=r"its 'axes' is .*int32.* yours is .*float32"):
        run(store=tmp_path, grid={"rate": [0, 0.5, 1]})


def test_a_narrower_request_is_a_load(tmp_path):
    first = run(store=tmp_path)
    narrow = run(store=tmp_path, grid={"rate": [0.2]}, seeds=3)
    assert narrow.attrs["runs_computed"] == 0
    assert narrow.equals(first.isel(rate=[1], seed=slice(3)))


def test_a_finished_sweep_is_a_load(tmp_path, compiled):
    first = run(store=tmp_path)
    compiled.clear()
    with executables.set_aside():
        again = run(store=tmp_path)
    assert again.attrs["runs_computed"] == 0 and compiled == []
    assert again.equals(first) and js.load(tmp_path).equals(first)


def test_load_knows_static_axes_and_crossed_seeds(tmp_path):
    first = run(store=tmp_path, static={"d": [3, 2]}, seeds={"data": 2, "init": 2})
    assert js.load(tmp_path).equals(first)


def test_requested_is_done_and_pending(tmp_path):
    first = run(store=tmp_path)
    lost = sorted((tmp_path / "pieces").glob("*.done"))[0]
    with np.load(lost.with_suffix(".npz")) as piece:
        pending = len(piece["ids"])
    lost.unlink()
    assert 0 < pending < 10
    part = js.load(tmp_path)
    assert int(part["first"].isel(time=0).isnull().sum()) == pending
    assert int(part.diverged_at.notnull().sum()) == 10 - pending
    again = run(store=tmp_path)
    assert again.attrs["runs_computed"] == pending and again.equals(first)
