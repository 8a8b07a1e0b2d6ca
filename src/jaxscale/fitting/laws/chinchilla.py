"""The loss of a language model falls with parameters and tokens as L = E + A N^-alpha + B D^-beta."""

import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value, columns, power


def shape(n: Value, d: Value, *, A: Value, B: Value, E: Value, alpha: Value, beta: Value) -> Value:
    """Return the loss, nats per token, of n parameters trained on d tokens."""
    return E + A * power(n, -alpha) + B * power(d, -beta)


def scale(A: Value, B: Value, alpha: Value, beta: Value, **_: Value) -> Value:
    """Return G of N_opt = G (C/6)^a and D_opt = (C/6)^b / G."""
    return (alpha * A / (beta * B)) ** (1 / (alpha + beta))


def optimal_parameters(compute: Value, **p: Value) -> Value:
    """Return N_opt at a budget of `compute` flops, with C = 6 N D."""
    return scale(**p) * (compute / 6) ** (p["beta"] / (p["alpha"] + p["beta"]))


def optimal_tokens(compute: Value, **p: Value) -> Value:
    """Return D_opt at a budget of `compute` flops, with C = 6 N D."""
    return (compute / 6) ** (p["alpha"] / (p["alpha"] + p["beta"])) / scale(**p)


def tokens_per_parameter(compute: Value, **p: Value) -> Value:
    """Return D_opt / N_opt at a budget of `compute` flops."""
    return optimal_tokens(compute, **p) / optimal_parameters(compute, **p)


LAW = Law(
    name="chinchilla",
    shape=shape,
    params={
        "A": Param(lower=0, meaning="loss of N = 1 above the floor, nats per token"),
        "B": Param(lower=0, meaning="loss of D = 1 above the floor, nats per token"),
        "E": Param(lower=0, meaning="irreducible loss, nats per token"),
        "alpha": Param(lower=0.01, upper=3.0, search=(0.05, 1.5), meaning="exponent in parameters"),
        "beta": Param(lower=0.01, upper=3.0, search=(0.05, 1.5), meaning="exponent in tokens"),
    },
    linear=("A", "B", "E"),
    formula=r"E + A N^{-\alpha} + B D^{-\beta}",
    source="Hoffmann et al. 2022, arXiv:2203.15556, eq. 2; Besiroglu et al. 2024, arXiv:2404.10102",
    exponent="alpha",
    inputs=("N", "D"),
    floor="E",
    derived={
        "a": lambda alpha, beta, **_: beta / (alpha + beta),
        "b": lambda alpha, beta, **_: alpha / (alpha + beta),
        "G": scale,
        "tokens_per_parameter_1e21": lambda **p: tokens_per_parameter(1e21, **p),
    },
    at_budget={"N_opt": optimal_parameters, "D_opt": optimal_tokens, "tokens_per_parameter": tokens_per_parameter},
)

TINY = Example(
    {"A": 480.0, "B": 2100.0, "E": 1.8, "alpha": 0.35, "beta": 0.37},
    columns(np.geomspace(5e7, 1e10, 8), np.geomspace(1e9, 1e12, 8)), 0.005,
)  # fmt: skip
