"""Coupled logistic maps. Chaotic: a difference in the last bit at the start is of order one at the end."""

import jax
import jax.numpy as jnp

import jaxscale as js


@js.record
class Maps:
    rate: jax.Array
    kind: int = js.static(default=0)

    def sample(self, key):
        weights = jax.random.uniform(key, (3, 3))
        return weights / jnp.sum(weights, axis=1, keepdims=True)

    def init(self, key, data):
        return jax.random.uniform(key, (3,))

    def step(self, key, state, data):
        mixed = 0.99 * (data @ state) + 0.01 * jax.random.uniform(key)
        return self.rate * mixed * (1.0 - mixed)

    def observe(self, state, data):
        more = {"kinds": jnp.int32(self.kind)} if self.kind else {}
        return {"first": state[0], "coupling": data[0, 1]} | more


def maps(rate, kind=0):
    return Maps(rate=rate, kind=kind)


COMMON = dict(grid={"rate": [3.7, 3.8, 3.9]}, seeds=8, times=[0, 1, 200], width=2, progress=False)
WAYS = {
    "memory": {},
    "store": {"store": True},
    "again": {"store": True},
    "more": {"store": True, "seeds": 11},
    "few": {"grid": {"rate": [3.8]}, "seeds": 1},
    "crossed": {"seeds": {"data": 2, "init": 3}},
    "static": {"static": {"kind": [0, 1]}, "grid": {"rate": [3.7]}},
    "reduce": {"reduce": True},
    "reduce stored": {"reduce": "quantiles", "store": True},
}
