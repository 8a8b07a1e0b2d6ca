"""Ghost batch norm: statistics over small groups of a large batch, which keeps the noise of small batches."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class GhostBatchNorm(nn.Module):
    """Normalise (B, ...) over groups of `group` consecutive rows, then scale and shift; groups do not see each other.

    Statistics are always those of the batch at hand: no running averages, so that parameters are all it has.

    Attributes:
      group: rows of a ghost batch; must divide B.

    References:
      Hoffer, Hubara & Soudry 2017, Train longer, generalize better, arXiv:1705.08741, section 4.
    """

    group: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Return the normalised input, of the same shape."""
        if self.group < 1 or x.shape[0] % self.group:
            fitting = [g for g in range(1, x.shape[0] + 1) if x.shape[0] % g == 0]
            raise ValueError(
                f"GhostBatchNorm.group must divide the {x.shape[0]} rows; got {self.group}. Choose from {fitting}."
            )
        ghosts = x.reshape(-1, self.group, *x.shape[1:])
        mean, variance = jnp.mean(ghosts, axis=1, keepdims=True), jnp.var(ghosts, axis=1, keepdims=True)
        z = ((ghosts - mean) / jnp.sqrt(variance + 1e-5)).reshape(x.shape)  # a unit that is constant has a gradient, zero
        scale = self.param("scale", nn.initializers.ones, x.shape[-1:])
        shift = self.param("shift", nn.initializers.zeros, x.shape[-1:])
        lead = (1,) * (x.ndim - 1)
        return z * scale.reshape(*lead, -1) + shift.reshape(*lead, -1)


def sqrt_rate(rate: float, batch: int, base: int) -> float:
    """Return the learning rate of a larger batch that keeps the update's noise, rate sqrt(batch / base) (their section 4)."""
    return rate * (batch / base) ** 0.5
