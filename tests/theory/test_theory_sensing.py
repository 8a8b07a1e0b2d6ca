"""Exact constants of matrix factorisation in the population limit, met by simulation."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.dynamics.descent import Descent
from jaxscale.models.matrix_sensing import AsymmetricSensing, SymmetricSensing
from jaxscale.records import replace
from jaxscale.simulation import simulate
from jaxscale.theory.sensing import asymmetric_rate, one_step_rate, symmetric_limit


def test_surplus_directions_decay_as_one_over_time_with_constant_k_minus_r():
    rate, last = 0.5, 4000
    times = np.array([last // 10, last])
    for k in (2, 4):
        system = Descent(model=SymmetricSensing(n=12, rank=2, k=k, alpha=0.25), learning_rate=rate)
        loss = jax.jit(lambda key, system=system: simulate(system, key, times))(jax.random.key(0))["loss"]
        limit = symmetric_limit(k, 2)
        if limit:
            np.testing.assert_allclose(loss[1] * (2 * rate * last) ** 2, limit, rtol=0.02)
        else:
            assert loss[1] < 1e-11


def test_asymmetric_rate_is_set_by_the_weakest_direction_of_one_factor():
    """So it grows as alpha^2."""
    eta, times = 0.3, np.arange(0, 2001, 10)
    model = AsymmetricSensing(n1=20, n2=20, rank=1, k=2, random_basis=False, spectrum=1)

    def run(alpha):
        return simulate(Descent(model=replace(model, alpha=alpha), learning_rate=eta), jax.random.key(1), times)

    alphas = np.array([0.03, 0.06], np.float32)
    found = {name: np.asarray(value) for name, value in jax.jit(jax.vmap(run))(jnp.asarray(alphas)).items()}
    rates = []
    for loss, factor_min in zip(found["loss"], found["factor_min"]):
        window = (loss < 1e-4) & (loss > 1e-9)
        rates.append(-np.polyfit(times[window], np.log(loss[window]), 1)[0])
        np.testing.assert_allclose(rates[-1], asymmetric_rate(eta, factor_min[-1]), rtol=0.05)
    np.testing.assert_allclose(np.log2(rates[1] / rates[0]), 2, atol=0.15)


def test_one_step_rate_of_the_measured_table():
    """reference: .0506 at beta = .5 and .2107 at beta = 1, eta = .1."""
    np.testing.assert_allclose([one_step_rate(0.1, 0.5), one_step_rate(0.1, 1.0)], [0.0506, 0.2107], atol=5e-5)
