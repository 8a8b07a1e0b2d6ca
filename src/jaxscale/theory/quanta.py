"""The quanta model: skills with power-law frequencies, each learned after enough examples, as many as the model holds.

Michaud et al. 2023, arXiv:2303.13506: p_k ~ k^-(1 + alpha), loss N^-alpha in capacity and D^(-alpha / (1 + alpha)) in data.
"""

import jax
import jax.numpy as jnp


def frequencies(count: int, alpha: float) -> tuple[jax.Array, jax.Array]:
    """Return (count,) p_k of the most frequent skills of infinitely many, and what is left for all others together."""
    raw = jnp.arange(1, count + 1, dtype=jnp.result_type(float)) ** -(1 + alpha)
    rest = (count + 0.5) ** -alpha / alpha
    total = jnp.sum(raw) + rest
    return raw / total, rest / total


def loss(capacity: jax.Array, data: jax.Array, *, alpha: float, count: int = 100_000) -> jax.Array:
    """Return the expected share of unlearned skill uses, elementwise in `capacity` and `data`.

    A model of capacity N knows the N most frequent skills, each with probability 1 - exp(-D p_k).

    Args:
      capacity: N, any shape; infinite if it is no limit.
      data: D, same shape.
      alpha: exponent of the frequencies, positive.
      count: skills summed one by one; the rarer ones are taken as never learned, so D must stay well below count^(1 + alpha).
    """
    p, rest = frequencies(count, alpha)
    k = jnp.arange(1, count + 1)

    def one(pair):
        n, d = pair
        return rest + jnp.sum(p * jnp.where(k > n, 1.0, jnp.exp(-d * p)))

    capacity, data = jnp.broadcast_arrays(jnp.asarray(capacity, p.dtype), jnp.asarray(data, p.dtype))
    return jax.lax.map(one, (capacity.ravel(), data.ravel())).reshape(capacity.shape)
