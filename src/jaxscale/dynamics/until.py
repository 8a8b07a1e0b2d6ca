"""Stop rules: freeze a run once it is over, while the other runs of the batch go on."""

import dataclasses
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxscale.protocol import definitions, has_stopped
from jaxscale.records import record, static


class Frozen(NamedTuple):
    """The wrapped state, and when it stopped."""

    inner: Any
    stopped: jax.Array  # (), bool
    steps: jax.Array  # (), int32, steps taken before stopping


@record
class Until:
    """Freeze a run once `when(system, state, data)` holds. Records after the stop repeat the frozen values.

    `stopped` and `steps` become observables, so a first-passage time is one too; a wrapped system that reports its own
    `steps` (an event-driven one) keeps them. A run with `stopped` False at the last
    recorded step is censored: its `steps` is a lower limit, never a finishing time.

    Attributes:
      system: what moves.
      when: function (system, state, data) -> (), bool; see `below` and `above`. Static.
      every: steps of `system` between two looks at `when`, which then also is one step of the wrapped system. Use it
        when looking costs more than moving: a minibatch step against a full training set. `steps` counts inner steps.
        Static.
    """

    system: Any
    when: Any = static()
    every: int = static(default=1)

    def check(self):
        """Raise unless `when` is a function and the stride positive."""
        if not callable(self.when):
            raise TypeError(
                f"Until.when must be a function (system, state, data) -> bool, e.g. below('loss', 1e-6); got {self.when!r}."
            )
        if self.every < 1:
            raise ValueError(f"Until.every must be at least 1 step; got {self.every}.")

    @property
    def units(self) -> dict[str, tuple[str, str]]:
        """Return {observable: (meaning, unit)} of the wrapped system and of the stop."""
        ours = {
            "stopped": ("the stop rule has been met; False at the end means censored", "1"),
            "steps": ("steps taken before stopping", "steps"),
        }
        return ours | definitions(self.system) | {"stopped": ours["stopped"]}

    def sample(self, key: jax.Array) -> Any:
        """Draw the wrapped system's data. Consumes `key`."""
        return self.system.sample(key)

    def init(self, key: jax.Array, data: Any) -> Frozen:
        """Return the wrapped system's start, not stopped unless a rule already holds there. Consumes `key`."""
        inner = self.system.init(key, data)
        return Frozen(inner, self._over(inner, data), jnp.array(0, jnp.int32))

    def step(self, key: jax.Array, state: Frozen, data: Any) -> Frozen:
        """Take `every` inner steps, or none once stopped."""
        if self.every == 1:
            new = self.system.step(key, state.inner, data)
        else:
            new = jax.lax.fori_loop(
                0, self.every, lambda i, s: self.system.step(jax.random.fold_in(key, i), s, data), state.inner
            )
        inner = jax.tree.map(lambda old, new: jnp.where(state.stopped, old, new), state.inner, new)
        steps = state.steps + jnp.where(state.stopped, 0, self.every).astype(jnp.int32)
        return Frozen(inner, state.stopped | self._over(inner, data), steps)

    def _over(self, inner, data):
        return jnp.asarray(self.when(self.system, inner, data)) | has_stopped(self.system, inner, data)

    def stopped(self, state: Frozen, data: Any) -> jax.Array:
        """Say whether the run is over, by this rule or the wrapped system's own, (), bool."""
        return state.stopped

    def observe(self, state: Frozen, data: Any) -> dict[str, jax.Array]:
        """Return what the wrapped system observes, `stopped` and `steps`."""
        return {"steps": state.steps, **self.system.observe(state.inner, data), "stopped": state.stopped}


@dataclasses.dataclass(frozen=True)
class Threshold:
    """A stop rule on an observable; made by `below` and `above`. Compares by value, so equal rules share a program."""

    name: str
    level: float
    sign: int

    def __call__(self, system: Any, state: Any, data: Any) -> jax.Array:
        """Say whether the level has been passed, (), bool. What else the system observes is not computed."""
        observables = system.observe(state, data)
        if self.name not in observables:
            raise ValueError(
                f"Stop rule on '{self.name}', not observed by {type(system).__name__}; choose from {sorted(observables)}."
            )
        return self.sign * observables[self.name] < self.sign * self.level


def below(name: str, level: float) -> Threshold:
    """Return the rule that stops a run once the observable `name` has fallen below `level`."""
    return Threshold(name, level, 1)


def above(name: str, level: float) -> Threshold:
    """Return the rule that stops a run once the observable `name` has risen above `level`."""
    return Threshold(name, level, -1)


fitted = below("unfitted", 0.5)  # no training point is short of its margin


def TINY() -> Until:
    """Return the instance that the contract tests check."""
    from jaxscale.dynamics.batching import sgd
    from jaxscale.models.perceptron import Perceptron

    return Until(system=sgd(Perceptron(d=4, alpha=3.0, alpha_max=4.0), temperature=0.1, batch=2), when=fitted, every=2)
