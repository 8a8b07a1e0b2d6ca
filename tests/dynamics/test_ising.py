"""The Ising model against enumeration, and the Ornstein-Uhlenbeck process against its moments."""

import itertools

import jax
import numpy as np
import pytest
from assertions import assert_mean

import jaxscale as js
from jaxscale.dynamics.ising import Ising
from jaxscale.dynamics.ornstein_uhlenbeck import OrnsteinUhlenbeck


def enumerated(coupling):
    """<m^2> of the 2 x 2 lattice, whose bonds all count twice."""
    weights, squares = [], []
    for spins in itertools.product((1, -1), repeat=4):
        s = np.array(spins).reshape(2, 2)
        bonds = np.sum(s * np.roll(s, 1, 0)) + np.sum(s * np.roll(s, 1, 1))
        weights.append(np.exp(coupling * bonds))
        squares.append(s.mean() ** 2)
    return np.average(squares, weights=weights)


@pytest.mark.parametrize("coupling", [0.0, 0.2, 0.44])
def test_against_enumeration(coupling):
    system = Ising(size=2, coupling=coupling, warmup=20)
    keys = jax.random.split(jax.random.key(0), 200)
    found = jax.jit(jax.vmap(lambda key: js.simulate(system, key, [420])))(keys)
    assert_mean(found["square"], enumerated(coupling), precision=0.01)


def test_ordered_and_disordered():
    def square(coupling):
        system = Ising(size=8, coupling=coupling, warmup=50)
        return js.simulate(system, jax.random.key(1), [300])["square"][0]

    assert square(0.8) > 0.9 and square(0.1) < 0.1
    with pytest.raises(ValueError, match="must be even"):
        Ising(size=3, coupling=0.4).check()


def test_moments_of_the_process():
    system = OrnsteinUhlenbeck(start=0.5, end=0.1, steps=100.0, sigma=2.0)
    keys = jax.random.split(jax.random.key(2), 20_000)
    x = np.asarray(jax.jit(jax.vmap(lambda key: js.simulate(system, key, [0, 1, 100])["x"]))(keys), float)
    assert_mean(x[:, 0] ** 2, 4 / (2 * 0.5), precision=0.06)
    assert_mean(x[:, 0] * x[:, 1], 4 / (2 * 0.5) * np.exp(-0.5), precision=0.06)
    assert np.var(x[:, 2]) > 3 * np.var(x[:, 0])
    with pytest.raises(ValueError, match="positive start, end and steps"):
        OrnsteinUhlenbeck(end=0.0).check()
