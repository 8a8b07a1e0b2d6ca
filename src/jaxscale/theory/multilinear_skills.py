"""The multilinear skill model: skills with power-law frequencies, each learned along a logistic curve of its own.

Nam, Fonseca, Lee, Mingard & Louis 2024, An exactly solvable model for emergence and scaling laws, arXiv:2404.17563.
"""

import jax
import jax.numpy as jnp

from jaxscale.theory.quanta import frequencies


def strength(
    time: jax.Array, frequency: jax.Array, *, start: float = 1e-3, target: float = 1.0, rate: float = 1.0
) -> jax.Array:
    """Return R_k(t) of a_k b_k under gradient flow on p_k (S - a_k b_k)^2 / 2 from a = b.

    S / (1 + (S / R_0 - 1) exp(-2 rate p_k S t)).

    Args:
      time: any shape.
      frequency: p_k, broadcast against `time`.
      start: R_0.
      target: S.
      rate: learning rate.
    """
    return target / (1 + (target / start - 1) * jnp.exp(-2 * rate * frequency * target * time))


def loss(
    time: jax.Array, *, alpha: float, skills: float = jnp.inf, count: int = 100_000, start: float = 1e-3, target: float = 1.0
) -> jax.Array:
    """Return sum_k p_k (S - R_k(t))^2 / 2, elementwise in `time`, with the rarer skills than `count` never learned.

    Falls as t^(-alpha / (1 + alpha)), and as N^-alpha once the `skills` that a model of size N can hold are learned.

    Args:
      time: any shape.
      alpha: exponent of the frequencies, p_k ~ k^-(1 + alpha).
      skills: N, how many can be learned.
      count: skills summed one by one.
      start: R_0.
      target: S.
    """
    p, rest = frequencies(count, alpha)
    able = jnp.arange(1, count + 1) <= skills

    def one(t):
        left = target - jnp.where(able, strength(t, p, start=start, target=target), 0.0)
        return (jnp.sum(p * left**2) + rest * target**2) / 2

    time = jnp.asarray(time, p.dtype)
    return jax.lax.map(one, time.ravel()).reshape(time.shape)


def exponents(alpha: float) -> dict[str, float]:
    """Return the decay exponents of the loss in time and data, alpha / (1 + alpha), in size, alpha, and in compute, alpha / (2
    + alpha).
    """
    return {"time": alpha / (1 + alpha), "data": alpha / (1 + alpha), "size": alpha, "compute": alpha / (2 + alpha)}
