"""Kaplan's laws of one resource, parameters, tokens or compute, are written by the scale at which the loss is one."""

import jax.numpy as jnp
import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value


def shape(x: Value, *, amplitude: Value, alpha: Value) -> Value:
    """Return the loss at scale x; `amplitude` is x_c^alpha, which is what the data determine."""
    return amplitude * jnp.exp(-alpha * jnp.log(x))


LAW = Law(
    name="kaplan_one",
    shape=shape,
    params={
        "amplitude": Param(lower=0, meaning="loss at x = 1, which is x_c^alpha, nats per token"),
        "alpha": Param(lower=0.001, upper=2.0, search=(0.02, 0.5), meaning="exponent in N, D or C"),
    },
    linear=("amplitude",),
    formula=r"(x_c / x)^{\alpha}",
    richer=("power_floor", "bnsl"),
    source="Kaplan et al. 2020, arXiv:2001.08361, eqs. 1.1-1.3",
    exponent="alpha",
    derived={"scale": lambda amplitude, alpha: amplitude ** (1 / alpha)},
)

TINY = Example({"amplitude": 8.8e13**0.076, "alpha": 0.076}, (np.geomspace(1e6, 1e9, 24),), 0.01)
