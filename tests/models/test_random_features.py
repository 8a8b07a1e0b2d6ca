"""Ridge regression on power-law features against its closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from assertions import assert_mean

import jaxscale as js
from jaxscale.dynamics.solved import Solved
from jaxscale.fitting.double_precision import float64
from jaxscale.models.random_features import RandomFeatures
from jaxscale.theory import kernel_regression
from jaxscale.theory import random_features as theory


def errors(seeds=300, **fields):
    model = RandomFeatures(**fields)
    system = Solved(model=model)
    keys = jax.random.split(jax.random.key(0), seeds)
    return np.asarray(jax.jit(jax.vmap(lambda key: js.simulate(system, key, [0])["error"][0]))(keys))


@pytest.mark.parametrize("samples, features", [(20, 40), (40, 20), (30, 30)])
def test_the_finite_size_theory(samples, features):
    found = errors(modes=200, samples_max=40, features_max=40, samples=samples, features=features, ridge=0.1, noise=0.3)
    with float64():
        lam, v2 = theory.power_law(200, b=1.5, a=1.5)
        exact = float(theory.error(samples, features, lam, v2, ridge=0.1, noise=0.09))
    assert_mean(found / exact, 1.0, precision=0.02)


def test_many_features_are_kernel_regression():
    with float64():
        lam, v2 = theory.power_law(300, b=1.5, a=2.0, onset=3.0)
        n = jnp.array([5.0, 20.0, 80.0])
        many = theory.error(n, 1e7 * n, lam, v2, ridge=1e-2, noise=0.1)
        np.testing.assert_allclose(many, kernel_regression.learning_curve(n, lam, v2, ridge=1e-2, noise=0.1), rtol=1e-4)
        found = {k: float(v) for k, v in theory.scales(20.0, 30.0, lam, 1e-2)._asdict().items()}
        many = np.asarray(many)
    assert found["z"] + 1e-2 / found["kappa"] == pytest.approx(20)
    assert found["z"] + 30 * found["kappa"] / found["gamma"] == pytest.approx(30)
    simulated = errors(modes=300, samples_max=20, samples=20.0, b=1.5, a=2.0, onset=3.0, ridge=1e-2, noise=0.1**0.5)
    assert_mean(simulated / float(many[1]), 1.0, precision=0.02)


def test_rows_and_columns_in_use_are_the_smaller_problem():
    """The solution uses nothing of what is masked."""
    model = RandomFeatures(modes=20, samples_max=10, features_max=8, samples=6.0, features=5.0, ridge=0.1)
    data = model.sample(jax.random.key(1))
    w = model.solution(data)
    assert np.all(w[5:] == 0) and np.all(data.design[6:] == 0) and np.all(data.design[:, 5:] == 0)
    z, y = np.asarray(data.design[:6, :5], float), np.asarray(data.labels[:6], float)
    np.testing.assert_allclose(w[:5], np.linalg.solve(z.T @ z + 0.1 * np.eye(5), z.T @ y), rtol=1e-3, atol=1e-5)
    gradient = jax.grad(model.loss)(w, data, None)
    assert np.max(np.abs(gradient)) < 1e-5


def test_phase_lines():
    with float64():
        lam, v2 = theory.power_law(2000, b=1.5, a=1.5)
        line = np.asarray(theory.bottleneck(jnp.array([16.0, 64.0]), lam, v2, ridge=1e-2))
        np.testing.assert_allclose(line, [16, 64], rtol=0.02)  # a - 1 < b: samples and features are worth the same
        cross = theory.ridge_crossover(jnp.geomspace(8.0, 256.0, 60), lam, v2, ridges=(10.0, 1e-3), noise=1.0)
        both = [float(theory.error(cross, 1e6 * cross, lam, v2, ridge=r, noise=1.0)) for r in (10.0, 1e-3)]
        assert both[0] == pytest.approx(both[1], rel=1e-3)
        assert np.isnan(theory.ridge_crossover(jnp.array([1.0, 2.0]), lam, v2, ridges=(10.0, 1e-3), noise=1.0))


@pytest.mark.parametrize(
    "fields, message",
    [
        (dict(samples=9.0), r"samples must lie in 1..samples_max=8; got 9.0. Raise"),
        (dict(features_max=4, features=5.0), r"features must lie in 1..features_max=4"),
        (dict(ridge=0.0), "ridge must be positive; got 0.0. Take 1e-6"),
        (dict(b=-1.0), "must be positive, or nothing converges"),
        (dict(noise=-1.0), "noise must not be negative"),
    ],
)
def test_bad_input(fields, message):
    with pytest.raises(ValueError, match=message):
        RandomFeatures(**(dict(modes=8, samples_max=8, samples=4.0) | fields)).check()
    with pytest.raises(TypeError, match="must offer solution"):
        Solved(model=object()).check()
