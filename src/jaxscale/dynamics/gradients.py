"""Where a gradient is taken, and what is done to it before a rule sees it: sharpness-aware, noisy, normalised, clipped."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxscale.records import record

Loss = Callable[[Any, jax.Array], jax.Array]  # of parameters and key
NOISE = 2**32 - 1  # a stream of the key that no batch has: its sequences count from 0


@record
class Plain:
    """Take the gradient, clipped to a norm.

    Attributes:
      clip: largest global norm; infinite for none.
    """

    clip: float = float("inf")

    def check(self):
        """Raise if the clip is not positive."""
        if not self.clip > 0:
            raise ValueError(f"Plain.clip must be positive; got {self.clip}. Infinite clips nothing.")

    def __call__(self, loss: Loss, params: Any, key: jax.Array) -> Any:
        """Return the gradient of `loss` at `params`, clipped, in their form. `key` goes to the loss."""
        return clipped(jax.grad(loss)(params, key), self.clip)


@record
class Sam:
    """Take the gradient at w + rho g / |g|, on the same batch: sharpness-aware minimisation.

    Attributes:
      rho: radius, in parameter units. 0 is the plain gradient.

    References:
      Foret et al. 2021, arXiv:2010.01412, algorithm 1.
    """

    rho: float = 0.05

    def check(self):
        """Raise if the radius is negative."""
        if not self.rho >= 0:
            raise ValueError(f"Sam.rho must not be negative; got {self.rho}. 0 is the plain gradient.")

    def __call__(self, loss: Loss, params: Any, key: jax.Array) -> Any:
        """Return the gradient at the worst neighbour, to first order; every lane normalises its own."""
        first = jax.grad(loss)(params, key)
        step = self.rho / jnp.maximum(optax.global_norm(first), 1e-12)
        return jax.grad(loss)(jax.tree.map(lambda w, g: w + step * g, params, first), key)


@record
class Noisy:
    """Take the gradient and add independent normal noise to every entry.

    Attributes:
      sigma: standard deviation.
    """

    sigma: float = 0.0

    def check(self):
        """Raise if the standard deviation is negative."""
        if not self.sigma >= 0:
            raise ValueError(f"Noisy.sigma must not be negative; got {self.sigma}. 0 is the plain gradient.")

    def __call__(self, loss: Loss, params: Any, key: jax.Array) -> Any:
        """Return the gradient plus noise; the noise does not share the loss's key."""
        grads = jax.grad(loss)(params, key)
        return optax.tree.add_scale(grads, self.sigma, optax.tree.random_like(jax.random.fold_in(key, NOISE), grads))


@record
class RmsNormalised:
    """Take the gradient and divide each tensor of it by its root mean square, before the rule.

    Attributes:
      epsilon: added to it.

    References:
      Wang et al. 2024, Rethinking conventional wisdom in machine learning: from generalization to scaling, arXiv:2409.15156.
    """

    epsilon: float = 1e-8

    def check(self):
        """Raise if `epsilon`, which keeps a gradient of zero finite, is not positive."""
        if not self.epsilon > 0:
            raise ValueError(f"RmsNormalised.epsilon must be positive; got {self.epsilon}.")

    def __call__(self, loss: Loss, params: Any, key: jax.Array) -> Any:
        """Return the gradient with every tensor scaled to unit root mean square."""
        return jax.tree.map(lambda g: g / (jnp.sqrt(jnp.mean(g**2)) + self.epsilon), jax.grad(loss)(params, key))


def clipped(grads: Any, norm: jax.Array | float) -> Any:
    """Return gradients scaled down to a global norm, or as they are where theirs is smaller."""
    size = optax.global_norm(grads)
    factor = jnp.where(size > norm, norm / jnp.maximum(size, 1e-30), 1.0)
    return jax.tree.map(lambda g: factor * g, grads)
