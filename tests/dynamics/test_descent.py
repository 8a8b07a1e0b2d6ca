"""Descent, ScaledGD and minibatch SGD against their formulas in numpy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxscale.dynamics.batching import sgd
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.scaled_gd import ScaledGD
from jaxscale.models.matrix_sensing import AsymmetricSensing, Factors, SymmetricSensing
from jaxscale.models.perceptron import Perceptron
from jaxscale.records import check, record, replace
from jaxscale.simulation import simulate

KEY = jax.random.key(0)
CURVATURE = np.array([1.0, 3.0, 0.2])


@record
class Bowl:
    """Loss sum(c w^2) / 2 from w = 1."""

    def sample(self, key):
        return jnp.asarray(CURVATURE, jnp.float32)

    def init(self, key, data):
        return jnp.ones(3)

    def loss(self, w, data, key):
        return jnp.sum(data * w**2) / 2

    def observe(self, w, data):
        return {f"w{i}": w[i] for i in range(3)}


def momentum(rate):
    return optax.sgd(rate, momentum=0.9)


def by_hand(rule, rate, steps):
    w, m, v = np.ones(3), np.zeros(3), np.zeros(3)
    for t in range(1, steps + 1):
        g = CURVATURE * w
        if rule is optax.adam:
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            w = w - rate * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        else:
            m = g + (0.9 * m if rule is momentum else 0)
            w = w - rate * m
    return w


@pytest.mark.parametrize("rule", [optax.sgd, momentum, optax.adam], ids=["sgd", "momentum", "adam"])
def test_rules_with_a_traced_rate_are_the_textbooks(rule):
    system, times = Descent(model=Bowl(), learning_rate=0.1, rule=rule), np.array([1, 7, 20])
    run = jax.jit(jax.vmap(lambda rate: simulate(replace(system, learning_rate=rate), KEY, times)))
    found = run(jnp.array([0.1, 0.02]))
    for i, rate in enumerate((0.1, 0.02)):
        for j, steps in enumerate(times):
            w = [found[f"w{n}"][i, j] for n in range(3)]
            np.testing.assert_allclose(w, by_hand(rule, rate, steps), rtol=1e-4, atol=1e-6)


def perceptron(**options):
    return Perceptron(**{"d": 4, "alpha": 3.0, "alpha_max": 4.0, "chi": 1.0} | options)


def test_sgd_on_all_points_is_full_batch_descent():
    """At learning rate T B, with a rate small enough that some points stay unfitted."""
    times = np.array([0, 1, 5, 30])
    systems = sgd(perceptron(), temperature=0.02, batch=12), Descent(model=perceptron(), learning_rate=0.24)
    minibatch, full = jax.jit(lambda: [simulate(system, KEY, times) for system in systems])()
    assert full["loss"][-1] > 0
    for name in full:
        np.testing.assert_allclose(minibatch[name], full[name], rtol=1e-5, atol=1e-6)


def test_temperature_is_the_step_per_point():
    """From v = 0 every point is unfitted, so the first step is T times the sum of the batch's rows."""
    system = sgd(perceptron(), temperature=0.5, batch=3)

    @jax.jit
    def one(key):
        data = system.sample(key)
        return data.inputs, system.step(key, system.init(key, data), data).params

    inputs, v = map(np.asarray, one(KEY))
    triples = np.array([inputs[list(rows)].sum(axis=0) for rows in itertools.combinations(range(12), 3)])
    assert np.sum(np.abs(0.5 * triples - v).max(axis=1) < 1e-5) == 1


@pytest.mark.parametrize(
    "system, error, message",
    [
        (Descent(model=Bowl(), learning_rate=0.0), ValueError, r"Descent\.learning_rate must be positive; got 0\.0"),
        (sgd(perceptron(), temperature=0.0), ValueError, r"must be positive; got 0\.0\. Of `sgd` it is the temperature"),
        (sgd(perceptron(), temperature=1.0, batch=0), ValueError, r"Minibatch\.size must be at least 1; got 0"),
        (sgd(Bowl(), temperature=1.0), TypeError, r"a minibatch needs a model with batch\(data, index\).*Bowl does not"),
        (sgd(perceptron(), temperature=1.0, batch=13), ValueError, r"Minibatch\.size must not exceed the 12 points; got 13"),
        (ScaledGD(model=Bowl(), learning_rate=-1.0), ValueError, r"ScaledGD\.learning_rate must be positive"),
        (
            ScaledGD(model=Bowl(), learning_rate=0.5, damping=-1.0),
            ValueError,
            r"ScaledGD\.damping must not be negative",
        ),
    ],
)
def test_refusals(system, error, message):
    with pytest.raises(error, match=message):
        check(system)


def test_scaled_gd_is_the_papers():
    @jax.jit
    def one(key):
        out = []
        for model in (
            SymmetricSensing(n=6, rank=2, k=3, alpha=0.5, condition=4.0),
            AsymmetricSensing(n1=6, n2=4, rank=2, k=3, alpha=0.5, condition=4.0),
        ):
            system = ScaledGD(model=model, learning_rate=0.3, damping=0.05)
            data = system.sample(key)
            params = system.init(key, data)
            out.append((data, params, system.step(key, params, data)))
        return out

    (data, x, found), (other, factors, moved) = jax.tree.map(lambda a: np.asarray(a, np.float64), one(KEY))
    scaled = lambda grad, factor: grad @ np.linalg.inv(factor.T @ factor + 0.05 * np.eye(3))  # noqa: E731
    gradient = (x @ x.T - data.left @ data.right.T) @ x
    np.testing.assert_allclose(found, x - 0.3 * scaled(gradient, x), rtol=1e-4, atol=1e-5)
    f, g = factors
    error = f @ g.T - other.left @ other.right.T
    np.testing.assert_allclose(moved.left, f - 0.3 * scaled(error @ g, g), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(moved.right, g - 0.3 * scaled(error.T @ f, f), rtol=1e-4, atol=1e-5)
    assert isinstance(moved, Factors)


def test_scaled_gd_is_fast_at_any_condition_number_and_gd_is_not():
    """Heavily damped, the preconditioner is 1/damping and ScaledGD is plain descent at learning_rate / damping."""
    model = SymmetricSensing(n=8, rank=2, k=3, alpha=1e-2)
    times = np.array([40])

    def run(condition, rate, damping):
        system = ScaledGD(model=replace(model, condition=condition), learning_rate=rate, damping=damping)
        return simulate(system, KEY, times)["relative_error"][0]

    conditions = jnp.array([1.0, 100.0, 1.0, 100.0])
    found = jax.jit(jax.vmap(run))(conditions, jnp.array([0.3, 0.3, 3e5, 3e5]), jnp.array([1e-6, 1e-6, 1e6, 1e6]))
    assert np.all(found[:2] < 1e-3) and found[3] > 5e-3

    def plain(condition):
        return simulate(Descent(model=replace(model, condition=condition), learning_rate=0.3), KEY, times)["relative_error"][0]

    gd = jax.jit(jax.vmap(plain))(conditions[2:])
    np.testing.assert_allclose(found[2:], gd, rtol=1e-2, atol=1e-5)
