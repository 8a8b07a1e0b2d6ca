"""Small networks on digits: they start at 0, are lazy nearby, and have the width scaling they promise."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from assertions import assert_mean

from jaxscale.data import digits
from jaxscale.models.mlp import Mlp
from jaxscale.records import check, replace

pytest.importorskip("sklearn")
KEY = jax.random.key(0)


def mlp(**options):
    return Mlp(**{"p": 24, "width": 8, "depth": 2, "test": 16} | options)


def push(model, data, scale):
    """A random displacement."""
    leaves, structure = jax.tree.flatten(data.origin)
    keys = jax.random.split(jax.random.key(7), len(leaves))
    return jax.tree.unflatten(structure, [scale * jax.random.normal(k, x.shape) for k, x in zip(keys, leaves)])


@pytest.fixture(scope="module")
def look():
    """One program: everything at the start and after random displacements of two sizes, by traced points and alpha."""

    @jax.jit
    def run(points, alpha):
        model = mlp(points=points, alpha=alpha)
        data = model.sample(KEY)
        start = model.init(KEY, data)
        away = push(model, data, 1.0)
        output = lambda w: model.predict(w, data, data.inputs, data.offset)  # noqa: E731
        at_start, line = jax.jvp(output, (start,), (away,))
        index = jnp.array([5, 2, 9])
        return {
            "data": data,
            "start": at_start,
            "line": line,
            "near": output(jax.tree.map(lambda x: 1e-3 * x, away)),
            "observed": model.observe(start, data),
            "away": model.observe(away, data),
            "loss": model.loss(away, data, KEY),
            "batch": model.loss(away, model.batch(data, index), KEY),
            "output": output(away),
        }

    return run


def test_the_predictor_starts_at_zero(look):
    found = look(24, 1.0)
    np.testing.assert_allclose(found["start"], 0, atol=1e-6)  # rounding of two equal forward passes
    np.testing.assert_allclose(found["observed"]["loss"], 1, rtol=1e-5)
    assert found["observed"]["unfitted"] == 24 and found["observed"]["norm"] == 0


def test_small_displacements_are_lazy_and_large_ones_are_not(look):
    found = {name: np.asarray(look(24, 1.0)[name]) for name in ("line", "near", "output")}
    line = np.linalg.norm(found["line"])
    assert np.linalg.norm(found["near"] / 1e-3 - found["line"]) < 0.01 * line
    assert np.linalg.norm(found["output"] - found["line"]) > 0.2 * line


@pytest.mark.parametrize("points, alpha", [(24, 1.0), (10, 4.0), (1, 0.5)])
def test_loss_is_the_mean_hinge_of_the_points_in_use(look, points, alpha):
    found = look(points, alpha)
    data, output = found["data"], np.asarray(found["output"])
    gap = np.maximum(0, 1 / alpha - np.asarray(data.labels) * output)
    assert data.size == points and np.all(np.asarray(data.weight)[points:] == 0)
    np.testing.assert_allclose(found["loss"], gap[:points].mean(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["batch"], gap[[5, 2, 9]].mean(), rtol=1e-4, atol=1e-6)
    assert found["away"]["unfitted"] == np.sum(gap[:points] > 0)


def test_training_and_test_rows_are_different_images(look):
    data = look(24, 1.0)["data"]
    rows = np.concatenate([data.inputs, data.test_inputs])
    images, labels = digits.load("digits")
    found = [np.flatnonzero(np.all(images == row, axis=1))[0] for row in rows]
    assert len(set(found)) == 40
    assert np.array_equal(digits.parity(labels)[found], np.concatenate([data.labels, data.test_labels]))


def test_mean_field_divides_by_another_root_of_the_width():
    def output(mean_field):
        model = mlp(mean_field=mean_field)
        data = model.sample(KEY)
        return data.offset, model.predict(push(model, data, 0.3), data, data.inputs, data.offset)

    ntk, field = jax.jit(lambda: (output(False), output(True)))()
    for a, b in zip(ntk, field):
        np.testing.assert_allclose(a, np.sqrt(8) * b, rtol=1e-4, atol=1e-5)


def test_ntk_outputs_have_unit_second_moment():
    """Pixels have unit second moment, and so has every layer after them."""
    model = mlp(mean_field=False, width=32)
    images, _ = digits.load("digits")
    x = jnp.asarray(images[:64])
    init, apply = model.init_and_apply()
    outputs = jax.jit(jax.vmap(lambda key: apply(init(key, x[:1]), x)))(jax.random.split(KEY, 400))
    ratio = np.mean(np.asarray(outputs) ** 2, axis=1) / np.mean(images[:64] ** 2)
    assert_mean(ratio, 1, precision=0.1)


@pytest.mark.parametrize(
    "model, error, message",
    [
        (mlp(p=1790), ValueError, r"must not exceed the 1797 images of 'digits'; got 1790 \+ 16"),
        (mlp(p=0), ValueError, r"Mlp\.p"),
        (mlp(points=25), ValueError, r"Mlp\.points must be a whole number in 1\.\.p=24; got 25\. Raise p"),
        (mlp(points=0), ValueError, r"Mlp\.points must be a whole number in"),
        (mlp(alpha=0.0), ValueError, r"Mlp\.alpha must be positive; got 0\.0"),
        (mlp(source="/nowhere"), FileNotFoundError, "neither 'digits', 'mnist' nor a folder"),
    ],
)
def test_refusals(model, error, message):
    with pytest.raises(error, match=message):
        check(model)


def test_tiny_loads_are_fine():
    check(mlp(points=1))
    check(replace(mlp(), points=None))
