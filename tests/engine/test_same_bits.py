"""A run's bits depend on its coordinates, its seed, the root and the block width, and on nothing else."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscale as js
from jaxscale.engine.ask.request import Request
from jaxscale.engine.keep.rows import Rows
from jaxscale.engine.place.room import fitted
from jaxscale.engine.run.cohort import run_cohort
from jaxscale.engine.run.executables import program_of
from jaxscale.engine.run.program import lane_key

pytestmark = pytest.mark.smoke


@js.record
class Maps:
    """Coupled logistic maps. Chaotic: a difference in the last bit at the start is of order one at the end."""

    rate: jax.Array

    def sample(self, key):
        weights = jax.random.uniform(key, (4, 4))
        return weights / jnp.sum(weights, axis=1, keepdims=True)

    def init(self, key, data):
        return jax.random.uniform(key, (4,))

    def step(self, key, state, data):
        mixed = 0.99 * (data @ state) + 0.01 * jax.random.uniform(key)
        return self.rate * mixed * (1.0 - mixed)

    def observe(self, state, data):
        return {"first": state[0], "coupling": data[0, 1]}


@js.record
class Halting(Maps):
    """Stops after 1/u^2 steps for uniform u: most runs soon, some never."""

    rate: jax.Array

    def init(self, key, data):
        steps = jax.random.uniform(key) ** -2
        return super().init(key, data), jnp.array(0, jnp.int32), steps

    def step(self, key, state, data):
        maps, t, steps = state
        over = self.stopped(state, data)
        return jnp.where(over, maps, super().step(key, maps, data)), jnp.where(over, t, t + 1), steps

    def stopped(self, state, data):
        return state[1] >= state[2]

    def observe(self, state, data):
        return {**super().observe(state[0], data), "steps": state[1]}


def maps(rate):
    return Maps(rate=rate)


def halting(rate):
    return Halting(rate=rate)


ONE = jax.devices()[:1]
RATES = [3.7, 3.8, 3.9]
COMMON = dict(grid={"rate": RATES}, seeds=3, times=[0, 1, 4, 30, 400], width=2, devices=ONE, progress=False)
CROSSED = COMMON | {"seeds": {"data": 2, "init": 3}}


def run(experiment=maps, **changes):
    return js.sweep(experiment, **(COMMON | changes))


@pytest.fixture(scope="module")
def whole():
    """Three cells of three seeds: five blocks, the last one half empty."""
    return run()


@pytest.fixture(scope="module")
def crossed():
    """Three cells, two draws of the data, three initialisations of each."""
    return run(**CROSSED)


def test_the_toy_is_chaotic():
    # otherwise equal bits at the end would say nothing about equal bits on the way
    rate = np.float32(3.7)
    near = run(grid={"rate": np.array([rate, np.nextafter(rate, np.float32(4))])}, share=("rate",)).first
    one, other = near.isel(rate=0), near.isel(rate=1)
    assert np.array_equal(one.isel(time=0), other.isel(time=0))
    assert np.sum(np.abs(one - other).isel(time=-1) > 1e-3) >= 2  # of three; noise in common holds the other pair together


def test_blocks_in_flight(whole):
    assert run(memory=1).equals(whole)  # one block at a time


@pytest.mark.parametrize("rows", [slice(0, 4), slice(3, 8), slice(8, 9), [7, 0, 4]], ids=str)
def test_lanes_in_flight(whole, rows):
    arguments = {name: value for name, value in COMMON.items() if name != "progress"}
    request = Request.make(maps, **arguments)
    lanes = request.grid.lanes({})
    executable = fitted(request, program_of(request, {}), 2, lanes)
    some = run_cohort(executable, lanes.take(rows), request.times, recorder=Rows)
    assert np.array_equal(some.observed["first"], whole.first.values.reshape(9, -1)[rows])


def test_order_of_cells(whole):
    assert run(grid={"rate": RATES[::-1]}).isel(rate=[2, 1, 0]).equals(whole)


@pytest.mark.parametrize("count", [2, 4])
def test_devices(whole, devices, count):
    assert run(devices=devices[:count]).equals(whole)


def test_a_cell_alone(whole):
    assert run(grid={"rate": RATES[1:2]}).equals(whole.isel(rate=[1]))


def test_a_lane_alone(whole):
    assert run(grid={"rate": RATES[1:2]}, seeds=1).equals(whole.isel(rate=[1], seed=[0]))


def test_more_seeds(whole):
    assert run(seeds=7).isel(seed=slice(3)).equals(whole)


def test_recorded_at_other_times(whole):
    assert run(times=[4, 17, 400]).sel(time=[4, 400]).equals(whole.sel(time=[4, 400]))


def test_resumed_from_a_store(whole, tmp_path):
    run(store=tmp_path)
    sorted((tmp_path / "pieces").glob("*.done"))[0].unlink()
    again = run(store=tmp_path)
    assert 0 < again.attrs["runs_computed"] < 9
    assert again.equals(whole)


def test_reclaiming_stopped_runs():
    many = dict(seeds=8, times=[1, 2, 5, 100])
    kept, dropped = run(halting, reclaim=False, **many), run(halting, **many)
    assert dropped.equals(kept)
    assert dropped.attrs["useful_share"] > 2 * float((kept.steps.isel(time=-1) / 100).mean())
    last = kept.steps.isel(time=-1)
    assert int(last.min()) <= 2 and int(last.max()) == 100  # the tail is heavy, or nothing was tested


def test_stopped_runs_on_other_devices_at_other_times(devices):
    alone = run(halting, times=[100], seeds=8)
    spread = run(halting, times=[1, 3, 50, 100], seeds=8, devices=devices[:2])
    assert spread.sel(time=[100]).equals(alone)


def test_simulate_repeats_a_lane(whole):
    times = [0, 1, 4]  # before chaos has amplified the last bit
    lanes = Request.make(maps, grid={"rate": RATES}, seeds=3, times=times).grid.lanes({})
    simulate = jax.jit(lambda rate, key: js.simulate(maps(rate), key, times))
    for row in (0, 5, 8):
        alone = simulate(jnp.float32(RATES[row // 3]), lane_key(0, lanes, row))
        lane = whole.sel(time=times).isel(rate=row // 3, seed=row % 3)
        np.testing.assert_allclose(alone["first"], lane.first, rtol=1e-5)
        np.testing.assert_allclose(alone["coupling"], lane.coupling, rtol=1e-5)


def test_crossed_disorder_is_shared(crossed):
    coupling = crossed.coupling.isel(time=0)
    assert bool((coupling == coupling.isel(init=0)).all())
    assert len(np.unique(coupling)) == 3 * 2  # another draw for every cell and data seed
    assert len(np.unique(crossed.first.isel(time=0))) == 3 * 2 * 3


@pytest.mark.parametrize("count", [2, 4])
def test_crossed_devices(crossed, devices, count):
    assert run(**(CROSSED | {"devices": devices[:count]})).equals(crossed)


def test_crossed_neighbours(crossed):
    assert run(**(CROSSED | {"grid": {"rate": RATES[2:]}})).equals(crossed.isel(rate=[2]))
    assert run(**(CROSSED | {"seeds": {"data": 1, "init": 2}})).equals(crossed.isel(data=[0], init=[0, 1]))


def test_crossed_order_and_times(crossed):
    turned = run(**(CROSSED | {"grid": {"rate": RATES[::-1]}, "times": [4, 400]}))
    assert turned.isel(rate=[2, 1, 0]).equals(crossed.sel(time=[4, 400]))


def test_crossed_resume(crossed, tmp_path):
    run(**CROSSED, store=tmp_path)
    sorted((tmp_path / "pieces").glob("*.done"))[0].unlink()
    assert run(**CROSSED, store=tmp_path).equals(crossed)


@pytest.mark.parametrize("memory", [1, 1000])
def test_crossed_blocks_in_flight(crossed, memory):
    assert run(**CROSSED, memory=memory).equals(crossed)


def test_disorder_is_drawn_once_per_group():
    drawn = []

    @js.record
    class Counting(Maps):
        rate: jax.Array

        def sample(self, key):
            jax.debug.callback(lambda words: drawn.append(tuple(words.tolist())), jax.random.key_data(key))
            return super().sample(key)

    run(lambda rate: Counting(rate=rate), seeds={"data": 2, "init": 8}, times=[0, 3])
    jax.effects_barrier()
    assert len(set(drawn)) == 3 * 2
    assert len(drawn) < 3 * 2 * 8 / 2  # rounding the groups up costs some idle draws; one per lane would be 48
