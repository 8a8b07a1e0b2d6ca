"""Kaplan's loss falls with parameters and tokens as two power laws that one exponent joins."""

import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value, columns, power


def shape(n: Value, d: Value, *, n_scale: Value, d_scale: Value, alpha_n: Value, alpha_d: Value) -> Value:
    """Return the loss, nats per token, of n parameters trained on d tokens until it stops falling."""
    return power(power(n_scale / n, alpha_n / alpha_d) + d_scale / d, alpha_d)


LAW = Law(
    name="kaplan",
    shape=shape,
    params={
        "n_scale": Param(lower=0, search=(1e12, 1e15), meaning="N_c: parameters (without embeddings) at a loss of 1"),
        "d_scale": Param(lower=0, search=(1e12, 1e15), meaning="D_c: tokens at a loss of 1"),
        "alpha_n": Param(lower=0.005, upper=2.0, search=(0.03, 0.3), meaning="exponent in parameters"),
        "alpha_d": Param(lower=0.005, upper=2.0, search=(0.03, 0.3), meaning="exponent in tokens"),
    },
    linear=(),
    formula=r"[(N_c/N)^{\alpha_N/\alpha_D} + D_c/D]^{\alpha_D}",
    source="Kaplan et al. 2020, arXiv:2001.08361, eq. 1.5",
    exponent="alpha_n",
    inputs=("N", "D"),
)

TINY = Example(
    {"n_scale": 6.4e13, "d_scale": 1.8e13, "alpha_n": 0.076, "alpha_d": 0.103},
    columns(np.geomspace(1e6, 1e9, 8), np.geomspace(1e7, 2e10, 6)), 0.005,
)  # fmt: skip
