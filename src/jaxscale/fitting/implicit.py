"""Some laws give y only through an equation: this finds its root, with exact derivatives in the parameters."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp


def root(equation: Callable[..., jax.Array], start: jax.Array, params: Any, steps: int = 12) -> jax.Array:
    """Return where an increasing function is zero, elementwise, by Newton's method.

    The last step alone carries derivatives: with the root and the slope held constant it is the implicit function theorem.

    Args:
      equation: equation(v, params), increasing in v, convex or concave, so that Newton cannot run away.
      start: (n,) first v.
      params: what the equation depends on beside v.
      steps: how many, always all of them.
    """
    frozen = jax.tree.map(jax.lax.stop_gradient, params)

    def value_and_slope(v: jax.Array) -> tuple[jax.Array, jax.Array]:
        return jax.jvp(lambda u: equation(u, frozen), (v,), (jnp.ones_like(v),))

    def newton(_: int, v: jax.Array) -> jax.Array:
        value, slope = value_and_slope(v)
        return v - value / slope

    v = jax.lax.fori_loop(0, steps, newton, jax.lax.stop_gradient(start))
    return v - equation(v, params) / value_and_slope(v)[1]
