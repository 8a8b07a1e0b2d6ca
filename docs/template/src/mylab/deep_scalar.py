"""A product of scalars that learns a number: the smallest network with a plateau."""

import jax
import jax.numpy as jnp

from jaxscale import record, static


@record
class DeepScalar:
    """Learn the number 1 by a product of `depth` weights that all start at `scale`.

    Attributes:
      depth: number of weights. Static.
      scale: their common start, in (0, 1).

    References:
      Saxe, McClelland & Ganguli 2014, arXiv:1312.6120, section 2.
    """

    depth: int = static()
    scale: float

    units = {"loss": ("half the squared error", "1"), "product": ("product of the weights", "1")}

    def check(self):
        """Raise if the start is not between nothing and the target."""
        if not 0 < self.scale < 1:
            raise ValueError(f"DeepScalar.scale must lie in (0, 1); got {self.scale}.")

    def sample(self, key):
        """Draw nothing: there is no disorder."""
        return ()

    def init(self, key, data):
        """Return the weights at their start, with a spread of one part in a thousand. Consumes `key`."""
        return self.scale * (1 + 1e-3 * jax.random.normal(key, (self.depth,)))

    def loss(self, w, data, key=None):
        """Return half the squared error, ()."""
        return (jnp.prod(w) - 1) ** 2 / 2

    def observe(self, w, data):
        """Return the loss and the product."""
        return {"loss": self.loss(w, data), "product": jnp.prod(w)}


TINY = DeepScalar(depth=2, scale=0.1)
