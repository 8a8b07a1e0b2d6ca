"""One-step rebalancing: the product stays, the Gram matrix becomes beta^2 I, the rate is exact."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rebalanced import Rebalanced, rebalance
from jaxscale.models.matrix_sensing import AsymmetricSensing, Factors
from jaxscale.records import check
from jaxscale.simulation import simulate
from jaxscale.theory.sensing import one_step_rate

ETA = 0.1


def rebalanced(alpha=0.02, beta=0.7, after=300, rate=ETA):
    model = AsymmetricSensing(n1=10, n2=8, rank=2, k=4, alpha=alpha)
    return Rebalanced(system=Descent(model=model, learning_rate=rate), beta=beta, after=after)


@pytest.mark.parametrize("beta", [0.3, 2.0])
def test_product_stays_and_gram_matrix_is_beta_squared(beta):
    rng = np.random.default_rng(0)
    before = Factors(*(jnp.asarray(rng.normal(size=(n, 4)), jnp.float32) for n in (9, 6)))
    after = jax.jit(rebalance)(before, beta)
    product = np.asarray(before.left) @ np.asarray(before.right).T
    np.testing.assert_allclose(after.left @ after.right.T, product, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(after.left.T @ after.left, beta**2 * np.eye(4), atol=1e-5 * beta**2)


def test_rate_is_exact_whatever_the_initialisation():
    times = np.array([5, 25])

    def run(alpha, beta):
        return simulate(rebalanced(alpha=alpha, beta=beta), jax.random.key(0), times)

    alphas, betas = np.meshgrid([0.01, 0.04], [0.5, 1.0])
    found = jax.jit(jax.vmap(run))(jnp.asarray(alphas.ravel(), jnp.float32), jnp.asarray(betas.ravel(), jnp.float32))
    loss = np.asarray(found["loss"], np.float64)
    assert np.all(loss > 1e-11), "at the rounding floor: measure earlier"
    rate = -np.log(loss[:, 1] / loss[:, 0]) / 20
    np.testing.assert_allclose(rate, [one_step_rate(ETA, beta) for beta in betas.ravel()], rtol=0.02)


def test_time_counts_from_the_rebalancing_and_the_error_is_continuous():
    """Step 0 is the state after `after` plain steps, with the loss they reached."""

    @jax.jit
    def errors(key):
        system = rebalanced(after=50)
        key_data, key_init, _ = jax.random.split(key, 3)
        data = system.sample(key_data)
        inner = system.system
        state = inner.init(jax.random.split(key_init)[0], data)
        state = jax.lax.fori_loop(0, 50, lambda t, s: inner.step(key, s, data), state)
        return inner.observe(state, data)["error"], simulate(system, key, np.array([0]))["error"][0]

    plain, found = errors(jax.random.key(0))
    np.testing.assert_allclose(found, plain, rtol=1e-4)


@pytest.mark.parametrize(
    "options, message", [({"beta": 0.0}, "beta must be positive"), ({"after": -1}, "after must not be negative")]
)
def test_refusals(options, message):
    with pytest.raises(ValueError, match=message):
        check(rebalanced(**options))


def test_beyond_the_stability_limit_it_warns():
    check(rebalanced(beta=1.0, rate=0.9))
    with pytest.warns(UserWarning, match="stability"):
        check(rebalanced(beta=1.5, rate=0.9))
