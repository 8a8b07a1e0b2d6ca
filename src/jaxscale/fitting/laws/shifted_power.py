"""A power law of a shifted argument levels off at large x; the plateau belongs to the exponent and is no floor (M3)."""

import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value, power


def shape(x: Value, *, amplitude: Value, shift: Value, exponent: Value) -> Value:
    """Return y at scale x: amplitude (1 / x + shift)^exponent."""
    return amplitude * power(1 / x + shift, exponent)


LAW = Law(
    name="shifted_power",
    shape=shape,
    params={
        "amplitude": Param(lower=0, meaning="scale, in units of y"),
        "shift": Param(lower=0, search=(0.01, 1.0), within="1/x", meaning="inverse of the x at which the curve levels off"),
        "exponent": Param(lower=0.001, upper=8.0, search=(0.02, 1.5), meaning="decay exponent before levelling off"),
    },
    linear=("amplitude",),
    formula=r"\beta (1/x + \gamma)^{c}",
    broken=True,
    richer=("bnsl",),
    source="Alabdulmohsin, Neyshabur & Zhai 2022, arXiv:2209.06640, estimator M3",
)

TINY = Example({"amplitude": 5.0, "shift": 1e-3, "exponent": 0.3}, (np.geomspace(1e2, 1e5, 32),))
