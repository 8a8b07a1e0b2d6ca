"""Multilinear skills: the least loss for a compute, and one sum by the zeta function."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.signal
import scipy.special

from jaxscale.fitting.double_precision import float64
from jaxscale.theory import multilinear_skills


@pytest.mark.parametrize("alpha", [0.4, 0.8])
def test_best_loss_for_a_compute_of_multilinear_skills(alpha):
    """Over N in time C / N the least loss falls as C^(-alpha / (2 + alpha)), at N ~ C^(1 / (2 + alpha)); one sum by zeta."""
    count = 20_000
    compute, sizes = np.geomspace(1e6, 1e9, 9), np.geomspace(20, count, 80)
    with float64():
        pairs = jnp.asarray(np.stack(np.broadcast_arrays(compute[:, None] / sizes, sizes), axis=-1).reshape(-1, 2))
        loss = lambda pair: multilinear_skills.loss(pair[0], alpha=alpha, skills=pair[1], count=count)  # noqa: E731
        found = np.asarray(jax.jit(lambda pairs: jax.lax.map(loss, pairs))(pairs)).reshape(9, 80)
    best = found.argmin(axis=1)
    assert np.all((best > 0) & (best < 79))
    slope = np.polyfit(np.log(compute), np.log(found.min(axis=1)), 1)[0]
    assert -slope == pytest.approx(multilinear_skills.exponents(alpha)["compute"], abs=0.02)
    assert -slope == pytest.approx(alpha / (2 + alpha), abs=0.02)
    assert np.polyfit(np.log(compute), np.log(sizes[best]), 1)[0] == pytest.approx(1 / (2 + alpha), abs=0.05)
    time, able, k = compute[3] / sizes[50], np.floor(sizes[50]), np.arange(1, 2_000_000)
    p = k ** -(1 + alpha) / scipy.special.zeta(1 + alpha)
    left = np.where(k <= able, 1 - 1 / (1 + 999 * np.exp(-2 * p * time)), 1.0)
    rest = 1 - p.sum()
    assert found[3, 50] == pytest.approx((np.sum(p * left**2) + rest) / 2, rel=1e-6)
