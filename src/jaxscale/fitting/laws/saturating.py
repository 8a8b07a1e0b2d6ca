"""A score that needs a few examples only approaches its limit exponentially."""

import jax.numpy as jnp
import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value


def shape(x: Value, *, limit: Value, drop: Value, scale: Value) -> Value:
    """Return y at x: limit + drop e^(-x / scale)."""
    return limit + drop * jnp.exp(-x / scale)


LAW = Law(
    name="saturating",
    shape=shape,
    params={
        "limit": Param(meaning="y at large x, in units of y"),
        "drop": Param(meaning="y at x = 0 less the limit, in units of y"),
        "scale": Param(lower=0, search=(0.02, 1.0), within="x", meaning="after which 63 % of the way is gone, in units of x"),
    },
    linear=("limit", "drop"),
    formula=r"c + a e^{-x/x_0}",
    richer=("power_floor", "bnsl"),
    source="the alternative of Raghavendra et al. 2024, arXiv:2410.03717, to a power law",
    exponent="scale",
    space="raw",
    signed=("x",),
)

TINY = Example({"limit": 0.8, "drop": -0.5, "scale": 60.0}, (np.geomspace(2, 2000, 40),), 0.01, "raw")
