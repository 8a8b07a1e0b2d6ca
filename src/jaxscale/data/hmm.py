"""Hidden Markov models: classes in a chain, words by class. Bayes' loss is the chain's, or what the forward algorithm says."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxscale.data.markov import Markov, check_length, stationary
from jaxscale.data.world import Example, next_token, zipf
from jaxscale.records import record, static

SEQUENCES = 1024  # behind the floor where words do not give their class away


class Frozen(NamedTuple):
    """The frozen disorder: how classes follow one another, and which words each emits."""

    chain: jax.Array  # (C, C) transition probabilities of the classes
    words: jax.Array  # (C, V) of each class's words


@record
class Hmm:
    """Hidden classes that follow a Markov chain, each emitting words by Zipf's law: of its own, or of all in its own order.

    Attributes:
      classes: C. Static.
      words: of each class. Static.
      context: T. Static.
      concentration: of the rows of the class chain.
      shared: all classes emit the same words, each in a random order of frequency; else vocabularies do not overlap. Static.

    References:
      Rabiner 1989, A tutorial on hidden Markov models, Proceedings of the IEEE 77, 257, section III A (forward algorithm).
    """

    classes: int = static(default=4)
    words: int = static(default=8)
    context: int = static(default=32)
    concentration: float = 0.3
    shared: bool = static(default=False)

    def check(self):
        """Raise unless there are classes, words and a positive concentration, and sequences are long enough to predict."""
        if self.classes < 1 or self.words < 1 or not self.concentration > 0:
            raise ValueError(
                f"Hmm needs classes and words of at least 1 and a positive concentration; got {self.classes}, {self.words} and "
                f"{self.concentration}."
            )
        check_length(self)

    @property
    def vocabulary(self) -> int:
        """Count the different words that the classes emit."""
        return self.words if self.shared else self.classes * self.words

    def _chain(self):
        return Markov(vocabulary=self.classes, context=self.context, concentration=self.concentration)

    def sample(self, key: jax.Array) -> Frozen:
        """Draw the chain of classes, and each class's order of words where words are shared. Consumes `key`."""
        if self.shared:
            orders = jax.vmap(lambda one: jax.random.permutation(one, self.words))(jax.random.split(key, self.classes))
            words = zipf(self.words)[orders]
        else:
            words = jnp.kron(jnp.eye(self.classes), zipf(self.words)[None, :])
        return Frozen(self._chain().sample(key), words)

    def example(self, key: jax.Array, frozen: Frozen) -> Example:
        """Draw classes along the chain and a word for each."""
        key_chain, key_words = jax.random.split(key)
        hidden = self._chain().example(key_chain, frozen.chain)
        states = jnp.concatenate([hidden.tokens[:1], hidden.targets])
        return next_token(jax.random.categorical(key_words, jnp.log(frozen.words)[states], axis=-1))

    def next_class(self, frozen: Frozen, test: Example) -> jax.Array:
        """Return (B,) class of the word that follows each held-out sequence, which the word gives away.

        Raises:
          ValueError: words are shared.
        """
        del frozen
        if self.shared:
            raise ValueError("words that classes share do not say their class; use Hmm(shared=False).")
        return test.targets[:, -1] // self.words

    def forward(self, frozen: Frozen, tokens: jax.Array) -> jax.Array:
        """Return (T, V) probabilities of each next word given all of (T,) tokens so far, Bayes' answer, by the forward
        algorithm.
        """

        def step(belief, token):
            belief = belief * frozen.words[:, token]
            belief = (belief / jnp.sum(belief)) @ frozen.chain  # of the next class
            belief = belief / jnp.sum(belief)
            return belief, belief @ frozen.words

        return jax.lax.scan(step, stationary(frozen.chain), tokens)[1]

    def entropy_floor(self, frozen: Frozen) -> jax.Array:
        """Return, in nats, the chain's entropy plus a word's within its class; of shared words the mean entropy of `forward`.

        The entropy of what is foreseen scatters far less over sequences than the loss of what came.
        """
        if self.shared:
            keys = jax.random.split(jax.random.key(0, impl="threefry2x32"), SEQUENCES)
            p = jax.vmap(lambda key: self.forward(frozen, self.example(key, frozen).tokens))(keys)
            return -jnp.mean(jnp.sum(jax.scipy.special.xlogy(p, p), axis=-1))
        p = zipf(self.words)
        return self._chain().entropy_floor(frozen.chain) - jnp.sum(p * jnp.log(p))


TINY = (Hmm(), Hmm(shared=True))
