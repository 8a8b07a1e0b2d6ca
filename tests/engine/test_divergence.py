"""A run that diverges is data: where, and NaN from there on; its neighbours never notice."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscale as js
from jaxscale.engine.audit.verification import verify


def uniform(key):
    """One number in [0, 1] of a key: its own bits, which compile in no time."""
    return jax.random.key_data(key)[0].astype(jnp.float32) / 2.0**32


@js.record
class Fuse:
    """Counts steps beside a chaotic map, and breaks when the count reaches `fuse`."""

    fuse: jax.Array
    broken: float = js.static(default=float("nan"))

    def sample(self, key):
        return uniform(key)

    def init(self, key, data):
        return self._broken(uniform(key), jnp.array(0, jnp.int32)), jnp.array(0, jnp.int32)

    def step(self, key, state, data):
        x, t = state
        return self._broken(3.9 * x * (1.0 - x), t + 1), t + 1

    def observe(self, state, data):
        return {"x": state[0], "count": state[1], "finite": jnp.isfinite(state[0])}

    def _broken(self, x, t):
        return jnp.where(t == self.fuse, jnp.float32(self.broken), x)


def experiment(fuse, broken="nan"):
    return Fuse(fuse=fuse, broken=float(broken))


NEVER = 10**6
TIMES = np.array([0, 1, 2, 7, 8, 30, 60])
COMMON = dict(seeds=2, times=TIMES, width=4, devices=jax.devices()[:1], share=("fuse",), progress=False)


def run(fuses, **changes):
    return js.sweep(experiment, grid={"fuse": fuses}, **(COMMON | changes))


@pytest.fixture(scope="module")
def calm():
    """The runs without a fuse. `fuse` is left out of the key, so that all cells follow the same trajectory."""
    return run([NEVER]).isel(fuse=0)


@pytest.mark.parametrize("broken", ["nan", "inf"])
@pytest.mark.parametrize("fuse", [1, 2, 5, 8, 31, 60])
def test_first_bad_step(calm, broken, fuse):
    broke = run([fuse, NEVER], static={"broken": [broken]}, share=("fuse", "broken")).isel(broken=0)
    assert np.all(broke.diverged_at.isel(fuse=0) == fuse) and np.all(broke.diverged_at.isel(fuse=1) == -1)
    before = TIMES < fuse
    assert np.array_equal(broke.x.isel(fuse=0, time=before), calm.x.isel(time=before))
    assert np.all(np.isnan(broke.x.isel(fuse=0, time=~before)))
    assert np.array_equal(broke.x.isel(fuse=1), calm.x)


def test_bad_from_the_start():
    assert np.all(run([0, NEVER]).diverged_at.isel(fuse=0) == 0)


def test_a_state_that_recovers():
    class Recovering(Fuse):
        def _broken(self, x, t):
            return jnp.where(t == self.fuse, jnp.float32(jnp.inf), jnp.where(jnp.isfinite(x), x, jnp.float32(0.5)))

    jax.tree_util.register_pytree_node(Recovering, lambda s: ((s.fuse,), None), lambda _, c: Recovering(fuse=c[0]))
    often, seldom = (
        js.sweep(lambda fuse: Recovering(fuse=fuse), grid={"fuse": [5]}, **(COMMON | {"times": times}))
        for times in ([0, 5, 60], [0, 60])
    )
    assert seldom.diverged_at.equals(often.diverged_at)


def test_a_fuse_after_the_end(calm):
    late = run([61, NEVER])
    assert np.all(late.diverged_at == -1) and np.array_equal(late.x.isel(fuse=0), calm.x)


def test_neighbours_keep_their_bits():
    fuses = [NEVER, 5, NEVER + 1, 31]  # two seeds each: both blocks of four hold lanes that break
    mixed, calm = run(fuses, share=()), run([NEVER, NEVER + 1], share=())
    assert mixed.sel(fuse=[NEVER, NEVER + 1]).equals(calm)


def test_first_bad_step_does_not_depend_on_the_records():
    often, seldom = run([5, 31]), run([5, 31], times=[60])
    assert seldom.diverged_at.equals(often.diverged_at)


def test_all_lanes_gone_and_off_other_devices(devices):
    alone, spread = run([5, 8]), run([5, 8], devices=devices[:2])
    assert spread.equals(alone) and np.all(alone.x.sel(time=60).isnull())


def test_diverged_runs_are_stored(tmp_path):
    stored = run([5, NEVER], store=tmp_path)
    assert js.load(tmp_path).equals(stored) and run([5, NEVER], store=tmp_path).attrs["runs_computed"] == 0


def test_whole_numbers_keep_their_type(calm):
    broke = run([5, NEVER])
    assert broke["count"].dtype == np.int32 and broke.finite.dtype == bool
    assert np.array_equal(broke["count"].isel(fuse=1), calm["count"])


@pytest.mark.parametrize("reduce", [False, True])
def test_requested_is_done_and_failed_and_pending(tmp_path, reduce):
    store, counts = tmp_path / "store", ("requested", "done", "failed", "pending")
    runs = run([5, NEVER, 31], reduce=reduce, store=store)
    assert [runs.attrs[name] for name in counts] == [6, 2, 4, 0]
    found = verify(store)
    assert [getattr(found, name) for name in counts] == [6, 2, 4, 0]
    mark = sorted((store / "pieces").glob("*.done"))[0]
    mark.unlink()
    left, found = js.load(store).attrs, verify(store)
    assert [left[name] for name in counts] == [getattr(found, name) for name in counts]
    assert left["pending"] > 0 and left["done"] + left["failed"] + left["pending"] == 6
