"""Nested parentheses whose kinds follow Zipf's law: structure without meaning, with an exact floor."""

import jax
import jax.numpy as jnp

from jaxscale.data.world import Example, next_token, zipf
from jaxscale.records import record, static


@record
class Parentheses:
    """At each step open a new pair of a Zipf kind, or close the innermost open one; the stack starts empty.

    Tokens 0 .. kinds - 1 open, kinds .. 2 kinds - 1 close.

    Attributes:
      kinds: static.
      context: T. Static.
      open: chance to open where there is something to close.
      deepest: the stack's limit, at which one must close. Static.

    References:
      Papadimitriou & Jurafsky 2020, arXiv:2004.14601 (nested parentheses as a pre-training corpus).
    """

    kinds: int = static(default=16)
    context: int = static(default=32)
    open: float = 0.49
    deepest: int = static(default=16)

    def check(self):
        """Raise unless `open` lies strictly between 0 and 1 and there are kinds, a stack and two tokens."""
        if not 0 < self.open < 1 or self.deepest < 1 or self.context < 2 or self.kinds < 1:
            raise ValueError(
                f"Parentheses needs 0 < open < 1, deepest >= 1, context >= 2, kinds >= 1; got {self.open}, {self.deepest}, "
                f"{self.context}, {self.kinds}."
            )

    @property
    def vocabulary(self) -> int:
        """Count an opening and a closing token per kind."""
        return 2 * self.kinds

    def sample(self, key: jax.Array) -> tuple[()]:
        """Draw nothing: no disorder is frozen."""
        del key
        return ()

    def _opens(self, depth):
        return jnp.where(depth == 0, 1.0, jnp.where(depth >= self.deepest, 0.0, self.open))

    def example(self, key: jax.Array, frozen: tuple[()]) -> Example:
        """Draw T + 1 tokens from an empty stack; all but the first are asked for."""
        log_kinds = jnp.log(zipf(self.kinds))

        def step(carry, key):
            stack, depth = carry
            key_open, key_kind = jax.random.split(key)
            opens = jax.random.uniform(key_open) < self._opens(depth)
            kind = jax.random.categorical(key_kind, log_kinds)
            token = jnp.where(opens, kind, self.kinds + stack[jnp.maximum(depth - 1, 0)])
            stack = jnp.where(opens & (jnp.arange(self.deepest) == depth), kind, stack)
            return (stack, depth + jnp.where(opens, 1, -1)), token

        start = jnp.zeros(self.deepest, jnp.int32), jnp.array(0)
        return next_token(jax.lax.scan(step, start, jax.random.split(key, self.context + 1))[1])

    def entropy_floor(self, frozen: tuple[()]) -> jax.Array:
        """Return the mean entropy over the T predicted places: of opening, given the depth, and of the kind if so; nats."""
        p = zipf(self.kinds)
        kind = -jnp.sum(p * jnp.log(p))

        def step(depths, _):
            opens = self._opens(jnp.arange(self.deepest + 1))
            choice = -jnp.where((opens > 0) & (opens < 1), opens * jnp.log(opens) + (1 - opens) * jnp.log1p(-opens), 0)
            here = jnp.sum(depths * (choice + opens * kind))
            up, down = depths * opens, depths * (1 - opens)
            return jnp.roll(up, 1).at[0].set(0) + jnp.roll(down, -1).at[-1].set(0), here

        start = jnp.zeros(self.deepest + 1).at[0].set(1.0)
        floors = jax.lax.scan(step, start, length=self.context + 1)[1]
        return jnp.mean(floors[1:])  # the first token is read, not predicted


TINY = Parentheses()
