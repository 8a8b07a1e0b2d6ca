"""An exponential decay: y = amplitude e^(-x / scale)."""

import jax.numpy as jnp

from jaxscale import Law, Param


def shape(x, *, amplitude, scale):
    """Return y at x."""
    return amplitude * jnp.exp(-x / scale)


LAW = Law(
    name="mylab_exponential",
    shape=shape,
    params={
        "amplitude": Param(lower=0, meaning="y at x = 0"),
        "scale": Param(lower=0, search=(0.02, 2.0), within="x", meaning="after which y has fallen to 37 %, in units of x"),
    },
    linear=("amplitude",),
    formula=r"A e^{-x/x_0}",
    source="ours",
    exponent="scale",
)
