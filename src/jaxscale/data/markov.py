"""Corpora whose entropy is known: Markov chains and Zipf's law alone. Excess loss needs no fitted floor."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxscale.data.world import Example, next_token, zipf
from jaxscale.records import record, static


def check_length(world: Any) -> None:
    """Raise unless the world's sequences have two tokens at least, of two kinds at least."""
    for name in ("context", "vocabulary"):
        if getattr(world, name) < 2:
            raise ValueError(f"{type(world).__name__}.{name} must be at least 2 tokens; got {getattr(world, name)}.")


@record
class Unigram:
    """Independent tokens with Zipf frequencies.

    Attributes:
      vocabulary: static.
      context: static.
      exponent: of the frequencies.
    """

    vocabulary: int = static(default=32)
    context: int = static(default=32)
    exponent: float = 1.0

    def check(self):
        """Raise unless there are two tokens and the exponent is not negative."""
        check_length(self)
        if not self.exponent >= 0:
            raise ValueError(f"Unigram.exponent must not be negative; got {self.exponent}. 0 makes all tokens as frequent.")

    def sample(self, key: jax.Array) -> jax.Array:
        """Return (V,) frequencies; nothing is random."""
        del key
        return zipf(self.vocabulary, self.exponent)

    def example(self, key: jax.Array, frozen: jax.Array) -> Example:
        """Draw T + 1 independent tokens."""
        return next_token(jax.random.categorical(key, jnp.log(frozen), shape=(self.context + 1,)))

    def entropy_floor(self, frozen: jax.Array) -> jax.Array:
        """Return the entropy of one token, -sum p ln p, nats."""
        return jnp.sum(jax.scipy.special.entr(frozen))


@record
class Markov:
    """A chain of order one with Dirichlet rows; the same for all sequences, or a new one for each (learning it in context).

    Attributes:
      vocabulary: V. Static.
      context: T. Static.
      concentration: of the Dirichlet rows; small ones are far from even.
      fresh: draw a new chain for every sequence. Static.

    References:
      Edelman et al. 2024, The evolution of statistical induction heads, arXiv:2402.11004.
    """

    vocabulary: int = static(default=16)
    context: int = static(default=32)
    concentration: float = 0.3
    fresh: bool = static(default=False)

    def check(self):
        """Raise unless there are two tokens and the concentration is positive."""
        check_length(self)
        if not self.concentration > 0:
            raise ValueError(f"Markov.concentration must be positive; got {self.concentration}.")

    def sample(self, key: jax.Array) -> jax.Array:
        """Draw (V, V) transition probabilities; they go unused where every sequence has its own."""
        alpha = jnp.full(self.vocabulary, self.concentration, jnp.float32)
        return jax.random.dirichlet(key, alpha, (self.vocabulary,)) + 1e-9

    def example(self, key: jax.Array, frozen: jax.Array) -> Example:
        """Draw T + 1 tokens of the chain, from its stationary distribution on."""
        key_chain, key_first, key_rest = jax.random.split(key, 3)
        rows = jnp.log(self.sample(key_chain) if self.fresh else frozen)
        start = jax.random.categorical(key_first, jnp.log(stationary(jnp.exp(rows))))

        def step(token, key):
            new = jax.random.categorical(key, rows[token])
            return new, new

        rest = jax.lax.scan(step, start, jax.random.split(key_rest, self.context))[1]
        return next_token(jnp.concatenate([start[None], rest]))

    def smoothed(self, seen: Example) -> jax.Array:
        """Return (T,) log-probabilities of the targets by counting pairs within the sequence: Bayes' answer, where chains are
        fresh.

        p(j | i) = (pairs ij so far + concentration) / (occurrences of i so far + V concentration), Edelman et al.'s equation 2.
        What the first token's frequency says of the chain is left out.
        """
        before = jnp.tril(seen.tokens[:, None] == seen.tokens[None, :], -1)
        pairs = jnp.sum(before & (seen.targets[:, None] == seen.targets[None, :]), axis=1)
        total = jnp.sum(before, axis=1) + self.vocabulary * self.concentration
        return jnp.log((pairs + self.concentration) / total)

    def entropy_floor(self, frozen: jax.Array) -> jax.Array:
        """Return -sum_i pi_i sum_j P_ij ln P_ij, nats; of fresh chains, the mean loss of `smoothed` over 1024 sequences.

        That is a floor for counting. Bayes' answer uses the first token's frequency too, and is .03 nats lower at V = 2, T = 4
        and concentration .3, .015 at T = 8. Below a concentration of .05 chains mix so slowly that sequences may be .02 off.
        """
        if self.fresh:
            key = jax.random.key(0, impl="threefry2x32")
            seen = jax.vmap(lambda key: self.example(key, frozen))(jax.random.split(key, 1024))
            return -jnp.mean(jax.vmap(self.smoothed)(seen))
        return -jnp.sum(stationary(frozen)[:, None] * frozen * jnp.log(frozen))


def stationary(rows: jax.Array, squarings: int = 12) -> jax.Array:
    """Return the (V,) stationary distribution of (V, V) transition probabilities, by squaring 2^12 steps."""
    power = rows
    for _ in range(squarings):
        power = power @ power
        power = power / jnp.sum(power, axis=1, keepdims=True)
    return jnp.mean(power, axis=0)


TINY = (Unigram(), Markov(), Markov(fresh=True))
