"""Damped Newton descent, for models of few parameters: decides in tens of steps what plain descent decides in millions."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxscale.records import record


@record
class Newton:
    """Descend by w <- w - s (H + ridge)^-1 grad, with s = 1 / (1 + sqrt(grad^T H^-1 grad)) until the decrement is small, then
    1.

    That damping converges from anywhere for self-concordant losses. Costs a (p, p) solve per step, p parameters.

    Attributes:
      model: what is learned.
      ridge: added to the Hessian's diagonal: float32 rounding, not regularisation of the answer.
      patience: decrement below which full steps are taken.

    References:
      Nesterov & Nemirovskii, Interior-point polynomial algorithms (1994), section 2.2. Bach 2010, arXiv:0910.4627 (logistic).
    """

    model: Any
    ridge: float = 1e-6
    patience: float = 0.25

    units = {"gradient": ("norm of the loss's gradient", "loss over parameter units")}

    def check(self):
        """Raise if the ridge is negative."""
        if self.ridge < 0:
            raise ValueError(f"Newton.ridge must not be negative; got {self.ridge}.")

    def sample(self, key: jax.Array) -> Any:
        """Draw the model's data. Consumes `key`."""
        return self.model.sample(key)

    def init(self, key: jax.Array, data: Any) -> Any:
        """Draw the model's parameters. Consumes `key`."""
        return self.model.init(key, data)

    def step(self, key: jax.Array, state: Any, data: Any) -> Any:
        """Take one damped step; `key` goes to the model's loss."""
        flat, unravel = ravel_pytree(state)

        def loss(w):
            return self.model.loss(unravel(w), data, key)

        gradient = jax.grad(loss)(flat)
        hessian = jax.hessian(loss)(flat) + self.ridge * jnp.eye(flat.size)
        way = jax.scipy.linalg.solve(hessian, gradient, assume_a="pos")
        decrement = jnp.sqrt(jnp.maximum(gradient @ way, 0))
        scale = jnp.where(decrement > self.patience, 1 / (1 + decrement), 1.0)
        return unravel(flat - scale * way)

    def observe(self, state: Any, data: Any) -> dict[str, jax.Array]:
        """Return the model's observables."""
        return self.model.observe(state, data)


def TINY() -> Newton:
    """Return the instance that the contract tests check."""
    from jaxscale.models.perceptron import TeacherStudent

    return Newton(model=TeacherStudent(d=4, alpha=2.0, alpha_max=3.0), ridge=0.1)
