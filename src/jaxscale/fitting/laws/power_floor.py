"""The power law with a floor says y = floor + amplitude * x**-exponent."""

import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value, power


def shape(x: Value, *, amplitude: Value, exponent: Value, floor: Value) -> Value:
    """Return y at scale x: floor + amplitude x^-exponent."""
    return floor + amplitude * power(x, -exponent)


LAW = Law(
    name="power_floor",
    shape=shape,
    params={
        "amplitude": Param(lower=0, meaning="y - floor at x = 1, in units of y"),
        "exponent": Param(lower=0.01, upper=8.0, search=(0.05, 4), meaning="decay exponent"),
        "floor": Param(lower=0, meaning="limit at large x, in units of y"),
    },
    linear=("amplitude", "floor"),
    formula=r"C + A x^{-\beta}",
    floor="floor",
    richer=("bnsl", "shifted_power"),
    source="Hestness et al. 2017, arXiv:1712.00409",
)

TINY = Example({"amplitude": 2.0, "exponent": 0.5, "floor": 0.3}, (np.geomspace(10, 1e4, 32),))
