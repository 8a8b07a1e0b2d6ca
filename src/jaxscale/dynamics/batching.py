"""Minibatches: which rows of the data a step's gradient is taken on, and SGD by its temperature T = eta / B."""

from typing import Any

import jax
import optax

from jaxscale.data.minibatch import draw_rows
from jaxscale.dynamics.descent import Descent
from jaxscale.records import record, static


@record
class Minibatch:
    """Each step draws `size` of the P rows in use, without replacement within the step and afresh every step (no epochs).

    Attributes:
      size: B, at most P. Static.
    """

    size: int = static(default=1)

    def check(self) -> None:
        """Raise if the batch is empty."""
        if self.size < 1:
            raise ValueError(f"Minibatch.size must be at least 1; got {self.size}.")

    def check_model(self, model: Any) -> None:
        """Raise if rows of the model's data cannot be picked, or if there are fewer than a batch of them."""
        if not hasattr(model, "batch"):
            raise TypeError(
                f"a minibatch needs a model with batch(data, index) to pick rows; {type(model).__name__} does not have it. "
                "Imitate Perceptron.batch, or leave batching out."
            )
        if hasattr(model, "batch_limit") and self.size > model.batch_limit():
            raise ValueError(f"Minibatch.size must not exceed the {model.batch_limit()} points; got {self.size}.")

    def __call__(self, model: Any, data: Any, key: jax.Array) -> tuple[jax.Array, Any]:
        """Return a key for the loss, and the rows of a fresh minibatch. Consumes `key`."""
        key_rows, key_loss = jax.random.split(key)
        rows = draw_rows(key_rows, self.size, data.size, data.weight.size)
        return key_loss, model.batch(data, rows)


def sgd(model: Any, *, temperature: Any, batch: int = 1, rule: Any = optax.sgd) -> Descent:
    """Return minibatch SGD by its temperature: descent at the learning rate T B.

    Args:
      model: what is learned; it must offer `batch(data, index)` and its data `size`.
      temperature: T = eta / B. May be traced.
      batch: B, at most the P points.
      rule: as for `Descent`.

    References:
      Sclocchi & Wyart, PNAS 2024, arXiv:2309.10688: the temperature is the learning rate over the batch size.
    """
    return Descent(model=model, learning_rate=temperature * batch, rule=rule, batching=Minibatch(size=batch))


def TINY() -> Descent:
    """Return the instance that the contract tests check."""
    from jaxscale.models.perceptron import Perceptron

    return sgd(Perceptron(d=4, alpha=3.0, alpha_max=4.0), temperature=0.1, batch=2)
