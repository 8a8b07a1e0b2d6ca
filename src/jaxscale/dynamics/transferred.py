"""Training that begins where training on something else ended: pre-training and transfer in one run, and one program."""

from collections.abc import Callable
from typing import Any

import jax

from jaxscale.models.language.tensor_roles import INPUT, KINDS, READOUT, Role, check_alike, roles
from jaxscale.protocol import advance, definitions
from jaxscale.records import record, static


@record
class Transferred:
    """Run the system from parameters that `source` has after `steps` of training, but for the roles that begin afresh.

    With `grow` the source may be smaller: `grow=lambda p: grown.widened(network, p, 2)[1], fresh=()` goes on as a network twice
    as wide.

    Attributes:
      system: what is run and observed; its state has `params`.
      source: what is trained first, of the same architecture. Its disorder is drawn within `init`, for each run its own, unless
        `shared`.
      steps: of the source; 0 begins from scratch. Static.
      fresh: roles of tensors that are not transferred: embeddings and readout know the source's tokens. Static.
      shared: train the source on the system's own disorder: one language, and not two of a kind. Static.
      grow: makes the system's parameters of the source's, see `models.language.grown`; None where they are alike. Static.

    References:
      Papadimitriou & Jurafsky 2020, arXiv:2004.14601; Yao et al. 2022, arXiv:2203.13344 (corpus transfer).
    """

    system: Any
    source: Any
    steps: int = static(default=100)
    fresh: tuple[str, ...] = static(default=(INPUT, READOUT))
    shared: bool = static(default=False)
    grow: Callable[[Any], Any] | None = static(default=None)

    @property
    def units(self) -> dict[str, tuple[str, str]]:
        """Return {observable: (meaning, unit)} of the system."""
        return definitions(self.system)

    def check(self):
        """Raise unless `steps` is a count, `fresh` names roles, and what is kept of the source means the same here."""
        if self.steps < 0 or self.steps != int(self.steps):
            raise ValueError(
                f"Transferred.steps must be a whole number, not negative; got {self.steps}. 0 begins from scratch."
            )
        if isinstance(self.fresh, str) or set(self.fresh) - set(KINDS):
            raise ValueError(f"Transferred.fresh must be a tuple of roles among {KINDS}; got {self.fresh!r}.")
        spelt = [_spelling(system) for system in (self.source, self.system)]
        if self.steps and INPUT not in self.fresh and None not in spelt and spelt[0] != spelt[1]:
            raise ValueError(
                f"Transferred keeps the source's embeddings, and its tokens spell {spelt[0][:8]!r}... where the system's spell "
                f"{spelt[1][:8]!r}...; give CharacterText(letters=) the same to both, or begin embeddings afresh: "
                f"fresh=('{INPUT}', '{READOUT}')."
            )

    def sample(self, key: jax.Array) -> Any:
        """Draw the system's data. Consumes `key`."""
        return self.system.sample(key)

    def init(self, key: jax.Array, data: Any) -> Any:
        """Train the source, and return the system's state with its parameters in it; the memory of the rule is fresh."""
        own = self.system.init(key, data)
        if not self.steps:
            return own
        key_data, key_init, key_step = jax.random.split(jax.random.fold_in(key, 1), 3)
        seen = data if self.shared else self.source.sample(key_data)
        before = self.source.init(key_init, seen)
        trained = advance(self.source, key_step, before, seen, (0, self.steps)).params
        trained = self.grow(trained) if self.grow else trained
        if isinstance(trained, tuple):
            raise TypeError("Transferred.grow must give parameters; got a tuple. Of `grown.widened` and its like take [1].")
        what = "Transferred.source and system must have the same parameters; build both on the same network, or give grow."
        check_alike(trained, own.params, what)
        kinds = roles(own.params)
        merged = jax.tree.map(
            lambda role, new, old: old if role.kind in self.fresh else new, kinds, trained, own.params,
            is_leaf=lambda leaf: isinstance(leaf, Role),
        )  # fmt: skip
        return own._replace(params=merged)

    def step(self, key: jax.Array, state: Any, data: Any) -> Any:
        """Take a step of the system."""
        return self.system.step(key, state, data)

    def observe(self, state: Any, data: Any) -> dict[str, jax.Array]:
        """Return the system's observables."""
        return self.system.observe(state, data)


def _spelling(system):
    """What the tokens of a language model's world stand for; None where they stand for nothing."""
    world: Any = getattr(getattr(system, "model", None), "world", None)
    return world.spell(range(world.vocabulary)) if hasattr(world, "spell") else None


def TINY() -> Transferred:
    """Return the instance that the contract tests check."""
    from jaxscale.dynamics import descent

    return Transferred(system=descent.TINY()[1], source=descent.TINY()[1], steps=2)
