"""A score that grows with the logarithm of the data: the same gain for every doubling."""

import jax.numpy as jnp
import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value


def shape(x: Value, *, offset: Value, gain: Value) -> Value:
    """Return the score at data size x: offset + gain ln x."""
    return offset + gain * jnp.log(x)


LAW = Law(
    name="logarithmic",
    shape=shape,
    params={
        "offset": Param(meaning="score at x = 1"),
        "gain": Param(meaning="score gained when x grows by a factor e"),
    },
    linear=("offset", "gain"),
    formula=r"a + b \ln x",
    richer=("power", "power_floor"),
    source="Dong et al. 2023, arXiv:2310.05492, section 4.1",
    exponent="gain",
    space="raw",
)

TINY = Example({"offset": 0.1, "gain": 0.05}, (np.geomspace(10, 1e4, 24),), 0.01, "raw")
