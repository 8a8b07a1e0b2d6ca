"""Closed forms of the perceptron: published constants, and one simulated step."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from assertions import assert_mean

from jaxscale.dynamics.descent import Descent
from jaxscale.fitting.double_precision import float64
from jaxscale.models.perceptron import Perceptron
from jaxscale.simulation import simulate
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


@pytest.mark.parametrize("chi", [0.0, 1.0, 2.0])
def test_at_the_stationary_noise_unfitted_points_add_no_length_on_average(chi):
    """Points of the margin density that lie on the wrong side at large lambda, one step of size T / sqrt(d) each."""
    d, temperature, ratio, rng = 5, 0.7, 8.0, np.random.default_rng(0)
    along = np.sqrt(rng.chisquare(1 + chi, 8_000_000))  # y x_1, of density x^chi exp(-x^2 / 2)
    across = rng.normal(size=along.size)  # y x in the direction of v_perp
    across = across[ratio * along + across < 0]
    noise = temperature * theory.stationary_noise(d, chi)
    steps = temperature / np.sqrt(d) * np.stack([across, *rng.normal(size=(d - 2, across.size))])
    gained = (noise + steps[0]) ** 2 + np.sum(steps[1:] ** 2, axis=0) - noise**2
    size = temperature**2 * (d + chi) / d  # of the two terms that cancel
    assert_mean(gained / size, 0, precision=0.02)


def test_first_step_norm_of_infinitely_many_points_is_the_first_step():
    assert theory.first_step_norm(32, 10**12, 1) == pytest.approx(theory.first_step(32, 1), rel=1e-6)


def test_capacity_is_gardners_integral():
    t, weight = np.polynomial.hermite_e.hermegauss(200)
    for margin in (0.0, 0.5, 1.0):
        x = np.linspace(-margin, 12, 400_001)
        integral = np.trapezoid((margin + x) ** 2 * np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi), x)
        assert float(theory.capacity(margin)) == pytest.approx(1 / integral, rel=1e-5)
    assert float(theory.capacity(0.0)) == pytest.approx(2.0, rel=1e-6)


@pytest.mark.parametrize("alpha", [0.5, 2.0, 8.0])
def test_the_hebb_rule_generalises_as_the_closed_form_says(alpha):
    d, rng = 300, np.random.default_rng(0)
    errors = []
    for _ in range(60):
        inputs = rng.normal(size=(round(alpha * d), d))
        weight = np.sign(inputs[:, 0]) @ inputs  # the teacher is the first axis
        errors.append(np.arccos(weight[0] / np.linalg.norm(weight)) / np.pi)
    assert_mean(np.array(errors), float(theory.hebb_error(alpha)), precision=0.002)


def test_gibbs_learning_has_its_limits():
    with float64():
        alpha = jnp.array([1e-4, 0.1, 1.0, 10.0, 1000.0])
        error = np.asarray(theory.gibbs_error(alpha))
    assert error[0] == pytest.approx(0.5, abs=1e-4) and np.all(np.diff(error) < 0)
    assert error[-1] * 1000 == pytest.approx(0.625, abs=1e-3)  # Gyorgyi and Tishby's constant
    # one example: the students that agree with it are half of all, and overlap with the teacher by 2 / pi in its direction
    assert np.cos(np.pi * error[0]) == pytest.approx(2 / np.pi * 1e-4, rel=1e-2)


def test_bayes_is_better_than_gibbs_by_root_two_at_large_loads():
    with float64():
        alpha = jnp.array([1e-3, 0.5, 4.0, 2000.0])
        gibbs, bayes = np.asarray(theory.gibbs_error(alpha)), np.asarray(theory.bayes_error(alpha))
    assert np.all(bayes < gibbs)
    assert bayes[-1] * 2000 == pytest.approx(0.442, abs=1e-3)  # Opper and Haussler's constant
    # averaged over the posterior the overlaps agree: cos(pi bayes)^2 = cos(pi gibbs)
    np.testing.assert_allclose(np.cos(np.pi * bayes) ** 2, np.cos(np.pi * gibbs), atol=1e-9)
