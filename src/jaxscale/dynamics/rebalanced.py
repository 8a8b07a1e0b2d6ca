"""One-step rebalancing of asymmetric factors: after it the rate of convergence no longer depends on the initialisation."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxscale.dynamics.descent import Descent, State, warn_unstable
from jaxscale.models.matrix_sensing import AsymmetricSensing, Factors
from jaxscale.records import record, static


@record
class Rebalanced:
    """Descend for `after` steps, rebalance the factors once, descend on. Time counts from the rebalancing.

    With the singular value decomposition F = A S B: F <- beta A B, G <- G B^T (S / beta) B. The product F G^T does not
    change, and F^T F becomes beta^2 I, so the loss then falls by -2 ln(1 - eta beta^2) per step in the population limit.

    Attributes:
      system: a `Descent` on a model with parameters `Factors`.
      beta: common singular value of F afterwards, of the order of sqrt(sigma_r).
      after: steps before the rebalancing; the iterate must be near the target by then. Static.

    References:
      Xiong, Ding & Du, ICLR 2024, arXiv:2310.01769, equation 5.1.
    """

    system: Any
    beta: float
    after: int = static(default=100)

    def check(self):
        """Raise unless beta is positive and the system descends on two factors; warn past the limit eta beta^2 = 1."""
        if not self.beta > 0:
            raise ValueError(f"Rebalanced.beta must be positive; got {self.beta}.")
        if self.after < 0:
            raise ValueError(f"Rebalanced.after must not be negative; got {self.after}.")
        if not isinstance(self.system, Descent) or not hasattr(self.model, "ratio"):
            raise TypeError("Rebalanced.system must be a Descent on an AsymmetricSensing: it rebalances two factors.")
        if self.model.n1 < self.model.k:
            raise ValueError(f"Rebalanced needs n1 >= k for F^T F = beta^2 I; got n1={self.model.n1}, k={self.model.k}.")
        warn_unstable("Rebalanced", self.system.learning_rate, 1 / self.beta**2)

    @property
    def model(self) -> Any:
        """Return the model of the wrapped descent."""
        return self.system.model

    def sample(self, key: jax.Array) -> Any:
        """Draw the wrapped system's data. Consumes `key`."""
        return self.system.sample(key)

    def init(self, key: jax.Array, data: Any) -> State:
        """Return the state just after the rebalancing. Doing it here costs no SVD in the loop. Consumes `key`."""
        key_init, key_step = jax.random.split(key)
        state = self.system.init(key_init, data)
        state = jax.lax.fori_loop(0, self.after, lambda t, s: self.system.step(jax.random.fold_in(key_step, t), s, data), state)
        return state._replace(params=rebalance(state.params, self.beta))

    def step(self, key: jax.Array, state: State, data: Any) -> State:
        """Take a step of the wrapped system."""
        return self.system.step(key, state, data)

    def observe(self, state: State, data: Any) -> dict[str, jax.Array]:
        """Return the wrapped system's observables."""
        return self.system.observe(state, data)


def rebalance(factors: Factors, beta: jax.Array | float) -> Factors:
    """Return factors with the same product and F^T F = beta^2 I. Needs n1 >= k."""
    a, s, b = jnp.linalg.svd(factors.left, full_matrices=False)
    return Factors(beta * (a @ b), factors.right @ (b.T * (s / beta)[None, :]) @ b)


def TINY() -> Rebalanced:
    """Return the instance that the contract tests check."""
    return Rebalanced(
        system=Descent(model=AsymmetricSensing(n1=5, n2=4, rank=1, k=2, alpha=0.1), learning_rate=0.1), beta=0.7, after=3
    )
