"""Label noise: any world, some of whose targets are replaced at random in training, and none in what is held out."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxscale.data.relabel import Relabelling
from jaxscale.data.world import Example
from jaxscale.records import record


@record
class NoisyLabels:
    """The world, with each counted target replaced by an even draw over the vocabulary with chance `share`.

    Attributes:
      world: any world.
      share: of replaced targets. Traced.
    """

    world: Any = Relabelling()
    share: float = 0.1

    def check(self):
        """Raise unless the share of replaced targets lies in 0..1."""
        if not 0 <= self.share <= 1:
            raise ValueError(f"NoisyLabels.share must lie in 0..1; got {self.share}.")

    @property
    def vocabulary(self) -> int:
        """Return the world's vocabulary."""
        return self.world.vocabulary

    @property
    def context(self) -> int:
        """Return the world's context."""
        return self.world.context

    def sample(self, key: jax.Array) -> Any:
        """Draw the world's frozen disorder. Consumes `key`."""
        return self.world.sample(key)

    def example(self, key: jax.Array, frozen: Any) -> Example:
        """Draw one of the world's sequences and replace some of its targets."""
        key_world, key_hit, key_new = jax.random.split(key, 3)
        clean = self.world.example(key_world, frozen)
        hit = jax.random.bernoulli(key_hit, self.share, clean.targets.shape) & (clean.weight > 0)
        new = jax.random.randint(key_new, clean.targets.shape, 0, getattr(self.world, "answers", self.vocabulary))
        return clean._replace(targets=jnp.where(hit, new, clean.targets))

    def __getattr__(self, name: str) -> Any:
        """The world's own, where it has them: what is held out is clean, and so are its classes and the least loss on it."""
        if name in ("held_out", "next_class", "entropy_floor", "answers", "spell", "read"):
            return getattr(self.world, name)
        raise AttributeError(f"NoisyLabels has no {name}")

    def unseen(self, key: jax.Array, frozen: Any) -> Example:
        """Draw one clean sequence, for the held-out loss."""
        return getattr(self.world, "unseen", self.world.example)(key, frozen)


TINY = NoisyLabels(world=Relabelling(classes=6), share=0.5)
