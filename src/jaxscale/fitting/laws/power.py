"""The power law says y = amplitude * x**-exponent."""

import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value, power


def shape(x: Value, *, amplitude: Value, exponent: Value) -> Value:
    """Return y at scale x: amplitude x^-exponent."""
    return amplitude * power(x, -exponent)


LAW = Law(
    name="power",
    shape=shape,
    params={
        "amplitude": Param(lower=0, meaning="y at x = 1, in units of y"),
        "exponent": Param(search=(-4, 4), meaning="decay exponent; negative for growth"),
    },
    linear=("amplitude",),
    formula=r"A x^{-\beta}",
    richer=("power_floor", "logarithmic", "bnsl"),
    source="Hestness et al. 2017, arXiv:1712.00409",
)

TINY = Example({"amplitude": 3.0, "exponent": 0.5}, (np.geomspace(10, 1e4, 24),), 0.02)
