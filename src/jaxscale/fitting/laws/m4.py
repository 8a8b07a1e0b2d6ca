"""Alabdulmohsin's M4 goes from chance at small x to a limit at large x, and is given by an equation for y."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.fitting.implicit import root
from jaxscale.fitting.law import Example, Law, Param, Value


def shape(x: Value, *, limit: Value, span: Value, amplitude: Value, exponent: Value, bend: Value) -> Value:
    """Return the root y of (y - limit) / (limit + span - y)^bend = amplitude x^-exponent."""
    right = jnp.log(amplitude) - exponent * jnp.log(x) - (1 - bend) * jnp.log(span)

    def equation(v: jax.Array, params: tuple[jax.Array, ...]) -> jax.Array:  # y = limit + span * sigmoid(v)
        bend, right = params
        return bend * jax.nn.softplus(v) - jax.nn.softplus(-v) - right

    v = root(equation, jnp.where(right < 0, right, right / bend), (bend, right))
    return limit + span * jax.nn.sigmoid(v)


LAW = Law(
    name="m4",
    shape=shape,
    params={
        "limit": Param(lower=0, search=(0.1, 0.8), within="y", meaning="y at large x (epsilon infinity), in units of y"),
        "span": Param(lower=0, search=(0.8, 1.2), within="y", meaning="chance minus limit (epsilon 0 less epsilon infinity)"),
        "amplitude": Param(lower=0, search=(0.1, 1e3), meaning="beta: sets where the curve leaves chance"),
        "exponent": Param(lower=0.01, upper=8.0, search=(0.05, 1.5), meaning="c: decay exponent of the excess over the limit"),
        "bend": Param(lower=0.01, upper=20.0, search=(0.1, 3.0), meaning="alpha: how slowly the curve leaves chance"),
    },
    linear=(),
    formula=r"(y - \epsilon_\infty) / (\epsilon_0 - y)^\alpha = \beta x^{-c}",
    broken=True,
    source="Alabdulmohsin, Neyshabur & Zhai 2022, arXiv:2209.06640, eq. 5",
    floor="limit",
)

TINY = Example({"limit": 0.2, "span": 0.7, "amplitude": 60.0, "exponent": 0.8, "bend": 0.7}, (np.geomspace(3, 1e5, 64),), 0.002)
