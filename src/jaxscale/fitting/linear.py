"""Small linear algebra is unrolled: no LAPACK call, so that a vmap of thousands of systems stays one fused loop."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

MAX_UNROLLED = 7  # unknowns; of more, the unrolled code takes longer to compile than it saves


def nonnegative(columns: Sequence[jax.Array], y: jax.Array, weight: jax.Array, lower: Sequence[float]) -> jax.Array:
    """Return the weighted least-squares coefficients of a few columns, those with lower bound 0 kept non-negative, exactly.

    All subsets of the bounded columns are solved and the best feasible one is taken: with two or three of them that is
    cheaper than an active-set loop and has no branches.
    """
    bounded = [i for i, low in enumerate(lower) if low == 0]
    size = jnp.array([jnp.sqrt(jnp.sum(weight * c**2)) + 1e-300 for c in columns])
    basis = jnp.stack(columns, axis=1) / size[None, :]
    gram, target = (basis.T * weight[None, :]) @ basis, basis.T @ (weight * y)
    best, lowest = jnp.zeros(len(columns)), jnp.float64(jnp.inf)
    for out in itertools.product(*[(False, True) if i in bounded else (False,) for i in range(len(columns))]):
        keep = 1.0 - jnp.array(out, jnp.float64)
        matrix = gram * keep[:, None] * keep[None, :] + jnp.diag(1.0 - keep) + 1e-13 * jnp.eye(len(columns))
        c = spd_solve(matrix, target * keep)
        value = c @ gram @ c - 2 * c @ target
        feasible = jnp.all(jnp.array([c[i] >= 0 for i in bounded])) if bounded else jnp.array(True)
        take = feasible & (value < lowest)
        best, lowest = jnp.where(take, c, best), jnp.where(take, value, lowest)
    return best / size


def spd_solve(matrix: jax.Array, right: jax.Array) -> jax.Array:
    """Solve a small positive definite system by unrolled LDL^T: no LAPACK call, so a vmap of thousands stays one fused loop."""
    n = matrix.shape[0]
    if n > MAX_UNROLLED:
        return _eliminate(matrix, right)
    low: list[list[Any]] = [[None] * n for _ in range(n)]
    diagonal: list[Any] = []
    forward: list[Any] = []
    for i in range(n):
        for j in range(i):
            low[i][j] = (matrix[i, j] - sum(low[i][k] * low[j][k] * diagonal[k] for k in range(j))) / diagonal[j]
        pivot = matrix[i, i] - sum(low[i][k] ** 2 * diagonal[k] for k in range(i))
        diagonal.append(jnp.where(pivot > 0, pivot, 1e-300))
        forward.append(right[i] - sum(low[i][k] * forward[k] for k in range(i)))
    out: list[Any] = [None] * n
    for i in reversed(range(n)):
        out[i] = forward[i] / diagonal[i] - sum(low[k][i] * out[k] for k in range(i + 1, n))
    return jnp.stack(out)


def _eliminate(matrix: jax.Array, right: jax.Array) -> jax.Array:
    """Solve by Gauss-Jordan without pivoting, as a loop: unrolled, a dozen unknowns compile for half a minute."""

    def clear(k: int, table: jax.Array) -> jax.Array:
        row = table[k] / jnp.where(table[k, k] > 0, table[k, k], 1e-300)
        return (table - table[:, k][:, None] * row[None, :]).at[k].set(row)

    return jax.lax.fori_loop(0, matrix.shape[0], clear, jnp.concatenate([matrix, right[:, None]], axis=1))[:, -1]
