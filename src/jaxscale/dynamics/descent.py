"""Full-batch gradient descent by any optax rule."""

import warnings
from typing import Any, NamedTuple

import jax
import optax

from jaxscale.models.matrix_sensing import SymmetricSensing
from jaxscale.record import record, static


class State(NamedTuple):
    """What the next step needs."""

    params: Any
    memory: Any  # the optimiser's own state


@record
class Descent:
    """Gradient descent on a model's loss.

    Attributes:
      model: what is learned.
      learning_rate: step size eta, in units of parameters squared over loss.
      rule: function of the learning rate giving an optax transformation. Static, and built where it is used, so the
        rate may be traced.
    """

    model: Any
    learning_rate: float
    rule: Any = static(default=optax.sgd)

    def check(self):
        """A positive rate; a warning past the stability limit of plain descent, where the model knows it."""
        if not callable(self.rule):
            raise TypeError("Descent.rule must be a function of the rate, e.g. optax.adam and not optax.adam(0.1).")
        if not self.learning_rate > 0:
            raise ValueError(f"Descent.learning_rate must be positive; got {self.learning_rate}.")
        if self.rule is optax.sgd and hasattr(self.model, "stability_limit"):
            warn_unstable("Descent", self.learning_rate, self.model.stability_limit())

    def optimizer(self) -> optax.GradientTransformation:
        """The optax transformation."""
        return self.rule(self.learning_rate)

    def sample(self, key: jax.Array) -> Any:
        """The model's data."""
        return self.model.sample(key)

    def init(self, key: jax.Array, data: Any) -> State:
        """The model's parameters and fresh optimiser memory."""
        params = self.model.init(key, data)
        return State(params, self.optimizer().init(params))

    def step(self, key: jax.Array, state: State, data: Any) -> State:
        """One update; `key` goes to the model's loss."""
        grads = jax.grad(self.model.loss)(state.params, data, key)
        updates, memory = self.optimizer().update(grads, state.memory, state.params)
        return State(optax.apply_updates(state.params, updates), memory)

    def observe(self, state: State, data: Any) -> dict[str, jax.Array]:
        """What the model observes."""
        return self.model.observe(state.params, data)


def warn_unstable(name: str, rate: float, limit: float) -> None:
    """Warn that plain descent at `rate` will not converge."""
    if rate >= limit:
        warnings.warn(
            f"{name}.learning_rate={rate:.4g} is at or beyond the stability limit {limit:.4g}: descent will not converge "
            f"(and may diverge to NaN). Stay below {limit:.4g}.",
            stacklevel=2,
        )


TINY = Descent(model=SymmetricSensing(n=4, rank=1, k=2, alpha=0.1), learning_rate=0.1, rule=optax.adam)
