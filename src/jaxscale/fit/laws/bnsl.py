"""Smoothly broken power law with one break."""

import jax.numpy as jnp

from jaxscale.fit.law import Law, Param


def shape(x, *, limit, amplitude, slope, change, at, width):
    """The formula, with the break's factor in the logarithm so that sharp breaks do not overflow."""
    bend = -change * width * jnp.logaddexp(0.0, (jnp.log(x) - jnp.log(at)) / width)
    return limit + amplitude * jnp.exp(-slope * jnp.log(x) + bend)


LAW = Law(
    name="bnsl",
    shape=shape,
    params={
        "limit": Param(lower=0, meaning="limit at large x, in units of y"),
        "amplitude": Param(lower=0, meaning="y - limit at x = 1 before the break, in units of y"),
        "slope": Param(lower=-1.0, upper=8.0, search=(0.0, 1.0), meaning="decay exponent before the break"),
        "change": Param(lower=-10.0, upper=10.0, search=(0.1, 6.0), meaning="exponent gained at the break"),
        "at": Param(lower=0, search=(1.0, 1e4), meaning="where the break is, in units of x"),
        "width": Param(lower=0.01, upper=3.0, search=(0.05, 1.0), meaning="width of the break in ln x; small is sharp"),
    },
    linear=("limit", "amplitude"),
    formula=r"a + b x^{-c_0} (1 + (x/d_1)^{1/f_1})^{-c_1 f_1}",
    source="Caballero et al. 2022, arXiv:2210.14891, eq. 1",
    exponent="slope",
    floor="limit",
)
