"""In-context relabelling: a new class's label stands earlier in the sequence, and nowhere else. Only copying solves it."""

import jax
import jax.numpy as jnp

from jaxscale.data.world import Example, last_only
from jaxscale.records import record, static


@record
class Relabelling:
    """Episodes x1 l1 x2 l2 q: two of `classes` with labels drawn afresh for every sequence; predict the label of q, one of the
    two.

    Tokens 0 .. classes - 1 are classes, the next `labels` tokens are labels.

    Attributes:
      classes: static.
      labels: static, at least 2.

    References:
      Singh et al. 2024, What needs to go right for an induction head?, arXiv:2404.07129; Reddy 2024, arXiv:2312.03002.
    """

    classes: int = static(default=32)
    labels: int = static(default=5)

    context = 5

    def check(self):
        """Raise unless there are two classes and two labels."""
        if self.classes < 2 or self.labels < 2:
            raise ValueError(f"Relabelling needs 2 classes and 2 labels; got {self.classes} and {self.labels}.")

    @property
    def vocabulary(self) -> int:
        """Count the classes and the labels."""
        return self.classes + self.labels

    def sample(self, key: jax.Array) -> tuple[()]:
        """Draw nothing: no disorder is frozen."""
        del key
        return ()

    def example(self, key: jax.Array, frozen: tuple[()]) -> Example:
        """Draw one episode: two labelled classes with different labels, then one of them as the query."""
        key_first, key_shift, key_label, key_other, key_which = jax.random.split(key, 5)
        first = jax.random.randint(key_first, (), 0, self.classes)
        second = (first + jax.random.randint(key_shift, (), 1, self.classes)) % self.classes
        label = jax.random.randint(key_label, (), 0, self.labels)
        other = (label + jax.random.randint(key_other, (), 1, self.labels)) % self.labels
        asked_first = jax.random.bernoulli(key_which)
        query, answer = jnp.where(asked_first, first, second), jnp.where(asked_first, label, other)
        shown = [first, self.classes + label, second, self.classes + other, query]
        return last_only(jnp.stack(shown), self.classes + answer)

    def entropy_floor(self, frozen: tuple[()]) -> jax.Array:
        """Return 0: the answer stands in the sequence."""
        return jnp.array(0.0)


TINY = Relabelling(classes=6)
