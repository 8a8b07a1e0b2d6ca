"""The population limit of perceptron SGD: every step sees a fresh point, and two numbers are the whole state."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxscale.records import record, static
from jaxscale.theory.perceptron import unfitted_fraction


class State(NamedTuple):
    """What the next update needs, and the clock."""

    signal: jax.Array  # (), v along the teacher
    noise: jax.Array  # (), norm of v across it
    log_steps: jax.Array  # (), log of the expected number of SGD steps so far


@record
class PopulationChain:
    """The two-variable chain of SGD with batch 1 and negligible margin, one update per step.

    A point is wrong when z |v_perp| > |x_1| v_1 with z standard normal, so s = z / |x_1| lies beyond lambda = v_1/|v_perp|.
    s is drawn from that tail exactly, and x_1^2 + z^2 is chi-squared with chi + 2 degrees of freedom, independent of s.
    Idle steps are not simulated: their expected number, 1 over the wrong fraction, is added to the clock.
    `stopped` once the expected number of wrong points among P falls below one.

    Attributes:
      d: input dimension. Static.
      points: P, which sets only when to stop.
      temperature: T = eta / B.
      chi: exponent of the density near the boundary, above -1. Static.

    References:
      Sclocchi & Wyart, PNAS 2024, arXiv:2309.10688 (the stochastic process behind its scaling argument).
    """

    d: int = static()
    points: float
    temperature: float = 1.0
    chi: float = static(default=1)

    units = {
        "lambda": ("signal over noise", "1"),
        "signal": ("v along the teacher", "weight units"),
        "noise": ("norm of v across the teacher", "weight units"),
        "steps": ("expected SGD steps so far", "steps"),
        "stopped": ("fewer than one wrong point expected among P", "1"),
    }

    def check(self):
        """Raise unless chi is above -1, d >= 3, points >= 2 and the temperature is positive."""
        if not -1 < self.chi < 100:
            raise ValueError(f"PopulationChain.chi must lie above -1, where the density can be summed; got {self.chi}.")
        if self.d < 3 or not self.points >= 2 or not self.temperature > 0:
            raise ValueError(
                f"PopulationChain needs d >= 3, points >= 2, temperature > 0; got {self.d}, {self.points}, {self.temperature}."
            )

    def sample(self, key: jax.Array) -> tuple[()]:
        """Draw nothing: no disorder is frozen, since every point is fresh."""
        del key
        return ()

    def init(self, key: jax.Array, data: tuple[()]) -> State:
        """Make the first update, from v = 0: every point is wrong, so |x_1| and the rest are unconditioned."""
        key_along, key_across = jax.random.split(key)
        along = _chi(key_along, self.chi + 1)
        across = jnp.linalg.norm(jax.random.normal(key_across, (self.d - 1,)))
        scale = self.temperature / jnp.sqrt(self.d)
        return State(scale * along, scale * across, jnp.array(0.0))

    def step(self, key: jax.Array, state: State, data: tuple[()]) -> State:
        """Draw the next wrong point and make its update, and add the idle steps before it to the clock; stay if `stopped`."""
        key_tail, key_radius, key_rest = jax.random.split(key, 3)
        ratio = state.signal / state.noise
        tail = unfitted_fraction(ratio, self.chi)
        share = 1 - jax.random.uniform(key_tail, dtype=ratio.dtype)  # above 0: one draw in 2^23 is 0, a point at infinity
        s = _tail_quantile(tail * share, self.chi)
        radius = _chi(key_radius, self.chi + 2)
        along = radius / jnp.sqrt(1 + s**2)
        scale = self.temperature / jnp.sqrt(self.d)
        rest = jax.random.normal(key_rest, (self.d - 2,))
        new = State(
            state.signal + scale * along,
            jnp.hypot(state.noise - scale * along * s, scale * jnp.linalg.norm(rest)),
            jnp.logaddexp(state.log_steps, -jnp.log(tail)),
        )
        done = self.stopped(state, data)
        return jax.tree.map(lambda old, new: jnp.where(done, old, new), state, new)

    def stopped(self, state: State, data: tuple[()]) -> jax.Array:
        """Say whether fewer than one wrong point is expected among P, (), bool."""
        return unfitted_fraction(state.signal / state.noise, self.chi) * self.points < 1

    def observe(self, state: State, data: tuple[()]) -> dict[str, jax.Array]:
        """Return the two components, their ratio, the clock and `stopped`."""
        return {
            "lambda": state.signal / state.noise,
            "signal": state.signal,
            "noise": state.noise,
            "steps": jnp.exp(state.log_steps),
            "stopped": self.stopped(state, data),
        }


def _chi(key: jax.Array, freedom: float) -> jax.Array:
    """Return a chi-distributed number, the root of chi-squared, of any positive degrees of freedom."""
    if freedom == int(freedom):
        return jnp.linalg.norm(jax.random.normal(key, (int(freedom),)))
    return jnp.sqrt(2 * jax.random.gamma(key, freedom / 2))


def _tail_quantile(p: jax.Array, chi: float) -> jax.Array:
    """Return s with P(z / |x_1| > s) = p < 1/2, the inverse of `unfitted_fraction`.

    s sqrt(chi + 1) is Student's t of chi + 1 degrees of freedom: 2 p is the incomplete beta function of w = 1 / (1 + s^2),
    inverted by bisection in log w where there is no closed form.
    """
    if chi == 0:
        return 1 / jnp.tan(jnp.pi * p)
    if chi == 1:
        return (1 - 2 * p) / (2 * jnp.sqrt(p * (1 - p)))

    def halve(_, ends):
        low, high = ends
        middle = (low + high) / 2
        above = jax.scipy.special.betainc((chi + 1) / 2, 0.5, jnp.exp(middle)) > 2 * p
        return jnp.where(above, low, middle), jnp.where(above, middle, high)

    low, high = jax.lax.fori_loop(0, 40, halve, (jnp.full_like(p, -80.0), jnp.zeros_like(p)))
    return jnp.sqrt(jnp.expm1(-(low + high) / 2))


TINY = PopulationChain(d=8, points=64.0)
