"""The loss of over-trained models follows Chinchilla's law with one exponent, seen against compute at a fixed token ratio."""

import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value, columns, power


def shape(n: Value, d: Value, *, A: Value, B: Value, E: Value, eta: Value) -> Value:
    """Return the loss, nats per token, of n parameters trained on d tokens."""
    return E + A * power(n, -2 * eta) + B * power(d, -2 * eta)


LAW = Law(
    name="over_training",
    shape=shape,
    params={
        "A": Param(lower=0, meaning="loss of N = 1 above the floor, nats per token"),
        "B": Param(lower=0, meaning="loss of D = 1 above the floor, nats per token"),
        "E": Param(lower=0, meaning="irreducible loss, nats per token"),
        "eta": Param(lower=0.005, upper=2.0, search=(0.02, 0.6), meaning="exponent in compute at a fixed M = D / N"),
    },
    linear=("A", "B", "E"),
    formula=r"E + (a M^{\eta} + b M^{-\eta}) C^{-\eta},\ C = 6ND,\ M = D/N,\ a = 6^\eta A,\ b = 6^\eta B",
    source="Gadre et al. 2024, arXiv:2403.08540, eq. 4",
    exponent="eta",
    inputs=("N", "D"),
    floor="E",
    derived={"a": lambda A, eta, **_: A * 6**eta, "b": lambda B, eta, **_: B * 6**eta},
)

TINY = Example(
    {"A": 150.0, "B": 250.0, "E": 1.7, "eta": 0.13}, columns(np.geomspace(1e7, 1e9, 7), np.geomspace(1e8, 1e11, 7)), 0.005
)
