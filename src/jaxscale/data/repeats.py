"""Random strings, shown twice: the second showing can be predicted by copying, token for token."""

import jax
import jax.numpy as jnp

from jaxscale.data.world import Example, next_token
from jaxscale.records import record, static


@record
class Repeats:
    """A random string of distinct tokens and the same again; only the second showing counts, its first token left out.

    Attributes:
      vocabulary: V. Static.
      length: of the string, at most V. Static.

    References:
      Olsson et al. 2022, In-context learning and induction heads, arXiv:2209.11895 (repeated random sequences).
    """

    vocabulary: int = static(default=32)
    length: int = static(default=9)

    def check(self):
        """Raise unless the string has two tokens at least, and there are enough different ones for it."""
        if not 2 <= self.length <= self.vocabulary:
            raise ValueError(f"Repeats.length must lie in 2..vocabulary={self.vocabulary}; got {self.length}.")

    @property
    def context(self) -> int:
        """Count the tokens read: both showings less the last token."""
        return 2 * self.length - 1

    def sample(self, key: jax.Array) -> tuple[()]:
        """Draw nothing: no disorder is frozen."""
        del key
        return ()

    def example(self, key: jax.Array, frozen: tuple[()]) -> Example:
        """Draw one string of distinct tokens and show it twice."""
        string = jax.random.permutation(key, self.vocabulary)[: self.length]
        seen = next_token(jnp.concatenate([string, string]))
        return seen._replace(weight=(jnp.arange(self.context) >= self.length).astype(jnp.float32))

    def entropy_floor(self, frozen: tuple[()]) -> jax.Array:
        """Return 0: every counted token has been shown."""
        return jnp.array(0.0)


TINY = Repeats()
