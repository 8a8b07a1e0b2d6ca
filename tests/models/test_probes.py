"""Probes against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscale.models.in_context_regression import InContextRegression
from jaxscale.models.probes import discrimination as gdv_probe
from jaxscale.models.probes.attention import induction, previous_token
from jaxscale.models.probes.sharpness import (
    alignment,
    extreme_eigenvalues,
    gradient_noise,
    gradient_noise_scale,
    tangent_kernel,
    top_eigenvalue,
)

gdv = jax.jit(gdv_probe.gdv, static_argnums=2, static_argnames="normalised")


def test_gdv_of_nothing_and_of_collapsed_classes():
    points, labels = jax.random.normal(jax.random.key(0), (600, 8)), jnp.arange(600) % 3
    assert abs(float(gdv(points, labels, 3))) < 3e-3
    for classes in (2, 3, 10):
        far = jnp.eye(classes)[jnp.arange(200) % classes]  # equidistant
        value = float(gdv(far, jnp.arange(200) % classes, classes))
        scale = (classes / (2 * (classes - 1))) ** 0.5
        assert value == pytest.approx(-scale, rel=0.03)
        assert float(gdv(far, jnp.arange(200) % classes, classes, normalised=True)) == pytest.approx(value / scale, rel=1e-5)
    assert float(gdv(jnp.eye(2)[jnp.arange(200) % 2], jnp.arange(200) % 2, 2)) == pytest.approx(-1, rel=0.01)


def test_shuffled_labels_have_a_gdv_of_nothing_however_far_the_points_lie_apart():
    labels = jnp.arange(300) % 3
    points = jax.nn.one_hot(labels, 3) + 0.01 * jax.random.normal(jax.random.key(4), (300, 3))
    shuffled = jax.jit(gdv_probe.shuffled_gdv, static_argnums=3, static_argnames="draws")
    each = np.array([float(shuffled(key, points, labels, 3, draws=4)) for key in jax.random.split(jax.random.key(5), 16)])
    error = each.std(ddof=1) / 4
    assert error < 1e-3 and abs(each.mean()) < 3.5 * error
    assert float(shuffled(jax.random.key(6), points, labels, 3, draws=128)) == pytest.approx(0, abs=5e-4)
    assert float(gdv(points, labels, 3)) < -0.8


def test_gdv_is_invariant():
    points, labels = jax.random.normal(jax.random.key(1), (60, 4)), jnp.arange(60) % 4
    points = points + 2 * jax.nn.one_hot(labels, 4)
    value = float(gdv(points, labels, 4))
    assert value < -0.05
    for changed in (points + 7.0, 3.0 * points, jnp.concatenate([points, points], axis=1)):
        assert float(gdv(changed, labels, 4)) == pytest.approx(value, rel=1e-4)


def test_heads_that_do_what_is_scored():
    tokens = jnp.array([[5, 7, 5, 7, 5], [1, 2, 3, 1, 4]])
    back = jnp.zeros((2, 1, 5, 5)).at[:, :, jnp.arange(1, 5), jnp.arange(4)].set(1.0)
    assert float(previous_token(back)[0]) == 1
    perfect = np.zeros((2, 1, 5, 5))
    perfect[0, 0, 2, 1] = perfect[0, 0, 3, 2] = 1
    perfect[0, 0, 4, 1] = perfect[0, 0, 4, 3] = 0.5
    perfect[1, 0, 3, 1] = 1
    assert float(induction(jnp.asarray(perfect), tokens)[0]) == pytest.approx(1.0)
    assert float(induction(jnp.asarray(np.eye(5)[None, None].repeat(2, 0)), jnp.tile(jnp.arange(5)[None], (2, 1)))[0]) == 0


def test_the_top_eigenvalue_of_a_quadratic():
    a = jax.random.normal(jax.random.key(2), (6, 6))
    a = a @ a.T
    value, vector = top_eigenvalue(lambda w: w["x"] @ a @ w["x"] / 2, {"x": jnp.ones(6)}, iterations=200)
    assert float(value) == pytest.approx(float(jnp.linalg.eigvalsh(a)[-1]), rel=1e-3)
    warm, _ = top_eigenvalue(lambda w: w["x"] @ a @ w["x"] / 2, {"x": jnp.ones(6)}, start=vector, iterations=1)
    assert float(warm) == pytest.approx(float(value), rel=1e-3)


def test_kernels():
    x, w = jax.random.normal(jax.random.key(3), (5, 3)), {"w": jnp.ones((3, 2))}
    kernel = tangent_kernel(lambda p, x: x @ p["w"], w, x)
    np.testing.assert_allclose(kernel, 2 * x @ x.T, rtol=1e-4, atol=1e-5)
    assert float(alignment(kernel, 3 * kernel)) == pytest.approx(1, rel=1e-5)
    assert float(alignment(jnp.diag(jnp.array([1.0, 0])), jnp.diag(jnp.array([0, 1.0])))) == 0


def test_noise_scale():
    grads = {"w": 2.0 + 3.0 * jax.random.normal(jax.random.key(4), (20_000, 10))}
    assert float(gradient_noise_scale(grads)) == pytest.approx(9 * 10 / (4 * 10), rel=0.03)


@pytest.mark.parametrize("d, n, risk", [(5, 10, 1.875), (5, 40, 0.652), (10, 20, 3.548)])
def test_risk_of_in_context_regression(d, n, risk):
    """d (d + 1) / (N + d + 1), as the minimum of the exact risk over multiples of the identity, and by sampling."""
    model = InContextRegression(d=d, length=n, evaluation=20_000)
    assert model.optimum() == pytest.approx(risk, abs=5e-4)
    best = 1 / (1 + (d + 1) / n)
    assert float(model.risk(best * jnp.eye(d))) == pytest.approx(risk, abs=1e-3)
    assert float(jnp.linalg.norm(jax.grad(model.risk)(best * jnp.eye(d)))) < 1e-4
    prompt = model.prompts(jax.random.key(5), 40_000)
    sampled = (model.predict((jnp.eye(d), best * jnp.eye(d)), prompt) - prompt.answer) ** 2
    assert float(jnp.mean(sampled)) == pytest.approx(risk, rel=0.05)


def test_both_ends_of_a_spectrum_are_kept_apart():
    """Power iteration says a number between +9 and -9; Lanczos says both, within a residual that holds the truth."""
    scale = jnp.array([9.0, -9.0, 3.0, 1.0, 0.5])
    ends = extreme_eigenvalues(lambda p: 0.5 * jnp.sum(scale * p**2), jnp.zeros(5))
    assert float(ends.largest) == pytest.approx(9, abs=1e-4) and float(ends.smallest) == pytest.approx(-9, abs=1e-4)
    assert float(ends.residual.max()) < 1e-3
    many = jnp.linspace(-2.0, 7.0, 200)
    few = extreme_eigenvalues(lambda p: 0.5 * jnp.sum(many * p**2), jnp.zeros(200), iterations=15)
    assert abs(float(few.largest) - 7) <= float(few.residual[0]) + 1e-4 and float(few.largest) > 6.5
    assert abs(float(few.smallest) + 2) <= float(few.residual[1]) + 1e-4


def test_the_noise_scale_is_a_ratio_of_means():
    """Eight gradients of mean 1 in 4 of 100 entries and variance 1: single ratios run away, that of the means does not."""
    mean = jnp.zeros(100).at[:4].set(1.0)
    draws = mean[None, None] + jax.random.normal(jax.random.key(0), (4000, 8, 100))
    parts = jax.jit(jax.vmap(gradient_noise))(draws)
    ratio = float(parts.trace.mean() / parts.signal.mean())
    assert ratio == pytest.approx(100 / 4, rel=0.1)
    single = jax.jit(jax.vmap(gradient_noise_scale))(draws)
    assert float(jnp.isnan(single).mean()) == pytest.approx(float((parts.signal <= 0).mean()))
    assert float(jnp.nanmax(single)) > 4 * ratio


def test_the_induction_score_of_either_name():
    """A run of one token: attention to itself is no induction; "all" counts it, and places that cannot be asked."""
    tokens, self_attention = jnp.zeros((1, 4), int), jnp.eye(4)[None, None]
    assert float(induction(self_attention, tokens)[0]) == 0
    assert float(induction(self_attention, tokens, places="all")[0]) == pytest.approx(0.75)
    with pytest.raises(ValueError, match="places must be"):
        induction(self_attention, tokens, places="some")
