"""A world of sequences: each is a pattern that is said twice."""

import jax
import jax.numpy as jnp

from jaxscale import record, static
from jaxscale.data.world import next_token


@record
class Copying:
    """`length` even draws from the vocabulary, and the same again.

    Attributes:
      vocabulary: number of tokens. Static.
      length: of the pattern. Static.
    """

    vocabulary: int = static(default=5)
    length: int = static(default=3)

    @property
    def context(self):
        """How many tokens are read."""
        return 2 * self.length - 1

    def sample(self, key):
        """Draw nothing: there is no disorder."""
        return ()

    def example(self, key, frozen):
        """Draw one sequence. Consumes `key`."""
        pattern = jax.random.randint(key, (self.length,), 0, self.vocabulary)
        return next_token(jnp.concatenate([pattern, pattern]))


TINY = Copying()
