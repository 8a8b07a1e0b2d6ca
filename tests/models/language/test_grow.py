"""Growth that preserves functions, and growth that does not."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from assertions import assert_mean

from jaxscale.models.language import grow
from jaxscale.models.language import model as language_model

TINY = language_model.TINY()

KEYS = jax.random.split(jax.random.key(0), 8)
BEFORE, AFTER = jax.random.normal(KEYS[0], (5, 6)), jax.random.normal(KEYS[1], (6, 4))
X = jax.random.normal(KEYS[2], (20, 5))


def network(before, after):
    return jax.nn.gelu(X @ before) @ after


@pytest.mark.parametrize("even", [True, False])
def test_width_growth_preserves_the_function(even):
    wide = grow.fpi(BEFORE, AFTER, grow.unit_map(6, 15, even=even))
    assert wide[0].shape == (5, 15) and wide[1].shape == (15, 4)
    np.testing.assert_allclose(network(*wide), network(BEFORE, AFTER), rtol=1e-4, atol=1e-5)


def test_aki_breaks_the_symmetry_of_copies():
    units = grow.unit_map(6, 12)
    above = jax.random.normal(KEYS[3], (5, 6))
    wide = grow.aki(BEFORE, above, AFTER, units)
    np.testing.assert_array_equal(wide[0][:, :6], BEFORE)
    np.testing.assert_array_equal(wide[0][:, 6:], above)
    assert np.max(np.abs(network(*wide) - network(BEFORE, AFTER))) > 0.1


def test_grown_moments_are_those_of_grown_gradients():
    units = grow.unit_map(6, 9)
    target = jax.random.normal(KEYS[4], (20, 4))

    def loss(pair):
        return jnp.mean((network(*pair) - target) ** 2)

    gradient = jax.jit(jax.grad(loss))
    old, new = gradient((BEFORE, AFTER)), gradient(grow.fpi(BEFORE, AFTER, units))
    for k, after in ((0, False), (1, True)):
        first, second = grow.grown_moments(old[k], old[k] ** 2, units, after=after)
        np.testing.assert_allclose(first, new[k], rtol=1e-3, atol=1e-6)
        np.testing.assert_allclose(second, new[k] ** 2, rtol=1e-3, atol=1e-9)


def test_depth_growth():
    assert grow.deepen(["a", "b"], 4) == ["a", "b", "a", "b"]
    assert grow.deepen(["a", "b"], 4, how="interpolate") == ["a", "a", "b", "b"]
    assert grow.stages(["a", "b"], [1, 3]) == ["a", "b", "b", "b"]


def test_a_block_without_outputs_is_the_identity():
    """A second layer with zero output projections: the deeper network is the shallow one."""
    import dataclasses

    deep = dataclasses.replace(TINY, network=TINY.network.clone(depth=2))
    data = jax.jit(TINY.sample)(jax.random.key(1))
    shallow, params = jax.jit(TINY.init)(jax.random.key(2), data), jax.jit(deep.init)(jax.random.key(3), data)
    block = {name: part for name, part in params.items() if name.startswith("layer1")}
    whole = shallow | grow.identity_block(block, ("out", "layer1_down"))
    found, wanted = (jax.jit(m.apply)(p, data.test.tokens)[0] for m, p in ((deep, whole), (TINY, shallow)))
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("top", [1, 2, 4])
def test_upcycled_experts_are_the_dense_perceptron(top):
    up, down = jax.random.normal(KEYS[5], (5, 7)), jax.random.normal(KEYS[6], (7, 5))
    experts = grow.upcycle(KEYS[7], up, down, 4, top=top)
    np.testing.assert_allclose(jax.jit(lambda e: e(X))(experts), jax.nn.gelu(X @ up) @ down, rtol=1e-4, atol=1e-5)
    grads = jax.jit(jax.grad(lambda e: jnp.sum(e(X) ** 2)))(experts)
    assert np.all(np.isfinite(grads.router))


def test_a_hyper_network_makes_kernels_of_low_rank():
    made = grow.hyper_network(KEYS[0], code=6, rank=3, most=32)
    kernel = made(jax.random.normal(KEYS[1], (6,)), (20, 32))
    assert kernel.shape == (20, 32) and np.linalg.matrix_rank(np.asarray(kernel)) <= 3
    smaller = made(jax.random.normal(KEYS[1], (6,)), (10, 8))
    np.testing.assert_allclose(smaller * 10**0.5, (kernel * 20**0.5)[:10, :8], rtol=1e-4)


def test_the_variance_of_a_hyper_networks_kernels():
    """Off the diagonal (1 + 2 / c) (1 + (r - 1) / pi^2) / fan-in for codes of c normals: relu leaves a mean."""

    @jax.jit
    @jax.vmap
    def size(key):
        key_made, key_code = jax.random.split(key)
        kernel = grow.hyper_network(key_made, code=6, rank=3, most=12)(jax.random.normal(key_code, (6,)), (8, 12))
        return 8 * jnp.mean(kernel[:4, 4:] ** 2)

    wanted = (1 + 2 / 6) * (1 + 2 / np.pi**2)
    assert_mean(size(jax.random.split(KEYS[2], 16_000)), wanted, precision=0.05)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: grow.unit_map(6, 5), "at least its width"),
        (lambda: grow.deepen([1, 2], 3), "a multiple of the 2 layers"),
        (lambda: grow.stages([1], [0]), "at least 1"),
        (lambda: grow.upcycle(KEYS[0], BEFORE, AFTER, 2, top=3), "1 <= top <= 2"),
        (lambda: grow.hyper_network(KEYS[0], code=2, rank=1, most=4)(jnp.ones(2), (5, 2)), "up to 4 wide"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
