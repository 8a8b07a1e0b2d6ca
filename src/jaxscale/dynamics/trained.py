"""Training as it is done: a rule with its hyper-parameters, a schedule, a way to take the gradient, rates by role."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxscale.dynamics.gradients import Plain
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.dynamics.schedules import CONSTANT
from jaxscale.models.language.roles import STATE, adam_rates, roles
from jaxscale.models.perceptron import TeacherStudent
from jaxscale.record import record, static

STATE_RATE = 1e-3


class State(NamedTuple):
    """What the next step needs."""

    params: Any
    memory: Any  # the rule's


@record
class Trained:
    """Descent on a model's loss by a rule; everything numeric is traced, so that sweeping it compiles nothing.

    Attributes:
      model: what is learned.
      learning_rate: at the peak of the schedule.
      rule: see `jaxscale.dynamics.rules`.
      schedule: see `jaxscale.dynamics.schedules`.
      gradient: see `jaxscale.dynamics.gradients`.
      mup: multiply each tensor's rate by its muP factor for Adam, relative to this width; 0 for equal rates. A weight decay
        goes with the rate, one that is independent of the peak as well. Static.

    Poles and time steps of state spaces move at `STATE_RATE` at most: they drift else (Gu et al. 2022, arXiv:2206.11893).
    """

    model: Any
    learning_rate: float
    rule: Any = AdamW()
    schedule: Any = CONSTANT
    gradient: Any = Plain()
    mup: int = static(default=0)

    def check(self):
        """A positive rate, and parts that are parts."""
        if not self.learning_rate > 0:
            raise ValueError(f"Trained.learning_rate must be positive; got {self.learning_rate}.")
        if not hasattr(self.rule, "optimizer"):
            raise TypeError(
                f"Trained.rule must be a rule such as AdamW(), with optimizer(rate); got {type(self.rule).__name__}. "
                "For an optax function use Descent."
            )
        self._check_mup(getattr(self.model, "network", None))
        for name in ("schedule", "gradient"):
            if not callable(getattr(self, name)):
                raise TypeError(f"Trained.{name} must be a record that can be called; got {getattr(self, name)!r}.")

    def _check_mup(self, network):
        wanted = network.mup * network.base if hasattr(network, "mup") else self.mup
        if wanted != self.mup:
            raise ValueError(
                f"muP is of the network and of the rates at once: with {type(network).__name__}(mup={network.mup}, "
                f"base={network.base}) use Trained(mup={wanted}); got {self.mup}."
            )

    def optimizer(self) -> optax.GradientTransformation:
        """The optax transformation, rates by role included."""
        rule = self.rule.optimizer(lambda count: self.learning_rate * self.schedule(count))
        return optax.chain(rule, optax.stateless(self._by_role))

    def _by_role(self, updates, params):
        if self.mup:
            tied = getattr(getattr(self.model, "network", None), "tied", False)
            updates = jax.tree.map(jnp.multiply, updates, adam_rates(params, self.mup, tied=tied))
        slow = jnp.minimum(1.0, STATE_RATE / self.learning_rate)
        return jax.tree.map(lambda u, r: u * slow if r.kind == STATE else u, updates, roles(params))

    def sample(self, key: jax.Array) -> Any:
        """The model's data."""
        return self.model.sample(key)

    def init(self, key: jax.Array, data: Any) -> State:
        """The model's parameters and a fresh memory."""
        params = self.model.init(key, data)
        return State(params, self.optimizer().init(params))

    def step(self, key: jax.Array, state: State, data: Any) -> State:
        """One update; `key` goes to the model's loss."""
        grads = self.gradient(lambda params, key: self.model.loss(params, data, key), state.params, key)
        updates, memory = self.optimizer().update(grads, state.memory, state.params)
        return State(optax.apply_updates(state.params, updates), memory)

    def observe(self, state: State, data: Any) -> dict[str, jax.Array]:
        """What the model observes."""
        return self.model.observe(state.params, data)


TINY = Trained(model=TeacherStudent(d=4, alpha=2.0, alpha_max=3.0), learning_rate=0.01, rule=AdamW(decay=0.1))
