"""What enters the key of a run, and what does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscale as js
from jaxscale.engine.run import executables


def uniform(key):
    """One number in [0, 1] of a key: its own bits, which compile in no time."""
    return jax.random.key_data(key)[0].astype(jnp.float32) / 2.0**32


@js.record
class Draw:
    """Three draws that depend on nothing but the key."""

    def sample(self, key):
        return uniform(key)

    def init(self, key, data):
        return uniform(key)

    def step(self, key, state, data):
        return uniform(key)

    def observe(self, state, data):
        return {"state": state, "disorder": data}


def experiment(**coordinates):
    return Draw()


def draws(grid, **changes):
    common = dict(seeds=2, times=[0, 1], width=2, devices=jax.devices()[:1], progress=False)
    return js.sweep(experiment, grid=grid, **(common | changes))


def numbers(runs):
    return np.concatenate([np.ravel(runs.state), np.ravel(runs.disorder.isel(time=0))])


def same(one, two):
    equal = numbers(one) == numbers(two)
    assert equal.all() or not equal.any()
    return bool(equal.all())


@pytest.fixture(scope="module")
def base():
    return draws({"alpha": [1.5]})


def test_every_draw_is_another(base):
    assert len(set(numbers(base))) == 2 * 3  # two seeds; disorder, initialisation and step


@pytest.mark.parametrize(
    "grid, changes",
    [
        ({"alpha": [1.25]}, {}),
        ({"beta": [1.5]}, {}),
        ({"alpha": [1.5], "beta": [0.0]}, {}),
        ({"alpha": [1.5]}, {"root": 1}),
        ({"alpha": [1.5]}, {"static": {"d": [1]}}),
    ],
    ids=["value", "name", "another axis", "root", "static axis"],
)
def test_enters_the_key(base, grid, changes):
    executables.forget()  # only for the other name: see test_compiles.test_renamed_axis
    assert not same(base, draws(grid, **changes))


@pytest.mark.parametrize("value", [1.0, np.float32(1), np.int64(1), np.float64(1)], ids=lambda value: type(value).__name__)
def test_one_value_in_many_types(value):
    assert same(draws({"alpha": [1]}), draws({"alpha": np.array([value])}))


def test_float64_is_read_as_the_run_reads_it():
    assert same(draws({"alpha": [0.1]}), draws({"alpha": np.array([0.1], np.float32)}))


def test_order_of_axes():
    one = draws({"alpha": [1.5, 2.0], "beta": [0.5]}, static={"d": [1], "kind": ["a"]})
    two = draws({"beta": [0.5], "alpha": [1.5, 2.0]}, static={"kind": ["a"], "d": [1]})
    assert same(one, two.transpose(*one.dims))


def test_names_and_values_do_not_run_together():
    # swapped coordinates must not give the same sum
    runs = draws({"alpha": [0.5, 2.0], "beta": [0.5, 2.0]})
    assert len(set(numbers(runs))) == 4 * 6


def test_share():
    shared = draws({"alpha": [0.5, 2.0], "beta": [0.5, 2.0]}, share=("alpha",))
    assert same(shared.isel(alpha=0), shared.isel(alpha=1))
    assert not same(shared.isel(beta=0), shared.isel(beta=1))
    assert same(shared.isel(alpha=0), draws({"beta": [0.5, 2.0]}))


def test_sizes_are_not_correlated():
    sizes = draws({}, static={"d": [8, 16]}, seeds=64, times=[0])
    assert abs(np.corrcoef(sizes.state.values.reshape(2, -1))[0, 1]) < 4 / 64**0.5
    shared = draws({}, static={"d": [8, 16]}, times=[0], share=("d",))
    assert same(shared.isel(d=0), shared.isel(d=1))


def test_crossed_seeds():
    runs = draws({"alpha": [1.5]}, seeds={"data": 2, "init": 3})
    assert len(np.unique(runs.disorder)) == 2 and len(np.unique(runs.state)) == 2 * 3 * 2
    # the first pair is no plain seed in disguise, except that the data are those of the plain seed
    plain = draws({"alpha": [1.5]})
    assert np.array_equal(runs.disorder.isel(init=0, time=0), plain.disorder.isel(time=0))
    assert not np.isin(plain.state, runs.state).any()


def test_text_and_number_are_two_values():
    kinds = draws({}, static={"kind": ["a", "b"]})
    assert not same(kinds.isel(kind=0), kinds.isel(kind=1))


def test_text_that_looks_like_a_number():
    kinds = draws({}, static={"kind": ["1", 1]})
    assert not same(kinds.isel(kind=0), kinds.isel(kind=1))


def test_no_traced_axis():
    assert draws({}).state.dims == ("seed", "time")
    assert jnp.ndim(draws({}, seeds=1).state.values) == 2
