"""A wrapper that remembers the start, and says how far parameters and what the network computes have moved."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxscale.protocol import definitions
from jaxscale.records import record


class State(NamedTuple):
    """The wrapped system's state, and the parameters it began with."""

    inner: Any
    start: Any


@record
class Tracked:
    """Wrap a system and observe, beside what it observes, "distance" of the parameters from their start, "relative_distance",
    and, where the model offers `activations(params, data)`, "moved_SITE", the root mean square change of each of these.

    Attributes:
      system: whose state has `params`, and whose `model` is what is tracked.
    """

    system: Any

    @property
    def units(self) -> dict[str, tuple[str, str]]:
        """Return {observable: (meaning, unit)} of the wrapped system and of the distances."""
        ours = {
            "distance": ("Euclidean distance of the parameters from their start", "parameter units"),
            "relative_distance": ("the same over the start's norm", "1"),
        }
        return definitions(self.system) | ours

    def sample(self, key: jax.Array) -> Any:
        """Draw the wrapped system's data. Consumes `key`."""
        return self.system.sample(key)

    def init(self, key: jax.Array, data: Any) -> State:
        """Return the wrapped system's state, and a copy of its parameters. Consumes `key`."""
        inner = self.system.init(key, data)
        return State(inner, inner.params)

    def step(self, key: jax.Array, state: State, data: Any) -> State:
        """Take a step of the wrapped system; the start stays."""
        return State(self.system.step(key, state.inner, data), state.start)

    def observe(self, state: State, data: Any) -> dict[str, jax.Array]:
        """Return what the wrapped system observes, and how far it has come."""
        params, start = state.inner.params, state.start
        distance = _norm(jax.tree.map(jnp.subtract, params, start))
        observables = {"distance": distance, "relative_distance": distance / _norm(start)}
        model = self.system.model
        if hasattr(model, "activations"):
            now, then = model.activations(params, data), model.activations(start, data)
            observables |= {f"moved_{name}": jnp.sqrt(jnp.mean((now[name] - then[name]) ** 2)) for name in now}
        return self.system.observe(state.inner, data) | observables


def _norm(tree):
    return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)))


def TINY() -> Tracked:
    """Return the instance that the contract tests check."""
    from jaxscale.dynamics import descent

    return Tracked(system=descent.TINY()[1])
