"""Translation quality after fine-tuning grows with the pre-training tokens as a power of a logarithm."""

import jax.numpy as jnp
import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value, power


def shape(d: Value, *, scale: Value, offset: Value, beta: Value) -> Value:
    """Return the score after d tokens; (log A + alpha log D)^beta is written as scale (log D + offset)^beta."""
    return scale * power(jnp.maximum(jnp.log(d) + offset, 1e-9), beta)


LAW = Law(
    name="downstream_log",
    shape=shape,
    params={
        "scale": Param(lower=0, meaning="alpha^beta: score at log D + offset = 1"),
        "offset": Param(lower=-200.0, upper=200.0, search=(-15.0, 20.0), meaning="log A / alpha, in ln tokens"),
        "beta": Param(lower=0.01, upper=20.0, search=(0.2, 6.0), meaning="power of the logarithm"),
    },
    linear=("scale",),
    formula=r"(\ln A + \alpha \ln D)^{\beta}",
    source="Isik et al. 2024, arXiv:2402.04177, eq. 1",
    exponent="beta",
    inputs=("D",),
    derived={
        "alpha": lambda scale, offset, beta: scale ** (1 / beta),
        "log_A": lambda scale, offset, beta: offset * scale ** (1 / beta),
    },
)

TINY = Example({"scale": 0.02, "offset": -10.0, "beta": 2.2}, (np.geomspace(1e6, 1e11, 40),), 0.005)
