"""Convolutional networks on images: the same loss as the fully connected ones, and the convolution that numpy makes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from assertions import assert_mean

import jaxscale as js
from jaxscale.data import digits
from jaxscale.models.conv_net import ConvNet, Convolutions, image_shape
from jaxscale.records import check

pytest.importorskip("sklearn")


def by_hand(weights, images, colours, side):
    """Strided 3x3 convolutions as loops, in float64."""
    x = images.reshape(-1, colours, side, side).transpose(0, 2, 3, 1).astype(float)
    for layer in sorted(name for name in weights if name.startswith("Conv")):
        kernel = np.asarray(weights[layer]["kernel"], float)
        size = -(-x.shape[1] // 2)
        low = max((size - 1) * 2 + 3 - x.shape[1], 0) // 2  # "SAME": what is missing, the smaller half first
        padded = np.pad(x, ((0, 0), (low, 3), (low, 3), (0, 0)))
        out = np.zeros((len(x), size, size, kernel.shape[-1]))
        for i in range(size):
            for j in range(size):
                patch = padded[:, 2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
                out[:, i, j] = np.einsum("nabc,abcd->nd", patch, kernel) / np.sqrt(9 * x.shape[-1])
        x = np.sqrt(2) * np.maximum(out, 0)
    return (x.mean(axis=(1, 2)) @ np.asarray(weights["Dense_0"]["kernel"], float))[:, 0]


@pytest.mark.parametrize("colours, side", [(1, 8), (3, 7)])
def test_the_network_is_the_one_of_loops(colours, side):
    module = Convolutions(channels=5, depth=2, mean_field=True, shape=(side, side, colours))
    images = np.random.default_rng(0).normal(size=(4, colours * side**2)).astype(np.float32)
    weights = module.init(jax.random.key(1), jnp.asarray(images))["params"]
    made = module.apply({"params": weights}, jnp.asarray(images))
    np.testing.assert_allclose(made, by_hand(weights, images, colours, side) / 5, rtol=1e-4, atol=1e-5)


def test_ntk_outputs_do_not_depend_on_the_channels():
    """The output is divided by the root of h; the mean field's by h."""
    images = jnp.asarray(digits.load("digits")[0][:32])

    def squares(channels, mean_field):
        module = Convolutions(channels=channels, depth=1, mean_field=mean_field, shape=(8, 8, 1))
        make = jax.jit(lambda key: jnp.mean(module.apply(module.init(key, images), images) ** 2))
        return np.array([make(key) for key in jax.random.split(jax.random.key(2), 48)])

    few, many, mean_field = squares(8, False), squares(64, False), squares(64, True)
    assert_mean(few - many, 0.0, precision=0.2)
    np.testing.assert_allclose(mean_field * 64, many, rtol=1e-3)


def test_it_learns_digits_as_a_lane_of_a_sweep():
    def run(alpha):
        return js.sgd(ConvNet(p=48, alpha=alpha, channels=8, depth=1, test=128), temperature=1.0, batch=8)

    runs = js.sweep(run, grid={"alpha": [0.125, 8.0]}, seeds=2, times=[0, 150], width=4, progress=False)
    start, end = (runs["error"].isel(time=i) for i in (0, 1))
    assert float(start.min()) == 0.5, "f - f_0 is nothing yet"
    assert float(end.isel(alpha=1).max()) < 0.4
    few_steps, far = (runs["relative_norm"].isel(time=1, alpha=i) for i in (1, 0))
    assert float(far.min()) > 2 * float(few_steps.max())


@pytest.mark.parametrize("changes, message", [({"channels": 0}, "channels >= 1"), ({"depth": 4}, "1 <= depth <= 3"),
                                              ({"alpha": 0.0}, "ConvNet.alpha must be positive")])  # fmt: skip
def test_refusals(changes, message):
    with pytest.raises(ValueError, match=message):
        check(ConvNet(**{"p": 16, "test": 8} | changes))


def test_shape_of_images(tmp_path, monkeypatch):
    assert image_shape("digits") == (8, 8, 1)
    monkeypatch.setattr(digits, "load", lambda source: (np.zeros((2, {"cifar": 3072, "odd": 30}[source])), None))
    assert image_shape("cifar") == (32, 32, 3)
    with pytest.raises(ValueError, match="30 pixels, which are no square"):
        image_shape("odd")
