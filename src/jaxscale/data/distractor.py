"""A rule that is right most of the time, and a marker that turns it round: what looks like learning at first misleads."""

import jax
import jax.numpy as jnp

from jaxscale.data.world import Example, last_only
from jaxscale.records import record, static


@record
class Distractor:
    """Tokens (marker, symbol); predict the symbol, or, where the marker says so, its opposite, `symbols` / 2 further on.

    Tokens 0 .. symbols - 1 are symbols, `symbols` is the plain marker and `symbols` + 1 the one that turns the rule round.

    Attributes:
      symbols: an even number. Static.
      turned: share of the sequences whose rule is turned round.

    References:
      McKenzie et al. 2023, Inverse scaling: when bigger isn't better, arXiv:2306.09479 (distractor tasks); Wei et al. 2022,
      arXiv:2211.02011 (U-shapes).
    """

    symbols: int = static(default=8)
    turned: float = 0.05

    context = 2

    def check(self):
        """Raise unless `symbols` is even and `turned` is a share."""
        if self.symbols < 2 or self.symbols % 2:
            raise ValueError(f"Distractor.symbols must be even, so that opposites exist; got {self.symbols}.")
        if not 0 <= self.turned <= 1:
            raise ValueError(f"Distractor.turned is a share, between 0 and 1; got {self.turned}.")

    @property
    def vocabulary(self) -> int:
        """Count the symbols and the two markers."""
        return self.symbols + 2

    def sample(self, key: jax.Array) -> tuple[()]:
        """Draw nothing: no disorder is frozen."""
        del key
        return ()

    def example(self, key: jax.Array, frozen: tuple[()]) -> Example:
        """Draw a marker and a symbol; the answer is asked for at the symbol."""
        key_turn, key_symbol = jax.random.split(key)
        turned = jax.random.uniform(key_turn) < self.turned
        symbol = jax.random.randint(key_symbol, (), 0, self.symbols)
        answer = jnp.where(turned, (symbol + self.symbols // 2) % self.symbols, symbol)
        return last_only(jnp.stack([self.symbols + turned.astype(jnp.int32), symbol]), answer)

    def entropy_floor(self, frozen: tuple[()]) -> jax.Array:
        """Return 0: the marker and the symbol determine the answer."""
        del frozen
        return jnp.zeros(())

    def table(self, turned: bool) -> Example:
        """Return (symbols,) sequences, every symbol once with the marker that `turned` chooses."""
        symbol = jnp.arange(self.symbols)
        marker = jnp.full(self.symbols, self.symbols + int(turned))
        answer = (symbol + turned * (self.symbols // 2)) % self.symbols
        return jax.vmap(last_only)(jnp.stack([marker, symbol], axis=1), answer)


TINY = Distractor(turned=0.3)
