"""Random tokens, each to be said again `delay` places later: memory of one length and nothing else."""

import jax
import jax.numpy as jnp

from jaxscale.data.world import Example
from jaxscale.records import record, static


@record
class Delay:
    """Independent uniform tokens; at place t the token of place t - delay is asked for, from the first that there is.

    Attributes:
      vocabulary: V. Static.
      context: T. Static.
      delay: in 0..T - 1. Traced.

    References:
      Gu, Johnson, Timalsina, Rudra & Re 2022, How to train your HiPPO, arXiv:2206.12037, section 4 (the delay task).
    """

    vocabulary: int = static(default=8)
    context: int = static(default=64)
    delay: float = 16

    def check(self):
        """Raise unless there are two tokens, a place, and a whole delay that fits in the context."""
        if self.vocabulary < 2 or self.context < 1 or not 0 <= self.delay < self.context or self.delay % 1:
            raise ValueError(
                f"Delay needs vocabulary >= 2, context >= 1 and a whole delay in 0..context - 1; got {self.vocabulary}, "
                f"{self.context} and {self.delay}."
            )

    def sample(self, key: jax.Array) -> tuple[()]:
        """Draw nothing: no disorder is frozen."""
        del key
        return ()

    def example(self, key: jax.Array, frozen: tuple[()]) -> Example:
        """Draw one sequence; its targets are its tokens `delay` places later, and the first `delay` places do not count."""
        del frozen
        tokens = jax.random.randint(key, (self.context,), 0, self.vocabulary)
        late = jnp.round(jnp.asarray(self.delay)).astype(jnp.int32)
        known = jnp.arange(self.context) >= late
        return Example(tokens, jnp.where(known, jnp.roll(tokens, late), 0), known.astype(jnp.float32))

    def entropy_floor(self, frozen: tuple[()]) -> jax.Array:
        """Return 0: whatever is asked for has been shown."""
        return jnp.array(0.0)


TINY = Delay(delay=5.0)
