"""A smoothly broken power law changes its exponent at any number of breaks."""

import functools

import jax.numpy as jnp
import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value


def shape(x: Value, *, limit: Value, amplitude: Value, slope: Value, **breaks: Value) -> Value:
    """Return y at x. The breaks' factors are taken in the logarithm, so that sharp breaks do not overflow."""
    bend = -slope * jnp.log(x)
    for i in range(len(breaks) // 3):
        change, at, width = (breaks[f"{part}{i + 1 if i else ''}"] for part in ("change", "at", "width"))
        bend = bend - change * width * jnp.logaddexp(0.0, (jnp.log(x) - jnp.log(at)) / width)
    return limit + amplitude * jnp.exp(bend)


@functools.cache
def broken(breaks: int) -> Law:
    """Return the law with so many breaks; from the second on, parameters carry its number: change2, at2, width2."""
    params = {
        "limit": Param(lower=0, meaning="limit at large x, in units of y"),
        "amplitude": Param(lower=0, meaning="y - limit at x = 1 before the breaks, in units of y"),
        "slope": Param(lower=-1.0, upper=8.0, search=(0.0, 1.0), meaning="decay exponent before the first break"),
    }
    for i in range(breaks):
        end = f"{i + 1 if i else ''}"
        params["change" + end] = Param(lower=-10.0, upper=10.0, search=(0.1, 6.0), meaning="exponent gained at the break")
        params["at" + end] = Param(lower=0, search=(1.0, 1.0), within="x", meaning="where the break is, in units of x")
        params["width" + end] = Param(
            lower=0.01, upper=3.0, search=(0.05, 1.0), meaning="width of the break in ln x; small is sharp"
        )
    return Law(
        name="bnsl" if breaks == 1 else f"bnsl{breaks}",
        shape=shape,
        params=params,
        linear=("limit", "amplitude"),
        formula=r"a + b x^{-c_0} \prod_i (1 + (x/d_i)^{1/f_i})^{-c_i f_i}",
        broken=True,
        source="Caballero et al. 2022, arXiv:2210.14891, eq. 1",
        exponent="slope",
        floor="limit",
    )


LAW = broken(1)

TINY = Example(
    {"limit": 0.4, "amplitude": 3.0, "slope": 0.1, "change": 0.8, "at": 300.0, "width": 0.3}, (np.geomspace(5, 2e4, 48),), 0.003
)
