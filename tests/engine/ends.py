"""Runs that end in every way, at steps that their disorder says: what a cohort, a budget and a median have to get right."""

import jax
import jax.numpy as jnp

import jaxscale as js

LAST = 40


def uniform(key):
    """One number in (0, 1) of a key: its own bits, which compile in no time."""
    return (jax.random.key_data(key)[0].astype(jnp.float32) + 0.5) / 2.0**32


@js.record
class Ends:
    """A chaotic map. A third of the runs diverge and a third stop, each at a step from 1 to 39; a third go on."""

    rate: jax.Array

    def sample(self, key):
        return uniform(key)

    def init(self, key, data):
        return uniform(key), jnp.array(0, jnp.int32)

    def step(self, key, state, data):
        x, t = state
        over, broken = self.stopped(state, data), (data < 1 / 3) & (t + 1 == self._end(3 * data))
        new = jnp.where(broken, jnp.nan, self.rate * x * (1 - x))
        return jnp.where(over, x, new), jnp.where(over, t, t + 1)

    def stopped(self, state, data):
        return (data > 2 / 3) & (state[1] >= self._end(3 * data - 2))

    def observe(self, state, data):
        return {"x": state[0], "steps": state[1], "over": self.stopped(state, data)}

    def _end(self, share):
        return 1 + ((LAST - 1) * share).astype(jnp.int32)


def ends(rate):
    return Ends(rate=rate)


COMMON = dict(
    grid={"rate": [3.7, 3.9]}, seeds=18, times=[0, 1, 5, 20, LAST], width=4, devices=jax.devices()[:1], progress=False
)


def run(**changes):
    return js.sweep(ends, **(COMMON | changes))
