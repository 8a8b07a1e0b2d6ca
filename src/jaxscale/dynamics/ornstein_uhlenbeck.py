"""Relaxation towards a fixed point that loses its stability: the linear model of early warnings before a fold."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxscale.records import record


class State(NamedTuple):
    """Where the process is, and when."""

    x: jax.Array  # ()
    time: jax.Array  # (), steps so far


@record
class OrnsteinUhlenbeck:
    """A process dx = -k x dt + sigma dW, drawn exactly over unit steps, k falling on a line from `start` to `end`.

    Variance sigma^2 / (2 k) and lag-1 autocorrelation exp(-k) rise as k falls; start = end approaches nothing.

    Attributes:
      start: k at step 0.
      end: k at step `steps`, and from then on.
      steps: length of the ramp.
      sigma: noise.

    References:
      Boettiger, Ross & Hastings 2013, Theor. Ecol. 6, 255.
    """

    start: float = 0.5
    end: float = 0.02
    steps: float = 250.0
    sigma: float = 1.0

    units = {"x": ("distance from the fixed point", "1"), "rate": ("k, the rate of return", "1 / step")}

    def check(self):
        """Raise unless both rates and the length of the ramp are positive."""
        if not (self.start > 0 and self.end > 0 and self.steps > 0):
            raise ValueError(
                f"OrnsteinUhlenbeck needs positive start, end and steps; got {self.start}, {self.end}, {self.steps}."
            )

    def rate(self, time: jax.Array) -> jax.Array:
        """Return k, the rate of return, at a step, ()."""
        return self.start + (self.end - self.start) * jnp.minimum(time / self.steps, 1)

    def sample(self, key: jax.Array) -> tuple[()]:
        """Draw nothing: no disorder is frozen."""
        del key
        return ()

    def init(self, key: jax.Array, data: tuple[()]) -> State:
        """Draw x in equilibrium at the first rate. Consumes `key`."""
        return State(self.sigma / jnp.sqrt(2 * self.start) * jax.random.normal(key), jnp.array(0.0))

    def step(self, key: jax.Array, state: State, data: tuple[()]) -> State:
        """Draw x one unit of time later, exactly for the present rate. Consumes `key`."""
        rate = self.rate(state.time)
        decay = jnp.exp(-rate)
        shock = self.sigma * jnp.sqrt((1 - decay**2) / (2 * rate)) * jax.random.normal(key)
        return State(decay * state.x + shock, state.time + 1)

    def observe(self, state: State, data: tuple[()]) -> dict[str, jax.Array]:
        """Return the process and its present rate."""
        return {"x": state.x, "rate": self.rate(state.time)}


TINY = OrnsteinUhlenbeck(steps=8.0)
