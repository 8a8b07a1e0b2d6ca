"""Activation codes: hashing and sorting counts what numpy counts."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscale.models.hash_encoder import HashEncoder
from jaxscale.models.probes.codes import neighbours_error, redundancy


@pytest.mark.parametrize("units", [1, 3, 6, 40])
def test_redundancy_counts_distinct_rows(units):
    bits = np.random.default_rng(units).random((200, units)) < 0.5
    distinct = len(np.unique(bits, axis=0))
    assert float(redundancy(jnp.asarray(bits))) == pytest.approx((200 - distinct) / 200)
    used = np.arange(200) < 70
    distinct = len(np.unique(bits[:70], axis=0))
    assert float(redundancy(jnp.asarray(bits), jnp.asarray(used))) == pytest.approx((70 - distinct) / 70)


def test_a_narrow_network_in_a_wide_program_is_the_narrow_network():
    wide = HashEncoder(samples_max=32, width_max=8, samples=20.0, width=3.0)
    data = jax.jit(wide.sample)(jax.random.key(0))
    params = jax.jit(wide.init)(jax.random.key(1), data)
    seen, logits = jax.jit(wide.layers)(params, data.inputs)
    assert np.all(seen[0][:, 3:] == 0) and np.all(seen[1][:, 3:] == 0)
    narrow = [k[:3, :3] if i == 1 else (k[:, :3] if i == 0 else k[:3]) for i, k in enumerate(params.kernels)]
    hidden = np.maximum(np.maximum(data.inputs @ narrow[0], 0) @ narrow[1], 0)
    np.testing.assert_allclose(logits, hidden @ narrow[2], atol=1e-5)
    grads = jax.jit(jax.grad(wide.loss))(params, data, None)
    assert np.all(grads.kernels[1][3:] == 0) and np.all(grads.biases[0][3:] == 0)
    with pytest.raises(ValueError, match="width must lie in 1..width_max=8; got 9"):
        HashEncoder(samples_max=32, width_max=8, samples=20.0, width=9.0).check()


def test_the_nearest_code_by_hand():
    """Hamming distances in a loop; rows out of use neither ask nor answer, and ties go to the first."""
    rng = np.random.default_rng(4)
    bits, labels, used = rng.random((14, 6)) < 0.5, rng.integers(0, 3, 14), np.arange(14) < 11
    wrong = 0
    for i in range(11):
        others = [j for j in range(11) if j != i]
        nearest = min(others, key=lambda j: (int((bits[i] != bits[j]).sum()), j))
        wrong += labels[nearest] != labels[i]
    assert float(neighbours_error(jnp.asarray(bits), jnp.asarray(labels), jnp.asarray(used))) == pytest.approx(wrong / 11)
    assert float(neighbours_error(jnp.asarray(bits[:1]), jnp.asarray(labels[:1]))) == 1.0
