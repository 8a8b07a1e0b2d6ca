"""Modular addition, a + b mod p, with a fixed share of the table to learn from: the world of grokking."""

import jax
import jax.numpy as jnp

from jaxscale.data.world import Example
from jaxscale.records import record, static


@record
class ModularAddition:
    """Tokens a, b; predict (a + b) mod p at the second. Training and held-out pairs are a random split of the table.

    Attributes:
      p: modulus. Static.
      share: of the table in the training set. Traced.

    References:
      Power et al. 2022, arXiv:2201.02177.
    """

    p: int = static(default=23)
    share: float = 0.6

    context = 2

    def check(self):
        """Raise unless p >= 2 and the share leaves pairs to train on and pairs to hold out."""
        if self.p < 2 or not 0 < self.share < 1:
            raise ValueError(f"ModularAddition needs p >= 2 and 0 < share < 1; got p={self.p}, share={self.share}.")
        if not 0 < (pairs := round(self.share * self.p**2)) < self.p**2:
            raise ValueError(
                f"ModularAddition.share must leave pairs to train on and pairs to hold out; {self.share} of {self.p**2} are "
                f"{pairs}. Choose another share, or a larger p."
            )

    @property
    def vocabulary(self) -> int:
        """Return p, the modulus and the number of tokens."""
        return self.p

    def sample(self, key: jax.Array) -> jax.Array:
        """Draw which pairs are in the training set, (p p,) bool; they are share p p in number, rounded."""
        rank = jax.random.permutation(key, self.p**2)
        return rank < jnp.round(self.share * self.p**2)

    def table(self) -> Example:
        """Return all p p pairs, each counting once."""
        a, b = (g.ravel() for g in jnp.meshgrid(jnp.arange(self.p), jnp.arange(self.p), indexing="ij"))
        tokens, answer = jnp.stack([a, b], axis=1), (a + b) % self.p
        targets = jnp.stack([jnp.zeros_like(answer), answer], axis=1)
        weight = jnp.stack([jnp.zeros(self.p**2), jnp.ones(self.p**2)], axis=1)
        return Example(tokens.astype(jnp.int32), targets.astype(jnp.int32), weight)

    def training(self, frozen: jax.Array) -> Example:
        """Return the table with the held-out pairs at weight 0."""
        table = self.table()
        return table._replace(weight=table.weight * frozen[:, None])

    def held_out(self, frozen: jax.Array) -> Example:
        """Return the table with the training pairs at weight 0."""
        table = self.table()
        return table._replace(weight=table.weight * ~frozen[:, None])

    def example(self, key: jax.Array, frozen: jax.Array) -> Example:
        """Draw one training pair, all of them alike in probability."""
        index = jax.random.categorical(key, jnp.where(frozen, 0.0, -jnp.inf))
        return jax.tree.map(lambda column: column[index], self.table())

    def entropy_floor(self, frozen: jax.Array) -> jax.Array:
        """Return 0: the pair determines the sum."""
        return jnp.array(0.0)


TINY = ModularAddition(p=5)
