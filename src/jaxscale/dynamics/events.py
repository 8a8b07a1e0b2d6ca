"""Event-driven SGD for the margin perceptron: steps that change nothing are skipped by sampling the waiting time.

A step whose batch holds no unfitted point leaves v alone. With n of P points unfitted, a batch of B misses them all with
probability C(P-n, B) / C(P, B), so the number of steps up to and including the next hit is geometric, and the batch is a
uniform B-subset given at least one unfitted member. Near the end of training n is a handful and the skip saves a factor P.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxscale.data.minibatch import draw_mask
from jaxscale.models.perceptron import Data, Perceptron
from jaxscale.records import Scalar, record, static


class Disorder(NamedTuple):
    """The perceptron's data, and the chance of a batch without unfitted points."""

    points: Data
    log_miss: jax.Array  # (rows + 1,), log of C(P-n, B) / C(P, B) at n unfitted points


class State(NamedTuple):
    """The weights, what speeds up the next event, and the clocks."""

    v: jax.Array  # (d,), w - w0
    margins: jax.Array  # (rows,), y f of every point, kept up to date
    clock: jax.Array  # (2,), SGD steps so far as a sum of two floats: waiting times reach 1e9, beyond float32 alone
    events: jax.Array  # (), updates so far


@record
class PerceptronEvents:
    """Minibatch SGD on `Perceptron`, exact in law, at a cost per update and not per step.

    One step of this system is at most one update. Where hits are likely it draws plain batches. Where they are rare it
    forces one random unfitted point into the batch, which makes a batch with K of them K times too likely, and accepts
    with probability 1/K; a rejected draw changes nothing, not even the clock. `stopped` once every point is fitted.

    Attributes:
      model: the margin perceptron.
      temperature: T = eta / B.
      batch: B, at most P. Traced, so one program serves a (B, eta) plane.

    References:
      The dynamics: Sclocchi & Wyart, PNAS 2024, arXiv:2309.10688. The waiting-time method: Bortz, Kalos & Lebowitz,
      J. Comput. Phys. 17, 10 (1975).
    """

    model: Perceptron
    temperature: Scalar
    batch: Scalar = 1
    single: bool = static(default=False)

    @property
    def units(self) -> dict[str, tuple[str, str]]:
        """Return {observable: (meaning, unit)} of the model and of the clocks."""
        return self.model.units | {
            "steps": ("SGD steps so far, idle ones included; a finishing time only where stopped", "steps"),
            "training_time": ("learning rate times steps", "training time t"),
            "events": ("updates so far", "updates"),
            "stopped": ("every training point is fitted; False at the end means censored", "1"),
        }

    def check(self):
        """Raise unless the temperature is positive and the batch a whole number between 1 and P."""
        points = round(self.model.alpha * self.model.d)
        if not self.temperature > 0:
            raise ValueError(f"PerceptronEvents.temperature must be positive; got {self.temperature}.")
        if not 1 <= self.batch <= points or self.batch != round(self.batch):
            raise ValueError(f"PerceptronEvents.batch must be a whole number in 1..P={points}; got {self.batch}.")
        if self.single and self.batch != 1:
            raise ValueError(f"PerceptronEvents.single is the shortcut for batch=1; got batch={self.batch}.")

    def sample(self, key: jax.Array) -> Disorder:
        """Draw the perceptron's data, and tabulate the chance to miss all unfitted points. Consumes `key`."""
        points = self.model.sample(key)
        n = jnp.arange(points.weight.size)
        # C(P-n, B) / C(P, B) = prod_{i<n} (1 - B / (P - i)): a sum of like-signed terms, so it loses no digits
        left = points.size - n
        terms = jnp.where(left > self.batch, jnp.log1p(-self.batch / jnp.maximum(left, 1)), -jnp.inf)
        return Disorder(points, jnp.concatenate([jnp.zeros(1), jnp.cumsum(terms)]))

    def init(self, key: jax.Array, data: Disorder) -> State:
        """Return the start, v = 0 at time 0."""
        return State(
            self.model.init(key, data.points), jnp.zeros(data.points.weight.size), jnp.zeros(2), jnp.array(0, jnp.int32)
        )

    def step(self, key: jax.Array, state: State, data: Disorder) -> State:
        """Skip to the next hit and make its update, or nothing when the draw is rejected or nothing is left to fit."""
        key_wait, key_pick, key_rest, key_accept = jax.random.split(key, 4)
        used = data.points.weight > 0
        unfitted = (state.margins < self.model.margin) & used
        n = jnp.sum(unfitted)
        log_miss = data.log_miss[n]
        hit = -jnp.expm1(log_miss)

        first = _pick(key_pick, unfitted, n)
        if self.single:
            rare, batch, accept = jnp.array(True), first, n > 0
        else:
            rare = hit < 0.5
            first = first & rare
            rest = draw_mask(key_rest, jnp.round(self.batch).astype(jnp.int32) - rare, used & ~first)
            batch = (first | rest) & unfitted
            k = jnp.sum(batch)
            accept = (n > 0) & (~rare | (jax.random.uniform(key_accept) * k < 1))

        wait = jnp.where(rare, jnp.ceil(jax.random.exponential(key_wait) / -log_miss), 1)
        v = state.v + jnp.where(accept, self.temperature, 0) * (batch.astype(state.v.dtype) @ data.points.inputs)
        return State(
            v,
            data.points.inputs @ v,
            jnp.where(accept, _add(state.clock, jnp.maximum(wait, 1)), state.clock),
            state.events + (accept & jnp.any(batch)),
        )

    def stopped(self, state: State, data: Disorder) -> jax.Array:
        """Say whether every training point is fitted, (), bool."""
        return ~jnp.any((state.margins < self.model.margin) & (data.points.weight > 0))

    def observe(self, state: State, data: Disorder) -> dict[str, jax.Array]:
        """Return what the model observes, steps, time, updates and `stopped`."""
        steps = jnp.sum(state.clock)
        return {
            **self.model.observe(state.v, data.points),
            "steps": steps,
            "training_time": steps * self.temperature * self.batch,
            "events": state.events,
            "stopped": self.stopped(state, data),
        }


def _pick(key, unfitted, n):
    """One unfitted point at random, as a mask: the one with the r-th place among them."""
    place = jax.random.randint(key, (), 0, jnp.maximum(n, 1))
    return unfitted & (jnp.cumsum(unfitted) == place + 1)


def _add(clock, wait):
    """Two-sum: `clock` is an unevaluated sum of two floats, the second below the rounding of the first."""
    low = clock[1] + wait
    high = clock[0] + low
    return jnp.stack([high, low - (high - clock[0])])


TINY = (
    PerceptronEvents(model=Perceptron(d=4, alpha=3.0, alpha_max=4.0, chi=1.0), temperature=0.1, batch=3),
    PerceptronEvents(model=Perceptron(d=4, alpha=3.0, alpha_max=4.0), temperature=0.1, single=True),
)
