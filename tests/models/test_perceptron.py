"""Perceptrons: exact errors against Monte Carlo, and rows out of use that really are."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from assertions import assert_mean

from jaxscale.data.margin import margin_density
from jaxscale.models.perceptron import Perceptron, TeacherStudent
from jaxscale.records import check, replace

KEY = jax.random.key(0)
D = 4


def perceptron(**options):
    return Perceptron(**{"d": D, "alpha": 3.0, "alpha_max": 4.0, "chi": 1.0} | options)


@pytest.mark.parametrize("chi", [0.0, 1.0, 2.0])
@pytest.mark.parametrize("signal", [0.7, -0.4])
def test_exact_error_is_the_share_of_fresh_points_on_the_wrong_side(chi, signal):
    v = np.array([signal, 0.8, 0.0, -0.6])
    wrong = np.asarray(margin_density(KEY, 40_000, D, chi)) @ v < 0
    model = perceptron(chi=chi)
    assert_mean(wrong, float(model.error(jnp.float32(signal), jnp.float32(1.0))), precision=0.003)


@pytest.mark.parametrize("chi", [0.0, 1.0, 2.0])
def test_error_at_the_extremes(chi):
    error = jax.jit(jax.vmap(perceptron(chi=chi).error))
    found = error(jnp.array([0.0, 1.0, -1.0, 0.0]), jnp.array([0.0, 0.0, 0.0, 1.0]))
    np.testing.assert_allclose(found, [0.5, 0, 1, 0.5], atol=1e-6)  # the start guesses


@pytest.mark.parametrize("model", [perceptron(), TeacherStudent(d=D, alpha=3.0, alpha_max=4.0)], ids=lambda m: type(m).__name__)
def test_rows_past_the_load_change_nothing(model):
    @jax.jit
    def look(alpha):
        at = replace(model, alpha=alpha)
        data = at.sample(KEY)
        spoilt = data._replace(inputs=jnp.where(data.weight[:, None] > 0, data.inputs, -1e3))
        w = jnp.arange(1.0, D + 1) / 10
        by_row = jax.grad(lambda inputs: at.loss(w, data._replace(inputs=inputs), KEY))(data.inputs)
        return data, at.observe(w, data), at.observe(w, spoilt), by_row

    for alpha, points in ((3.0, 12), (0.25, 1), (4.0, 16), (2.4, 10), (2.6, 10)):  # the last two round 9.6 and 10.4
        assert replace(model, alpha=alpha).batch_limit() == points
        data, seen, spoilt, by_row = look(alpha)
        assert data.inputs.shape == (16, D) and data.size == points
        np.testing.assert_allclose(data.weight, [1 / points] * points + [0] * (16 - points), rtol=1e-6)
        assert {k: float(v) for k, v in seen.items()} == {k: float(v) for k, v in spoilt.items()}
        assert np.all(by_row[points:] == 0)
        assert np.any(by_row[:points] != 0)


def test_every_load_sees_the_same_first_rows():
    small, large = (perceptron(alpha=a).sample(KEY).inputs for a in (1.0, 4.0))
    np.testing.assert_array_equal(small, large)


def test_loss_is_the_mean_hinge():
    model = perceptron(margin=0.5)
    data = model.sample(KEY)
    v = np.array([0.5, -0.2, 0.1, 0.0], np.float32)
    margins = np.asarray(data.inputs)[:12] @ v
    found = model.observe(jnp.asarray(v), data)
    np.testing.assert_allclose(found["loss"], np.maximum(0, 0.5 - margins).mean(), rtol=1e-5)
    assert found["unfitted"] == np.sum(margins < 0.5)
    np.testing.assert_allclose([found["signal"], found["noise"]], [0.5, np.hypot(0.2, 0.1)], rtol=1e-6)
    np.testing.assert_allclose(found["lambda"], 0.5 / np.hypot(0.2, 0.1), rtol=1e-6)


def test_a_batch_weighs_its_rows_alike():
    model = perceptron()
    data = model.sample(KEY)
    batch = model.batch(data, jnp.array([3, 0, 7]))
    v = np.array([0.1, 0.2, 0.3, 0.4], np.float32)
    rows = np.asarray(data.inputs)[[3, 0, 7]]
    np.testing.assert_allclose(model.loss(jnp.asarray(v), batch, KEY), np.maximum(0, 1 - rows @ v).mean(), rtol=1e-5)
    assert batch.size == 3


def test_teacher_student_limits():
    model = TeacherStudent(d=D, alpha=4.0, alpha_max=4.0)
    data = model.sample(KEY)
    best, worst = (model.observe(sign * 10 * data.teacher, data) for sign in (1, -1))
    np.testing.assert_allclose([best["overlap"], worst["overlap"]], [1, -1], rtol=1e-6)
    np.testing.assert_allclose([best["error"], worst["error"]], [0, 1], atol=1e-3)
    assert (best["unfitted"], worst["unfitted"]) == (0, 16)
    np.testing.assert_allclose(model.loss(jnp.zeros(D), data, KEY), np.log(2), rtol=1e-6)


def test_teacher_student_error_is_the_disagreement_on_fresh_points():
    model = TeacherStudent(d=D, alpha=4.0, alpha_max=4.0)
    data = model.sample(KEY)
    w = np.asarray(model.init(jax.random.key(1), data))
    x = np.random.default_rng(0).normal(size=(40_000, D))
    wrong = (x @ w) * (x @ np.asarray(data.teacher)) < 0
    assert_mean(wrong, float(model.observe(jnp.asarray(w), data)["error"]), precision=0.003)


@pytest.mark.parametrize(
    "model, message",
    [
        (perceptron(alpha=5.0), r"Perceptron\.alpha must lie in \(0, alpha_max=4\.0\]; got 5\.0.*Raise alpha_max"),
        (perceptron(alpha=0.0), r"Perceptron\.alpha must lie in"),
        (perceptron(alpha=0.1), r"must round to at least one point"),
        (perceptron(d=1), r"Perceptron\.d must be at least 2; got 1"),
        (perceptron(margin=0.0), "margin must be positive"),
        (perceptron(chi=-1.0), "chi must exceed -1"),
        (TeacherStudent(d=D, alpha=9.0), r"TeacherStudent\.alpha must lie in \(0, alpha_max=8\.0\]"),
    ],
)
def test_refusals(model, message):
    with pytest.raises(ValueError, match=message):
        check(model)
