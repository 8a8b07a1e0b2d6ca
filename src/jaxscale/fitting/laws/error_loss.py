"""Downstream error rises with loss as an exponential that levels off near chance."""

import jax.numpy as jnp
import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value


def shape(loss: Value, *, ceiling: Value, drop: Value, rate: Value) -> Value:
    """Return the downstream error of a model with this loss: ceiling - drop e^(-rate loss)."""
    return ceiling - drop * jnp.exp(-rate * loss)


LAW = Law(
    name="error_loss",
    shape=shape,
    params={
        "ceiling": Param(lower=0, meaning="error at large loss; not the chance error"),
        "drop": Param(lower=0, meaning="what a loss of 0 would gain"),
        "rate": Param(lower=0.01, upper=10.0, search=(0.05, 4.0), meaning="per nat"),
    },
    linear=("ceiling", "drop"),
    formula=r"\epsilon - k e^{-\gamma L}",
    source="Gadre et al. 2024, arXiv:2403.08540, eq. 5",
    exponent="rate",
    inputs=("L",),
    signed=("L",),
    falling=("L",),
    space="raw",
)

TINY = Example({"ceiling": 0.86, "drop": 2.2, "rate": 0.71}, (np.linspace(2.0, 5.0, 32),), 0.005, "raw")
