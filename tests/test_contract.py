"""Everything discovered keeps the contract."""

import jax
import jax.numpy as jnp
import pytest

from jaxscale.data.world import check_world, next_token
from jaxscale.discovery import examples
from jaxscale.protocol import check_model, check_system

pytestmark = pytest.mark.smoke


def instances(package):
    """Every example found, as test parameters."""
    return [pytest.param(one, id=label) for label, one in examples(package)]


@pytest.mark.parametrize("model", instances("jaxscale.models"))
def test_model(model):
    check_model(model, quick=True)


@pytest.mark.parametrize("system", instances("jaxscale.dynamics"))
def test_system(system):
    check_system(system, quick=True)


@pytest.mark.slow
@pytest.mark.parametrize("model", instances("jaxscale.models"))
def test_model_alone(model):
    """As above, and that vmap equals a loop."""
    check_model(model)


@pytest.mark.slow
@pytest.mark.parametrize("system", instances("jaxscale.dynamics"))
def test_system_alone(system):
    """As above, and that vmap equals a loop."""
    check_system(system)


@pytest.mark.parametrize("world", instances("jaxscale.data"))
def test_world(world):
    check_world(world)


class Broken:
    """A world that is right until something is replaced."""

    vocabulary, context = 4, 3

    def __init__(self, **parts):
        self.__dict__ |= parts

    def sample(self, key):
        return ()

    def example(self, key, frozen):
        return next_token(jax.random.randint(key, (4,), 0, 4))


def _constant(key, frozen):
    return next_token(jnp.arange(4))


@pytest.mark.parametrize(
    ("parts", "error", "message"),
    [
        ({"vocabulary": 3}, AssertionError, "tokens from 0 to 3; they must be in 0..2"),
        ({"answers": 2}, AssertionError, "asks for 0 to 3; it must lie in 0..1"),
        ({"context": 5}, ValueError, r"must give shapes \(context=5,\); got .*'tokens': \(3,\)"),
        ({"example": _constant}, AssertionError, "the same sequences for every key"),
        ({"example": lambda key, frozen: jax.random.randint(key, (3,), 0, 4)}, TypeError, "got .*next_token"),
        (
            {"example": lambda key, frozen: _constant(key, frozen)._replace(weight=jnp.zeros(3))},
            AssertionError,
            "all of them 0",
        ),
        (
            {"example": lambda key, frozen: _constant(key, frozen)._replace(tokens=jax.random.uniform(key, (3,)))},
            TypeError,
            "whole numbers as tokens; got float32",
        ),
        (
            {"example": lambda key, frozen: _constant(key, frozen)._replace(weight=jnp.ones(3, bool))},
            TypeError,
            r"real numbers as weight; got bool\. Convert with astype\(jnp\.float32\)",
        ),
        ({"entropy_floor": lambda frozen: jnp.array(1.5)}, AssertionError, "0..log 4 = 1.386 nats; got 1.5"),
        ({"unseen": lambda key, frozen: next_token(jnp.full(4, 9))}, AssertionError, "unseen gives tokens from 9 to 9"),
    ],
)
def test_worlds_that_break_the_contract(parts, error, message):
    check_world(Broken())
    with pytest.raises(error, match=message):
        check_world(Broken(**parts))
