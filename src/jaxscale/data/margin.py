"""Separable points with a power-law density near the decision boundary ("depleted sign")."""

import jax
import jax.numpy as jnp

from jaxscale.shapes import Array, Float, Key


def margin_density(key: Key[Array, ""], n: int, d: int, chi: float) -> Float[Array, "{n} {d}"]:
    """Draw points times their labels, y x, with density ~ |x_1|^chi exp(-x_1^2 / 2) along the teacher.

    The label is the sign of x_1 and the other coordinates are standard normal, so y x has y x_1 = |x_1| > 0.
    chi = 0 is the Gaussian perceptron; chi > 0 depletes the boundary.

    Args:
      key: consumed.
      n: number of points.
      d: input dimension.
      chi: exponent of the depletion, > -1. A plain number: 0 and 1 have shortcuts.

    Returns:
      (n, d).

    References:
      Sclocchi, Geiger & Wyart, ICML 2023, arXiv:2301.13703, section 3.
    """
    key_along, key_across = jax.random.split(key)
    across = jax.random.normal(key_across, (n, d - 1))
    return jnp.concatenate([along_teacher(key_along, n, chi)[:, None], across], axis=1)


def along_teacher(key: Key[Array, ""], n: int, chi: float) -> Float[Array, " {n}"]:
    """Draw (n,) values of |x_1| = sqrt(2 Gamma((chi + 1) / 2)), Gamma being a variable of this shape. Consumes `key`."""
    if not chi > -1:
        raise ValueError(f"chi must be above -1, or the density cannot be normalised; got {chi}.")
    if chi == 0:
        return jnp.abs(jax.random.normal(key, (n,)))
    if chi == 1:
        return jnp.sqrt(2 * jax.random.exponential(key, (n,)))
    return jnp.sqrt(2 * jax.random.gamma(key, (chi + 1) / 2, (n,)))
