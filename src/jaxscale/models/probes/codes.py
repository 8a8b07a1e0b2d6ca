"""Activation codes: which ReLU units are on. How many inputs share theirs?

He, Lei, Ji & Tao 2021, arXiv:2101.05490.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.shapes import Array, Bool, Float, Int


def redundancy(bits: Bool[Array, "n units"], used: Bool[Array, " n"] | None = None) -> Float[Array, ""]:
    """Return the redundancy ratio (n - distinct codes) / n: 0 when every input has a code of its own.

    Codes are hashed to 64 bits and sorted; two codes of a million inputs collide with a chance of 3e-8.

    Args:
      bits: (n, units) bool, unit on; units that are not in use must be constant.
      used: (n,) bool, rows that count; None for all.

    Returns:
      ().
    """
    n, units = bits.shape
    used = jnp.ones(n, bool) if used is None else used
    hashes = [jnp.sum(jnp.where(bits, row[None, :], 0), axis=1, dtype=jnp.uint32) for row in _multipliers(units)]
    spare, first, second = jax.lax.sort((~used, *hashes), num_keys=3)  # rows in use come first
    same = (first[1:] == first[:-1]) & (second[1:] == second[:-1]) & ~spare[1:]
    return jnp.sum(same) / jnp.maximum(jnp.sum(used), 1)


def neighbours_error(
    bits: Bool[Array, "n units"], labels: Int[Array, " n"], used: Bool[Array, " n"] | None = None
) -> Float[Array, ""]:
    """Return the share of the rows whose nearest other row, by Hamming distance of their codes, has another label.

    Args:
      bits: (n, units) bool, unit on.
      labels: (n,) int.
      used: (n,) bool, rows that count; None for all. One row alone has no neighbour, and counts as wrong.

    Returns:
      (). Of rows that are equally near the first one is taken.
    """
    n, units = bits.shape
    used = jnp.ones(n, bool) if used is None else used
    on = bits.astype(jnp.float32)
    apart = on @ (1 - on).T
    apart = jnp.where(used[None, :] & ~jnp.eye(n, dtype=bool), apart + apart.T, units + 1.0)
    nearest = jnp.argmin(apart, axis=1)
    wrong = (labels[nearest] != labels) | (jnp.min(apart, axis=1) > units)
    return jnp.sum(wrong & used) / jnp.maximum(jnp.sum(used), 1)


def _multipliers(units):
    """Two rows of (units,) random odd uint32: a sum over the units that are on is a hash."""
    draws = np.random.default_rng(2021).integers(0, 2**32, size=(2, units), dtype=np.uint32) | np.uint32(1)
    return jnp.asarray(draws)
