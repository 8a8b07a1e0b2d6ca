"""Loss when data are repeated follows Chinchilla's law of effective parameters and effective tokens."""

import jax.numpy as jnp
import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value, columns, power

A, B, E, ALPHA = 6.255414, 7.3049974, 0.6254804, 0.3526596  # of the unrepeated law: log A, log B, log E and the tied exponent


def effective(size: Value, unique: Value, decay: Value) -> Value:
    """Return the unique part plus what repeating it is worth, R* (1 - exp(-R / R*)) times as much; R* is `decay`."""
    repeats = jnp.maximum(size / unique - 1, 0.0)
    return unique * (1 + decay * (1 - jnp.exp(-repeats / decay)))


def shape(n: Value, d: Value, unique: Value, *, tokens_decay: Value, parameters_decay: Value) -> Value:
    """Return the loss of n parameters trained on d tokens, of which `unique` are distinct. The unrepeated law is fixed."""
    scale = jnp.exp((A - B) / (2 * ALPHA))  # G of the tied law
    matched = jnp.minimum(n, unique * scale * scale)  # N_opt of the unique tokens
    n_eff, d_eff = effective(n, matched, parameters_decay), effective(d, unique, tokens_decay)
    return jnp.exp(E) + jnp.exp(A) * power(n_eff, -ALPHA) + jnp.exp(B) * power(d_eff, -ALPHA)


LAW = Law(
    name="data_constrained",
    shape=shape,
    params={
        "tokens_decay": Param(lower=0.01, upper=1e4, search=(1.0, 40.0), meaning="R_D*: repetitions after which tokens fade"),
        "parameters_decay": Param(lower=0.01, upper=1e4, search=(1.0, 20.0), meaning="R_N*: the same for excess parameters"),
    },
    linear=(),
    formula=r"E + A N'^{-\alpha} + B D'^{-\beta},\ D' = U_D (1 + R_D^* (1 - e^{-R_D/R_D^*}))",
    source="Muennighoff et al. 2023, arXiv:2305.16264, eqs. 5-7",
    exponent="tokens_decay",
    inputs=("N", "D", "U"),
)

TINY = Example(
    {"tokens_decay": 15.4, "parameters_decay": 5.3},
    columns(np.geomspace(1e8, 9e9, 6), np.geomspace(5e9, 5e11, 6), (1e8, 1e9, 1e10)), 0.005,
)  # fmt: skip
