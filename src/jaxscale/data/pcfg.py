"""A probabilistic context-free grammar whose strings have one parse each, so that its entropy is a sum over expected rules."""

import jax
import jax.numpy as jnp

from jaxscale.data.hierarchy import Hierarchy
from jaxscale.data.world import Example, next_token, zipf
from jaxscale.records import record, static


@record
class Pcfg:
    """Sentences of 2^levels terminals: a start symbol expands by binary rules, level by level; of a symbol's rules the k-th has
    probability ~ k^-exponent. Every sentence follows a token that marks its beginning.

    Tokens 0 .. symbols - 1 are terminals, `symbols` is the beginning.

    Attributes:
      symbols: of each level. Static.
      rules: of each symbol, at most `symbols`: no two symbols of a level share one. Static.
      levels: of the tree. Static.
      exponent: of the rules' frequencies, as of the start symbol's.

    References:
      Charniak 1993, Statistical language learning, chapter 5. Cagnetta & Wyart 2024, arXiv:2406.00048 (such grammars with equal
      frequencies).
    """

    symbols: int = static(default=8)
    rules: int = static(default=4)
    levels: int = static(default=3)
    exponent: float = 1.0

    def check(self):
        """Raise unless the grammar exists and has one parse for every sentence."""
        if self.symbols < 2 or self.levels < 1 or not 1 <= self.rules <= self.symbols:
            raise ValueError(
                f"Pcfg needs symbols >= 2, levels >= 1 and 1 <= rules <= symbols, or right-hand sides are shared; got "
                f"{self.symbols}, {self.levels} and {self.rules}."
            )
        if not self.exponent >= 0:
            raise ValueError(f"Pcfg.exponent must not be negative; got {self.exponent}. 0 makes all rules as frequent.")

    @property
    def _grammar(self) -> Hierarchy:
        return Hierarchy(features=self.symbols, classes=self.symbols, synonyms=self.rules, levels=self.levels, predict="next")

    @property
    def vocabulary(self) -> int:
        """Count the terminals and the token that marks the beginning."""
        return self.symbols + 1

    @property
    def context(self) -> int:
        """Return the length of a sentence; what is read is the beginning and all but its last terminal."""
        return 2**self.levels

    def sample(self, key: jax.Array) -> jax.Array:
        """Draw (levels, symbols, rules, 2) right-hand sides, dealt out at random without repeats within a level."""
        return self._grammar.sample(key)

    def example(self, key: jax.Array, frozen: jax.Array) -> Example:
        """Draw a start symbol and expand it into one sentence."""
        key_start, key_rules = jax.random.split(key)
        start, chance = (jnp.log(zipf(n, self.exponent)) for n in (self.symbols, self.rules))
        string = jax.random.categorical(key_start, start)[None]
        for i, one in enumerate(jax.random.split(key_rules, self.levels)):
            string = frozen[i][string, jax.random.categorical(one, chance, shape=string.shape)].reshape(-1)
        return next_token(jnp.concatenate([jnp.array([self.symbols], string.dtype), string]))

    def entropy_floor(self, frozen: jax.Array) -> jax.Array:
        """Return nats per terminal: a string has one derivation, with the entropy of the start and of a rule per symbol."""
        del frozen  # the same for every deal: symbols differ in their right-hand sides, not in their frequencies

        def entropy(p):
            return jnp.sum(jax.scipy.special.entr(p))

        expanded = 2**self.levels - 1  # 1 + 2 + 4 + ... symbols
        start, rule = (entropy(zipf(n, self.exponent)) for n in (self.symbols, self.rules))
        return (start + expanded * rule) / 2**self.levels


TINY = Pcfg()
