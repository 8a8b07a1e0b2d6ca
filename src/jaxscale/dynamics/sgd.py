"""Minibatch SGD without replacement, parameterised by its temperature T = eta / B."""

from typing import Any

import jax
import optax

from jaxscale.data.batch import draw_rows
from jaxscale.dynamics.descent import State
from jaxscale.models.perceptron import Perceptron
from jaxscale.record import record, static


@record
class Sgd:
    """Each step draws `batch` of the P rows in use, without replacement within the step and afresh every step (no epochs).

    Attributes:
      model: what is learned; it must offer `batch(data, index)` and its data `size`.
      temperature: T = eta / B. Traced.
      batch: B, at most P. Static.
      rule: function of the learning rate giving an optax transformation. Static.

    References:
      Sclocchi & Wyart, PNAS 2024, arXiv:2309.10688.
    """

    model: Any
    temperature: float
    batch: int = static(default=1)
    rule: Any = static(default=optax.sgd)

    def check(self):
        """Positive temperature and batch, and a model that can be batched."""
        if not self.temperature > 0:
            raise ValueError(f"Sgd.temperature must be positive; got {self.temperature}. It is learning rate over batch size.")
        if self.batch < 1:
            raise ValueError(f"Sgd.batch must be at least 1; got {self.batch}.")
        if not hasattr(self.model, "batch"):
            raise TypeError(
                f"Sgd.model must offer batch(data, index) to pick rows; {type(self.model).__name__} does not. "
                "Imitate Perceptron.batch, or use Descent."
            )
        if hasattr(self.model, "batch_limit") and self.batch > self.model.batch_limit():
            raise ValueError(f"Sgd.batch must not exceed the {self.model.batch_limit()} points; got {self.batch}.")

    def optimizer(self) -> optax.GradientTransformation:
        """The optax transformation, at learning rate T B."""
        return self.rule(self.temperature * self.batch)

    def sample(self, key: jax.Array) -> Any:
        """The model's data."""
        return self.model.sample(key)

    def init(self, key: jax.Array, data: Any) -> State:
        """The model's parameters and fresh optimiser memory."""
        params = self.model.init(key, data)
        return State(params, self.optimizer().init(params))

    def step(self, key: jax.Array, state: State, data: Any) -> State:
        """One update on a fresh minibatch."""
        key_rows, key_loss = jax.random.split(key)
        rows = draw_rows(key_rows, self.batch, data.size, data.weight.size)
        grads = jax.grad(self.model.loss)(state.params, self.model.batch(data, rows), key_loss)
        updates, memory = self.optimizer().update(grads, state.memory, state.params)
        return State(optax.apply_updates(state.params, updates), memory)

    def observe(self, state: State, data: Any) -> dict[str, jax.Array]:
        """What the model observes."""
        return self.model.observe(state.params, data)


TINY = Sgd(model=Perceptron(d=4, alpha=3.0, alpha_max=4.0), temperature=0.1, batch=2)
