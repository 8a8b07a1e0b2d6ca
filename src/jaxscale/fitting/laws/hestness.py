"""A learning curve has Hestness's three regions: best guess at small data, a power law, an irreducible error."""

import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value, power


def shape(x: Value, *, floor: Value, guess: Value, onset: Value, exponent: Value) -> Value:
    """Return the error at data size x: `guess` above the floor for x far below the onset, a power law far above it."""
    return floor + guess * power(1 + x / onset, -exponent)


LAW = Law(
    name="hestness",
    shape=shape,
    params={
        "floor": Param(lower=0, meaning="irreducible error, in units of y"),
        "guess": Param(lower=0, meaning="error of the best guess above the floor, in units of y"),
        "onset": Param(lower=0, search=(0.5, 0.5), within="x", meaning="where learning sets in, in units of x"),
        "exponent": Param(lower=0.01, upper=8.0, search=(0.05, 2.0), meaning="decay exponent of the power-law region"),
    },
    linear=("floor", "guess"),
    formula=r"\gamma + \epsilon_0 (1 + x/x_0)^{-\beta}",
    broken=True,
    richer=("bnsl",),
    source="Hestness et al. 2017, arXiv:1712.00409, section 3 and figure 6",
    floor="floor",
)

TINY = Example({"floor": 0.1, "guess": 1.0, "onset": 100.0, "exponent": 0.5}, (np.geomspace(3, 1e6, 48),), 0.005)
