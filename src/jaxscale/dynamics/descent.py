"""Descent on a model's loss: a rule, a schedule, a way to take the gradient, a batching, rates by role."""

import warnings
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from jaxscale.models.language.tensor_roles import STATE, adam_rates, roles
from jaxscale.records import check, record, static, traced

STATE_RATE = 1e-3


class State(NamedTuple):
    """The parameters, and the memory of the rule that moves them."""

    params: Any
    memory: Any  # the rule's own state


@record
class Optax:
    """An optax function of the learning rate, as a rule.

    Attributes:
      function: of the rate (a number, or a function of the step), giving an optax transformation. Static.
    """

    function: Any = static()

    def optimizer(self, rate: Any) -> optax.GradientTransformation:
        """Return the optax transformation at a rate, which may be traced."""
        return self.function(rate)


def as_rule(rule: Any) -> Any:
    """Return `rule` if it is one, and an optax function of the rate wrapped as `Optax`."""
    return rule if hasattr(rule, "optimizer") or not callable(rule) else Optax(function=rule)


@record
class Descent:
    """Descent on a model's loss; everything numeric is traced, so that sweeping it compiles nothing.

    With the defaults this is full-batch gradient descent. `jaxscale.sgd` is the constructor for minibatches at a temperature.

    Attributes:
      model: what is learned.
      learning_rate: step size eta at the peak of the schedule, in units of parameters squared over loss.
      rule: a record with `optimizer(rate)`, see `jaxscale.dynamics.rules`, or a function of the rate that gives an optax
        transformation, e.g. `optax.adam`. It is built where it is used, so the rate may be traced.
      schedule: function of the step giving a factor of the rate, see `jaxscale.dynamics.schedules`; None for a constant rate.
      gradient: how the gradient is taken, see `jaxscale.dynamics.gradients`; None for the plain one.
      batching: what a step's gradient is taken on, see `jaxscale.dynamics.batching`; None for all of the data.
      mup: multiply each tensor's rate by its muP factor for Adam, relative to this width; 0 for equal rates. A weight decay
        goes with the rate, one that is independent of the peak as well. Static.

    Poles and time steps of state spaces move at `STATE_RATE` at most: they drift else (Gu et al. 2022, arXiv:2206.11893).
    """

    model: Any
    learning_rate: float
    rule: Any = traced(convert=as_rule, default=Optax(function=optax.sgd))
    schedule: Any = None
    gradient: Any = None
    batching: Any = None
    mup: int = static(default=0)

    def check(self) -> None:
        """Raise if the rate is not positive or a part is of the wrong kind; warn past the stability limit of plain descent."""
        if not hasattr(self.rule, "optimizer"):
            raise TypeError(
                "Descent.rule must be a rule such as AdamW(), or a function of the rate such as optax.adam (and not "
                f"optax.adam(0.1)); got {type(self.rule).__name__}."
            )
        for name in ("schedule", "gradient", "batching"):
            if (part := getattr(self, name)) is not None and not callable(part):
                raise TypeError(f"Descent.{name} must be a record that can be called, or None; got {part!r}.")
        if self.batching is not None:
            check(self.batching)  # first: the rate of `sgd` is the temperature times the batch
            self.batching.check_model(self.model)
        if not self.learning_rate > 0:
            of = "" if self.batching is None else " Of `sgd` it is the temperature times the batch."
            raise ValueError(f"Descent.learning_rate must be positive; got {self.learning_rate}.{of}")
        self._check_mup(getattr(self.model, "network", None))
        plain = isinstance(self.rule, Optax) and self.rule.function is optax.sgd and self.batching is None
        if plain and hasattr(self.model, "stability_limit"):
            warn_unstable("Descent", self.learning_rate, self.model.stability_limit())

    def _check_mup(self, network: Any) -> None:
        wanted = network.mup * network.base if hasattr(network, "mup") else self.mup
        if wanted != self.mup:
            raise ValueError(
                f"muP is of the network and of the rates at once: with {type(network).__name__}(mup={network.mup}, "
                f"base={network.base}) use Descent(mup={wanted}); got {self.mup}."
            )

    def optimizer(self) -> optax.GradientTransformation:
        """Return the optax transformation, rates by role included."""
        rate = self.learning_rate if self.schedule is None else lambda count: self.learning_rate * self.schedule(count)
        return optax.chain(self.rule.optimizer(rate), optax.stateless(self._by_role))

    def _by_role(self, updates: Any, params: Any) -> Any:
        if self.mup:
            tied = getattr(getattr(self.model, "network", None), "tied", False)
            updates = jax.tree.map(jnp.multiply, updates, adam_rates(params, self.mup, tied=tied))
        slow = jnp.minimum(1.0, STATE_RATE / self.learning_rate)
        return jax.tree.map(lambda u, r: u * slow if r.kind == STATE else u, updates, roles(params))

    def sample(self, key: jax.Array) -> Any:
        """Draw the model's data. Consumes `key`."""
        return self.model.sample(key)

    def init(self, key: jax.Array, data: Any) -> State:
        """Draw the model's parameters, with a fresh memory of the rule. Consumes `key`."""
        params = self.model.init(key, data)
        return State(params, self.optimizer().init(params))

    def step(self, key: jax.Array, state: State, data: Any) -> State:
        """Take one step; `key` goes to the batching, if there is one, and to the model's loss."""
        if self.batching is not None:
            key, data = self.batching(self.model, data, key)

        def loss(params: Any, key: jax.Array) -> jax.Array:
            return self.model.loss(params, data, key)

        grads = jax.grad(loss)(state.params, key) if self.gradient is None else self.gradient(loss, state.params, key)
        updates, memory = self.optimizer().update(grads, state.memory, state.params)
        return State(optax.apply_updates(state.params, updates), memory)

    def observe(self, state: State, data: Any) -> dict[str, jax.Array]:
        """Return the model's observables."""
        return self.model.observe(state.params, data)


def warn_unstable(name: str, rate: float, limit: float) -> None:
    """Warn that plain descent at `rate` will not converge."""
    if rate >= limit:
        warnings.warn(
            f"{name}.learning_rate={rate:.4g} is at or beyond the stability limit {limit:.4g}: descent will not converge "
            f"(and may diverge to NaN). Stay below {limit:.4g}.",
            stacklevel=2,
        )


def TINY() -> tuple[Descent, ...]:
    """Return the instances that the contract tests check."""
    from jaxscale.dynamics.rules.adamw import AdamW
    from jaxscale.models.matrix_sensing import SymmetricSensing
    from jaxscale.models.perceptron import TeacherStudent

    student = TeacherStudent(d=4, alpha=2.0, alpha_max=3.0)
    return (
        Descent(model=SymmetricSensing(n=4, rank=1, k=2, alpha=0.1), learning_rate=0.1, rule=optax.adam),
        Descent(model=student, learning_rate=0.01, rule=AdamW(decay=0.1)),
    )
