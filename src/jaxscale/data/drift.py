"""Walks on a ring that drift at an angle: a family of tasks whose overlap is known, from equal to opposite."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxscale.data.world import Example, next_token
from jaxscale.records import record, static


@record
class Drift:
    """A walk from each token s to s + k (mod V), with p(k) ~ exp(sharpness cos(2 pi k / V - angle)).

    Two of them have the steps' distribution in common at equal angles and next to nothing at opposite ones.

    Attributes:
      angle: where steps go, radians.
      sharpness: inverse square of the steps' spread.
      vocabulary: V, tokens on the ring. Static.
      context: T. Static.
    """

    angle: Any = 0.0
    sharpness: Any = 4.0
    vocabulary: int = static(default=32)
    context: int = static(default=16)

    def check(self):
        """Raise unless the ring has three tokens and the sharpness is finite and not negative."""
        if self.vocabulary < 3 or self.context < 1 or not 0 <= self.sharpness < float("inf"):
            raise ValueError(
                f"Drift needs vocabulary >= 3, context >= 1 and a finite sharpness >= 0; got {self.vocabulary}, {self.context} "
                f"and {self.sharpness}."
            )

    def sample(self, key: jax.Array) -> tuple[()]:
        """Draw nothing: no disorder is frozen."""
        del key
        return ()

    def example(self, key: jax.Array, frozen: tuple[()]) -> Example:
        """Draw one walk from a random token."""
        del frozen
        key_start, key_steps = jax.random.split(key)
        start = jax.random.randint(key_start, (1,), 0, self.vocabulary)
        steps = jax.random.categorical(key_steps, self._log_p(), shape=(self.context,))
        return next_token(jnp.cumsum(jnp.concatenate([start, steps])) % self.vocabulary)

    def entropy_floor(self, frozen: tuple[()]) -> jax.Array:
        """Return the entropy of one step of the walk, nats."""
        del frozen
        log_p = self._log_p()
        return -jnp.sum(jnp.exp(log_p) * log_p)

    def _log_p(self):
        turn = 2 * jnp.pi * jnp.arange(self.vocabulary) / self.vocabulary
        return jax.nn.log_softmax(self.sharpness * jnp.cos(turn - self.angle))


TINY = Drift(angle=1.0)
