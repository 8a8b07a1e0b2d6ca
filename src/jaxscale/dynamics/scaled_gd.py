"""ScaledGD(lambda): gradient descent preconditioned by the factors, whose speed does not depend on the condition number."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxscale.dynamics.descent import warn_unstable
from jaxscale.models.matrix_sensing import Factors
from jaxscale.records import record


@record
class ScaledGD:
    """Descend by X <- X - eta grad(X) (X^T X + damping I)^-1; for F G^T each factor is preconditioned by the other.

    Attributes:
      model: `SymmetricSensing` or `AsymmetricSensing`.
      learning_rate: eta, below 1 in the population limit, whatever the condition number.
      damping: lambda of the paper. 0 inverts a near-singular matrix when k exceeds the rank.

    References:
      Xu, Shen, Chi & Ma, The power of preconditioning in overparameterized low-rank matrix sensing, ICML 2023.
    """

    model: Any
    learning_rate: float
    damping: float = 1e-2

    def check(self):
        """Raise unless the rate is positive and the damping not negative; warn if the rate is not below 1."""
        if not self.learning_rate > 0:
            raise ValueError(f"ScaledGD.learning_rate must be positive; got {self.learning_rate}.")
        if self.damping < 0:
            raise ValueError(f"ScaledGD.damping must not be negative; got {self.damping}.")
        warn_unstable("ScaledGD", self.learning_rate, 1.0)

    def sample(self, key: jax.Array) -> Any:
        """Draw the model's data. Consumes `key`."""
        return self.model.sample(key)

    def init(self, key: jax.Array, data: Any) -> Any:
        """Draw the model's parameters; there is no memory. Consumes `key`."""
        return self.model.init(key, data)

    def step(self, key: jax.Array, params: Any, data: Any) -> Any:
        """Take one preconditioned step; `key` goes to the model's loss."""
        grads = jax.grad(self.model.loss)(params, data, key)
        if isinstance(params, Factors):
            left = params.left - self.learning_rate * self._scale(grads.left, params.right)
            right = params.right - self.learning_rate * self._scale(grads.right, params.left)
            return Factors(left, right)
        return params - self.learning_rate * self._scale(grads, params)

    def _scale(self, grad, factor):
        gram = factor.T @ factor + self.damping * jnp.eye(factor.shape[1])
        return jax.scipy.linalg.solve(gram, grad.T, assume_a="pos").T

    def observe(self, params: Any, data: Any) -> dict[str, jax.Array]:
        """Return the model's observables."""
        return self.model.observe(params, data)


def TINY() -> tuple[ScaledGD, ...]:
    """Return the instance that the contract tests check."""
    from jaxscale.models.matrix_sensing import AsymmetricSensing, SymmetricSensing

    return (
        ScaledGD(model=SymmetricSensing(n=5, rank=2, k=3, alpha=0.1, condition=5.0), learning_rate=0.3),
        ScaledGD(model=AsymmetricSensing(n1=5, n2=4, rank=2, k=3, alpha=0.1, ratio=1.0), learning_rate=0.3),
    )
