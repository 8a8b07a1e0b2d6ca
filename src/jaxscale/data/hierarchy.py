"""The random hierarchy model: classes that expand into features, level by level, by random rules with synonyms."""

import jax
import jax.numpy as jnp

from jaxscale.data.world import Example, last_only, next_token
from jaxscale.records import record, static


@record
class Hierarchy:
    """A class expands into s features of v, each of these into s more, L times; every feature has m productions (synonyms).

    Within a level no two features share a production, so that every string has one parse.

    Attributes:
      features: v. Static.
      classes: n_c, at most v. Static.
      synonyms: m, at most v^(s - 1). Static.
      branching: s. Static.
      levels: L. Static.
      predict: "class" at the end of the string, or "next" token. Static.

    References:
      Cagnetta et al. 2023, arXiv:2307.02129; Cagnetta & Wyart 2024, arXiv:2406.00048 (next token).
    """

    features: int = static(default=8)
    classes: int = static(default=8)
    synonyms: int = static(default=4)
    branching: int = static(default=2)
    levels: int = static(default=2)
    predict: str = static(default="class")

    def check(self):
        """Raise unless the grammar exists and has one parse for every string."""
        if self.synonyms > self.features ** (self.branching - 1):
            raise ValueError(
                f"Hierarchy.synonyms must not exceed v^(s - 1) = {self.features ** (self.branching - 1)}, or productions are "
                f"shared; got {self.synonyms}."
            )
        if not 2 <= self.classes <= self.features or min(self.levels, self.synonyms) < 1 or self.branching < 2:
            raise ValueError(
                f"Hierarchy needs 2 <= classes <= features, levels >= 1, synonyms >= 1 and branching >= 2; got "
                f"classes={self.classes}, features={self.features}, levels={self.levels}, synonyms={self.synonyms}, "
                f"branching={self.branching}."
            )
        if self.predict not in ("class", "next"):
            raise ValueError(f"Hierarchy.predict must be 'class' or 'next'; got {self.predict!r}.")

    @property
    def vocabulary(self) -> int:
        """Return v, the number of features."""
        return self.features

    @property
    def answers(self) -> int:
        """Count what may be asked for: the classes, or the features where the next token is predicted."""
        return self.classes if self.predict == "class" else self.features

    @property
    def context(self) -> int:
        """Return the tokens read: s^L, or one less when the next token is predicted."""
        return self.branching**self.levels - (self.predict == "next")

    def sample_complexity(self) -> float:
        """Return P* = n_c m^L, the training points that deep networks need to know the classes (their section 3)."""
        return self.classes * self.synonyms**self.levels

    def sample(self, key: jax.Array) -> jax.Array:
        """Draw the rules, (L, v, m, s): m v of the v^s strings of each level, dealt out at random without repeats."""

        def level(key):
            count = self.features**self.branching
            drawn = jax.random.permutation(key, count)[: self.features * self.synonyms]
            digits = [(drawn // self.features**i) % self.features for i in range(self.branching)]
            return jnp.stack(digits, axis=-1).reshape(self.features, self.synonyms, self.branching)

        return jax.vmap(level)(jax.random.split(key, self.levels)).astype(jnp.int32)

    def example(self, key: jax.Array, frozen: jax.Array) -> Example:
        """Draw a class and expand it, by a random one of its rules at every symbol, into a string."""
        key_class, key_rules = jax.random.split(key)
        label = jax.random.randint(key_class, (), 0, self.classes)
        string = label[None]
        for i, one in enumerate(jax.random.split(key_rules, self.levels)):
            which = jax.random.randint(one, string.shape, 0, self.synonyms)
            string = frozen[i][string, which].reshape(-1)
        return last_only(string, label) if self.predict == "class" else next_token(string)

    def entropy_floor(self, frozen: jax.Array) -> jax.Array:
        """Return 0 for classes, since a string has one parse; for next tokens H(string) less H(first token), nats per token.

        A string has one derivation, a class and one of m rules for each symbol that is expanded, so H(string) is their entropy.
        """
        if self.predict == "class":
            return jnp.array(0.0)
        expanded = (self.branching**self.levels - 1) // (self.branching - 1)  # 1 + s + s^2 + ...
        string = jnp.log(self.classes) + expanded * jnp.log(self.synonyms)
        first = jnp.where(jnp.arange(self.features) < self.classes, 1 / self.classes, 0.0)
        for rules in frozen:
            first = jnp.zeros(self.features).at[rules[:, :, 0]].add(first[:, None] / self.synonyms)
        return (string + jnp.sum(jax.scipy.special.xlogy(first, first))) / self.context


TINY = (Hierarchy(levels=3), Hierarchy(predict="next"))
