"""The error on repeated, filtered data: every pool has a utility, which halves with every so many repetitions."""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value, columns

EPOCHS = 40  # repetitions beyond these teach nothing


def progress(n: Value, pool: Value) -> Value:
    """Return (m, EPOCHS) of n and pool, (m,) each: ln of the growth of the samples seen in each epoch, from one sample on."""
    k = jnp.arange(EPOCHS)[None, :]
    seen, pool = jnp.asarray(n)[..., None], jnp.asarray(pool)[..., None]
    start = jnp.where(k == 0, 1.0, k * pool)
    return jnp.log(jnp.maximum(jnp.minimum(seen, (k + 1) * pool), start) / start)


def shape(n: Value, pool: Value, *, amplitude: Value, floor: Value, utility: Value, half_life: Value) -> Value:
    """Return the error after n samples were seen, drawn from a pool of `pool` distinct ones."""
    fading = 2.0 ** (-jnp.arange(EPOCHS) / half_life)
    return floor + amplitude * jnp.exp(-utility * progress(n, pool) @ fading)


def mixed(
    n: Value, pool: Value, *, amplitude: Value, floor: Value, utilities: Sequence[float], half_lives: Sequence[float]
) -> Value:
    """Return the error of training on equal parts of several pools, from the fits of each alone.

    A sample of a mixture of p pools is met p times less often, so half-lives grow p-fold.

    Args:
      n: (m,) samples seen in all.
      pool: (m,) samples in all pools together.
      amplitude: shared by the pools.
      floor: shared by the pools.
      utilities: (p,) of the pools.
      half_lives: (p,) in epochs, of each pool alone.
    """
    k, lives = jnp.arange(EPOCHS)[:, None], len(half_lives) * jnp.asarray(half_lives)
    fading = jnp.mean(jnp.asarray(utilities)[None, :] * 2.0 ** (-k / lives[None, :]), axis=1)
    return floor + amplitude * jnp.exp(-progress(n, pool) @ fading)


LAW = Law(
    name="data_utility",
    shape=shape,
    params={
        "amplitude": Param(lower=0, meaning="error above the floor at one sample"),
        "floor": Param(lower=0, meaning="irreducible error"),
        "utility": Param(lower=0.001, upper=3.0, search=(0.02, 0.8), meaning="exponent of the first epoch"),
        "half_life": Param(lower=0, search=(0.5, 20.0), meaning="epochs after which the exponent has halved"),
    },
    linear=("amplitude", "floor"),
    formula=r"d + a\, n_1^{-b} \prod_k (n_k / n_{k-1})^{-b\, 2^{-k/\tau}}",
    source="Goyal et al. 2024, arXiv:2404.07177, eqs. 3-6 (there the floor decays too)",
    exponent="utility",
    inputs=("n", "pool"),
    floor="floor",
)

TINY = Example(
    {"amplitude": 2.0, "floor": 0.1, "utility": 0.2, "half_life": 3.0},
    columns(np.geomspace(1e3, 2e6, 16), (1e4, 1e5, 1e6)), 0.004,
)  # fmt: skip
