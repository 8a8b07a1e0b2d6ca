"""A walk that costs nothing, for tests of what surrounds a run; another shows its block width, as the bits of real ones do."""

import jax
import jax.numpy as jnp

import jaxscale as js


@jax.custom_batching.custom_vmap
def block_width(x):
    """1 for a single run; under vmap the number of lanes."""
    return jnp.ones_like(x)


@block_width.def_vmap
def _(size, batched, x):
    return jnp.full_like(x, size), batched[0]


@js.record
class Walk:
    rate: jax.Array

    def sample(self, key):
        return jnp.zeros(())

    def init(self, key, data):
        return jax.random.key_data(key)[0].astype(jnp.float32) / 2.0**32

    def step(self, key, state, data):
        return state + 0.5 * self.rate

    def observe(self, state, data):
        return {"position": state}


@js.record
class WideWalk(Walk):
    def observe(self, state, data):
        return {"position": state, "width": block_width(state)}


def walk(rate, kind=0):
    return Walk(rate=rate)


def wide_walk(rate):
    return WideWalk(rate=rate)
