"""The densing law: the best capacity density grows exponentially with time."""

import jax.numpy as jnp
import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value


def shape(t: Value, *, start: Value, rate: Value) -> Value:
    """Return the best capacity density after t days: start e^(rate t)."""
    return start * jnp.exp(rate * t)


LAW = Law(
    name="density_growth",
    shape=shape,
    params={
        "start": Param(lower=0, meaning="density at t = 0; effective parameters per parameter"),
        "rate": Param(lower=-1.0, upper=1.0, search=(-0.02, 0.05), meaning="growth of ln density, per day"),
    },
    linear=("start",),
    formula=r"\ln \rho = A t + B",
    source="Xiao et al. 2024, arXiv:2412.04315, eq. 6",
    exponent="rate",
    inputs=("t",),
    signed=("t",),
    derived={"doubling": lambda start, rate: jnp.log(2.0) / rate},
)

TINY = Example({"start": 0.4, "rate": 0.0073}, (np.linspace(0, 600, 30),), 0.1)
