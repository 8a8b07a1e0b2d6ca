"""Kaplan's loss along training at any batch size: the critical batch depends on the loss, so the loss solves an equation."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.fitting.implicit import root
from jaxscale.fitting.law import Example, Law, Param, Value


def shape(
    n: Value,
    steps: Value,
    batch: Value,
    *,
    n_scale: Value,
    alpha_n: Value,
    s_scale: Value,
    alpha_s: Value,
    b_scale: Value,
    alpha_b: Value,
) -> Value:
    """Return the root L of L = (N_c / N)^alpha_N + (S_c / S_min)^alpha_S, with S_min = S / (1 + B_* L^(-1 / alpha_B) / B)."""
    converged = alpha_n * (jnp.log(n_scale) - jnp.log(n))
    learning = alpha_s * (jnp.log(s_scale) - jnp.log(steps))
    noise = jnp.log(b_scale) - jnp.log(batch)

    def equation(v: jax.Array, params: tuple[jax.Array, ...]) -> jax.Array:  # v = log L; concave and increasing
        converged, learning, noise, alpha_s, alpha_b = params
        return v - jnp.logaddexp(converged, learning + alpha_s * jnp.logaddexp(0.0, noise - v / alpha_b))

    start = jnp.logaddexp(converged, learning)  # the loss of an infinite batch, below the root
    return jnp.exp(root(equation, start, (converged, learning, noise, alpha_s, alpha_b)))


LAW = Law(
    name="kaplan_steps",
    shape=shape,
    params={
        "n_scale": Param(lower=0, search=(1e12, 1e15), meaning="N_c: parameters (without embeddings) at a converged loss of 1"),
        "alpha_n": Param(lower=0.005, upper=2.0, search=(0.04, 0.2), meaning="exponent in parameters"),
        "s_scale": Param(lower=0, search=(100.0, 1e4), meaning="S_c: steps of infinite batch at an excess loss of 1"),
        "alpha_s": Param(lower=0.01, upper=3.0, search=(0.3, 1.2), meaning="exponent in steps"),
        "b_scale": Param(lower=0, search=(1e7, 1e9), meaning="B_*: critical batch, in tokens, at a loss of 1"),
        "alpha_b": Param(lower=0.02, upper=3.0, search=(0.1, 0.5), meaning="exponent of the loss in the critical batch"),
    },
    linear=(),
    formula=r"(N_c/N)^{\alpha_N} + (S_c (1 + B_* / (B L^{1/\alpha_B})) / S)^{\alpha_S}",
    source="Kaplan et al. 2020, arXiv:2001.08361, eqs. 1.6, 5.3 and 5.4; Su et al. 2024, arXiv:2403.06563, section 4",
    exponent="alpha_n",
    inputs=("N", "S", "B"),
)

TINY = Example(
    {"n_scale": 6.5e13, "alpha_n": 0.077, "s_scale": 2.1e3, "alpha_s": 0.76, "b_scale": 2.1e8, "alpha_b": 0.21},
    tuple(a.ravel() for a in np.meshgrid(np.geomspace(1e6, 1e9, 4), np.geomspace(1e3, 2e5, 6), np.geomspace(3e4, 4e6, 4))),
    0.002,
)
