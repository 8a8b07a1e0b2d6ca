"""Facts in memory against facts in context: which wins when they disagree depends on how often each was seen."""

import jax
import jax.numpy as jnp

from jaxscale.data.world import Example, last_only, zipf
from jaxscale.records import record, static


@record
class FactConflict:
    """Three-token prompts [x y e]: recall the attribute of e, or copy y, which stands beside e in the context.

    Streams: [pad pad e] -> e's own attribute; with chance `copying` [n b n] -> b for entities n that have no fact, with
    `label_noise` of the b drawn again from all; and with chance `conflict`, of the remembered ones, a misleading context
    [e b e] -> e's own attribute. Asked later: [e b e] with b not e's own: is it b? A padded context [pad b e] would mislead
    nobody: it can be told from what is asked, and memory does not win by it.

    Attributes:
      entities: with facts, frequencies ~ rank^-exponent; as many novel ones have none. Static.
      attributes: static.
      conflict: chance of misleading context, the order parameter. Traced.
      exponent: of the entities' frequencies. Traced.
      copying: share of the copy stream.
      label_noise: of the copy stream.
      misled: the misleading contexts' entities have frequencies ~ rank^-(exponent * misled): 1, and frequent entities are also
        taught more often what the context is worth; 0, and all are as often. Traced.

    References:
      Yu, Merullo & Pavlick 2023, Characterizing mechanisms for factual recall, arXiv:2310.15910.
    """

    entities: int = static(default=64)
    attributes: int = static(default=32)
    conflict: float = 0.006
    exponent: float = 1.2
    copying: float = 0.3
    label_noise: float = 0.3
    misled: float = 1.0

    context = 3

    def check(self):
        """Raise unless there are facts, chances lie in 0..1 and the exponent is not negative."""
        if self.entities < 1 or self.attributes < 2:
            raise ValueError(
                f"FactConflict needs entities >= 1 and attributes >= 2; got {self.entities} and {self.attributes}."
            )
        if not self.exponent >= 0:
            raise ValueError(
                f"FactConflict.exponent must not be negative; got {self.exponent}. 0 makes all entities as frequent."
            )
        for name in ("conflict", "copying", "label_noise", "misled"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"FactConflict.{name} must lie in 0..1; got {getattr(self, name)}.")

    @property
    def vocabulary(self) -> int:
        """Count attributes, entities with facts, as many novel ones, and the padding token."""
        return self.attributes + 2 * self.entities + 1

    def sample(self, key: jax.Array) -> jax.Array:
        """Draw (entities,) attributes, one for each entity. Consumes `key`."""
        return jax.random.randint(key, (self.entities,), 0, self.attributes)

    def example(self, key: jax.Array, frozen: jax.Array) -> Example:
        """Draw one prompt from one of the streams, with its answer at the last place."""
        keys = jax.random.split(key, 7)
        entity = jax.random.categorical(keys[0], jnp.log(zipf(self.entities, self.exponent)))
        novel = jax.random.randint(keys[1], (), 0, self.entities)
        shown = jax.random.randint(keys[2], (), 0, self.attributes)
        noisy = jax.random.bernoulli(keys[3], self.label_noise)
        copied = jnp.where(noisy, jax.random.randint(keys[4], (), 0, self.attributes), shown)
        of_context = jax.random.categorical(  # the same draw where frequencies are the same
            keys[0], jnp.log(zipf(self.entities, self.exponent * self.misled))
        )
        copy, mislead = jax.random.bernoulli(keys[5], self.copying), jax.random.bernoulli(keys[6], self.conflict)
        entity = jnp.where(mislead, of_context, entity)
        pad, e, n = self._pad(), self.attributes + entity, self.attributes + self.entities + novel
        remembered = jnp.stack([jnp.where(mislead, e, pad), jnp.where(mislead, shown, pad), e])
        tokens = jnp.where(copy, jnp.stack([n, shown, n]), remembered)
        return last_only(tokens, jnp.where(copy, copied, frozen[entity]))

    def entropy_floor(self, frozen: jax.Array) -> jax.Array:
        """Return the nats that label noise leaves of the copies, right in 1 - noise + noise / attributes of the cases."""
        del frozen
        other = self.label_noise / self.attributes
        own = 1 - self.label_noise + other
        xlogx = jax.scipy.special.entr
        return self.copying * (xlogx(own) + (self.attributes - 1) * xlogx(other))

    def _pad(self):
        return self.vocabulary - 1

    def conflicts(self, frozen: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Return [e b e] for every entity and every b that is not its own: (entities, attributes - 1, 3) tokens, and the b."""
        entity = jnp.arange(self.entities)[:, None]
        shown = (frozen[:, None] + jnp.arange(1, self.attributes)[None, :]) % self.attributes
        e = jnp.broadcast_to(self.attributes + entity, shown.shape)
        return jnp.stack([e, shown, e], axis=-1), shown


TINY = FactConflict()
