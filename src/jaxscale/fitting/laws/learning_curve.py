"""A learning curve rises towards a limit: accuracy against training examples."""

import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value, power


def shape(x: Value, *, limit: Value, drop: Value, exponent: Value) -> Value:
    """Return the accuracy after x training examples: limit - drop x^-exponent."""
    return limit - drop * power(x, -exponent)


LAW = Law(
    name="learning_curve",
    shape=shape,
    params={
        "limit": Param(lower=0, meaning="accuracy at infinite data, in units of y"),
        "drop": Param(lower=0, meaning="limit less accuracy at x = 1"),
        "exponent": Param(lower=0.01, upper=8.0, search=(0.05, 2.0), meaning="decay exponent of what is missing"),
    },
    linear=("limit", "drop"),
    formula=r"c - a x^{-b}",
    richer=("bnsl",),
    source="Vilares et al. 2017, arXiv:2402.02515, section 3",
    space="raw",
)

TINY = Example({"limit": 96.0, "drop": 60.0, "exponent": 0.4}, (np.geomspace(50, 1e5, 32),), 0.1, "raw")
