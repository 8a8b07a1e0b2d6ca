"""Closed forms of the perceptron: published constants, and one simulated step."""

import jax
import numpy as np
import pytest
from assertions import assert_mean

from jaxscale.dynamics.descent import Descent
from jaxscale.models.perceptron import Perceptron
from jaxscale.simulate import simulate
from jaxscale.theory import perceptron as theory


def test_published_constants():
    np.testing.assert_allclose([theory.tail_constant(0), theory.tail_constant(1)], [1 / np.pi, 1 / 4], rtol=1e-12)
    np.testing.assert_allclose([theory.mean_along(0), theory.mean_along(1)], [0.798, 1.253], atol=5e-4)
    np.testing.assert_allclose(theory.first_step(32, 1), 0.2216, atol=5e-5)
    np.testing.assert_allclose(theory.first_step(32, 0), 0.141, atol=5e-4)


@pytest.mark.parametrize("chi, gamma, time", [(0, 1, 3), (1, 1 / 2, 2), (3, 1 / 4, 1.5)])
def test_published_exponents(chi, gamma, time):
    found = theory.exponents(chi)
    assert (found["lambda"], found["gamma"], found["critical_batch"], found["time"]) == (gamma, gamma, gamma, time)
    assert found["critical_temperature"] == 0


@pytest.mark.parametrize("chi", [0.0, 1.0])
def test_first_step_has_the_predicted_norm_and_signal(chi):
    rate, d, alpha = 3.0, 4, 5.0
    system = Descent(model=Perceptron(d=d, alpha=alpha, alpha_max=alpha, chi=chi), learning_rate=rate)
    keys = jax.random.split(jax.random.key(0), 4000)
    found = jax.jit(jax.vmap(lambda key: simulate(system, key, np.array([1]))))(keys)
    expected = theory.first_step_norm(d, int(alpha * d), chi)
    assert_mean((found["norm"] / rate) ** 2, expected**2, precision=0.01 * expected**2)
    assert_mean(found["signal"] / rate, theory.first_step(d, chi), precision=0.01 * theory.first_step(d, chi))


def test_first_step_norm_of_infinitely_many_points_is_the_first_step():
    assert theory.first_step_norm(32, 10**12, 1) == pytest.approx(theory.first_step(32, 1), rel=1e-6)
