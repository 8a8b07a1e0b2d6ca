"""Loss after fine-tuning falls as a product of power laws, in the fine-tuning data and in one resource of pre-training."""

import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value, columns, power


def shape(x: Value, d: Value, *, amplitude: Value, alpha: Value, beta: Value, floor: Value) -> Value:
    """Return the loss after fine-tuning on d tokens, given x of the pre-training resource."""
    return floor + amplitude * power(x, -alpha) * power(d, -beta)


LAW = Law(
    name="fine_tuning",
    shape=shape,
    params={
        "amplitude": Param(lower=0, meaning="loss above the floor at x = D = 1"),
        "alpha": Param(lower=0.001, upper=3.0, search=(0.02, 1.0), meaning="exponent in model size or pre-training data"),
        "beta": Param(lower=0.001, upper=3.0, search=(0.02, 1.0), meaning="exponent in fine-tuning data"),
        "floor": Param(lower=0, meaning="irreducible loss"),
    },
    linear=("amplitude", "floor"),
    formula=r"E + A x^{-\alpha} D_f^{-\beta}",
    source="Zhang et al. 2024, arXiv:2402.17193, eq. 1",
    exponent="beta",
    inputs=("x", "D"),
    floor="floor",
)

TINY = Example(
    {"amplitude": 50.0, "alpha": 0.2, "beta": 0.12, "floor": 1.0},
    columns(np.geomspace(1e7, 1e9, 6), np.geomspace(1e3, 1e6, 8)), 0.004,
)  # fmt: skip
