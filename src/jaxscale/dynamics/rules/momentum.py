"""SGD with momentum, plain or with one scale per tensor taken from the first gradient (SGD-SaI)."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxscale.models.language.tensor_roles import shrunk
from jaxscale.records import record, static


class Memory(NamedTuple):
    """The steps so far, each tensor's scale, and the running mean of the gradients."""

    steps: jax.Array  # ()
    scale: Any  # () per tensor, fixed by the first gradient
    momentum: Any


@record
class Momentum:
    """Update by theta <- theta (1 - rate decay) - rate scale m, where m <- beta m + (1 - beta) g, from m = g at the first step.

    Attributes:
      beta: of the running mean.
      decay: weight decay, of all but poles and time steps of state spaces.
      scale: per tensor: "one", "gsnr" (SGD-SaI: the first gradient's signal-to-noise ratio), or "root size" (sqrt(numel), which
        gsnr is close to unless a gradient's mean is comparable with its spread). Static.
      mend: give tensors whose first gradient is zero the scale sqrt(numel), and single numbers 1; without it they have scale
        0 for ever (behind a zero-initialised head), and |g| / 1e-8. Static.

    References:
      Xu et al. 2024, No more Adam: learning rate scaling at initialization is all you need, arXiv:2412.11768.
    """

    beta: float = 0.9
    decay: float = 0.0
    scale: str = static(default="one")
    mend: bool = static(default=False)

    def check(self):
        """Raise unless beta lies in [0, 1), the weight decay is not negative and the scale is known."""
        if not 0 <= self.beta < 1 or self.decay < 0:
            raise ValueError(f"Momentum needs 0 <= beta < 1 and decay >= 0; got {self.beta} and {self.decay}.")
        if self.scale not in ("one", "gsnr", "root size"):
            raise ValueError(f"Momentum.scale must be 'one', 'gsnr' or 'root size'; got {self.scale!r}.")

    def optimizer(self, rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
        """Return the optax transformation at a rate, which may be traced."""

        def init(params):
            scale = jax.tree.map(lambda _: jnp.array(1.0), params)
            return Memory(jnp.array(0, jnp.int32), scale, jax.tree.map(jnp.zeros_like, params))

        def update(grads, memory, params):
            first = memory.steps == 0
            scale = jax.tree.map(lambda old, g: jnp.where(first, self._scale(g), old), memory.scale, grads)
            momentum = jax.tree.map(
                lambda m, g: jnp.where(first, g, self.beta * m + (1 - self.beta) * g), memory.momentum, grads
            )
            eta = rate(memory.steps) if callable(rate) else rate
            moved = shrunk(jax.tree.map(jnp.multiply, scale, momentum), params, self.decay)
            return jax.tree.map(lambda m: -eta * m, moved), Memory(memory.steps + 1, scale, momentum)

        return optax.GradientTransformation(init, update)

    def _scale(self, gradient):
        if self.scale == "one":
            return jnp.array(1.0)
        root = jnp.sqrt(jnp.array(gradient.size, jnp.float32))
        if self.scale == "root size":
            return root
        ratio = gsnr(gradient)
        if not self.mend:
            return ratio
        return jnp.array(1.0) if gradient.size == 1 else jnp.where(jnp.any(gradient != 0), ratio, root)


def gsnr(gradient: jax.Array, epsilon: float = 1e-8) -> jax.Array:
    """Return |g| / (std(g) + epsilon), unbiased std, 0 for a single number: sqrt((N - 1) + N mean^2 / s^2) >= sqrt(N - 1).

    References:
      Xu et al. 2024, arXiv:2412.11768, their released optimiser.
    """
    spread = jnp.std(gradient, ddof=1) if gradient.size > 1 else jnp.array(0.0)
    return jnp.linalg.norm(gradient.ravel()) / (spread + epsilon)


RULE = Momentum(scale="gsnr", mend=True)
