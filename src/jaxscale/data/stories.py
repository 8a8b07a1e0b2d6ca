"""Very small stories with probes of grammar, of consistency, and of a two-step entailment."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxscale.data.world import Example, next_token
from jaxscale.records import record, static


class Probe(NamedTuple):
    """Pairs of continuations at the end of a prompt: the right one and a minimally wrong one."""

    tokens: jax.Array  # (n, T)
    at: jax.Array  # (n,) place of the last token that is read
    right: jax.Array  # (n,)
    wrong: jax.Array  # (n,)


@record
class Stories:
    """Tell stories: a name, a verb that agrees in number, an object; then who has the object; then what that makes them.

    A story: NAME VERB OBJECT . FILLER... NAME has OBJECT . NAME is STATE . with the name and object of the first sentence and
    STATE = state(object), a fixed table. Names are singular or plural (the first half are singular), and the verb, "has" and
    "is" agree. Filler sentences in between stretch the distance.

    Attributes:
      names: even. Static.
      objects: static.
      filler: filler tokens between the first sentence and the rest. Static.
      states: static.
      untold: one in so many pairs of name and object is never told, and probes are about these alone; 0: all are told, and
        probes are about any. What is right of them cannot have been memorised. Static.

    References:
      Eldan & Li 2023, TinyStories, arXiv:2305.07759 (order of emergence: grammar, consistency, entailment).
    """

    names: int = static(default=8)
    objects: int = static(default=12)
    filler: int = static(default=8)
    states: int = static(default=4)
    untold: int = static(default=0)

    verbs = 3  # kinds, each with a singular and a plural form
    fillers = 6

    def check(self):
        """Raise unless there is an even number of names, and enough of everything else."""
        if self.names % 2 or self.names < 4 or self.objects < 2 or self.states < 2 or self.filler < 0:
            raise ValueError(
                f"Stories needs an even number of names >= 4, objects >= 2, states >= 2 and filler >= 0; got {self.names}, "
                f"{self.objects}, {self.states} and {self.filler}."
            )
        if self.untold < 0 or self.untold == 1 or self.untold > self.objects:
            raise ValueError(f"Stories.untold must be 0 or 2 to objects = {self.objects}; got {self.untold}.")

    @property
    def vocabulary(self) -> int:
        """Count names, objects, states, verbs in two numbers, has / have, is / are, fillers, full stop."""
        return self.names + self.objects + self.states + 2 * self.verbs + 4 + self.fillers + 1

    @property
    def context(self) -> int:
        """Count the tokens read of a story; one less than its length."""
        return 4 + self.filler + 8 - 1

    def _base(self):
        ends = jnp.cumsum(jnp.array([0, self.names, self.objects, self.states, 2 * self.verbs, 4, self.fillers]))
        return {name: ends[i] for i, name in enumerate(("name", "object", "state", "verb", "aux", "filler", "stop"))}

    def sample(self, key: jax.Array) -> jax.Array:
        """Draw (objects,) the state that each object brings. Consumes `key`."""
        return jax.random.randint(key, (self.objects,), 0, self.states)

    def _kept_back(self, name):
        """(objects,) which objects this name is never told with."""
        return (name + jnp.arange(self.objects)) % self.untold == 0

    def _object(self, key, name, probed):
        if not self.untold:
            return jax.random.randint(key, (), 0, self.objects)
        allowed = self._kept_back(name) == probed
        return jax.random.categorical(key, jnp.where(allowed, 0.0, -jnp.inf))

    def _story(self, key, frozen, probed=False):
        key_name, key_verb, key_object, key_filler = jax.random.split(key, 4)
        base = self._base()
        name = jax.random.randint(key_name, (), 0, self.names)
        plural = name >= self.names // 2
        verb = base["verb"] + 2 * jax.random.randint(key_verb, (), 0, self.verbs) + plural
        thing = self._object(key_object, name, probed)
        fill = base["filler"] + jax.random.randint(key_filler, (self.filler,), 0, self.fillers)
        who, what, stop = base["name"] + name, base["object"] + thing, base["stop"]
        has, is_ = base["aux"] + plural, base["aux"] + 2 + plural
        first, later = (
            jnp.stack([who, verb, what, stop]),
            jnp.stack([who, has, what, stop, who, is_, base["state"] + frozen[thing], stop]),
        )
        return jnp.concatenate([first, fill, later]), plural, thing

    def example(self, key: jax.Array, frozen: jax.Array) -> Example:
        """Draw one story, every token to be predicted from those before it."""
        return next_token(self._story(key, frozen)[0])

    def entropy_floor(self, frozen: jax.Array) -> jax.Array:
        """Return the nats per token of verb, object and fillers, which are drawn; all else follows from what was read."""
        del frozen
        told = jnp.full(self.names, self.objects)
        if self.untold:
            told = jax.vmap(lambda name: jnp.sum(~self._kept_back(name)))(jnp.arange(self.names))
        return (jnp.log(self.verbs) + jnp.mean(jnp.log(told)) + self.filler * jnp.log(self.fillers)) / self.context

    def probes(self, key: jax.Array, frozen: jax.Array, count: int) -> dict[str, Probe]:
        """Draw `count` fresh stories for each of "grammar", "consistency" and "entailment", and say where to look in them."""
        story, plural, thing = jax.vmap(lambda k: self._story(k, frozen, probed=True))(jax.random.split(key, count))
        base, tokens, start = self._base(), story[:, :-1], 4 + self.filler

        def probe(place, wrong):
            at = jnp.full(count, place - 1)
            return Probe(tokens, at, story[:, place], wrong)

        other_thing = base["object"] + (thing + 1) % self.objects
        other_state = base["state"] + (frozen[thing] + 1) % self.states
        return {
            "grammar": probe(start + 1, base["aux"] + 1 - plural),
            "consistency": probe(start + 2, other_thing),
            "entailment": probe(start + 6, other_state),
        }


TINY = Stories()
