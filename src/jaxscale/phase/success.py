"""Boundaries of success probabilities from counts: a logistic curve along the control parameter of every column."""

from typing import Any

import numpy as np

from jaxscale.fit.float64 import float64

ITERATIONS = 40
RIDGE = 1e-3  # of the logistic slope: a column where every run below fails and every run above succeeds has no finite one


def success_boundary(
    successes: Any, trials: Any, *, along: str, level: float = 0.5, resamples: int = 400, root: int = 0
) -> Any:
    """Where the probability of success passes `level`, with a band from resampling the counts.

    All columns and all resamples are fitted in one vmap by Newton's method.

    Args:
      successes: DataArray of counts, with the dimension `along` and at most one other.
      trials: DataArray of counts of the same dims: runs that ended, censored ones left out.
      along: the control parameter, increasing.
      level: probability.
      resamples: parametric bootstrap of the counts.
      root: seed of them.

    Returns:
      Dataset over the other dimension: `position`, `low`, `high`, `slope` (of the logit, per unit of `along`). NaN where the
      level lies beyond the range of the control parameter, or nothing was tried.

    Raises:
      ValueError: more successes than trials, a missing dimension, or a control parameter that does not increase.
    """
    import jax
    import jax.numpy as jnp
    import xarray

    if along not in successes.dims or len(successes.dims) > 2:
        raise ValueError(f"successes must have '{along}' and at most one other dimension; got {list(successes.dims)}.")
    rest = [d for d in successes.dims if d != along]
    k = np.atleast_2d(np.asarray(successes.transpose(*rest, along).values, float))
    n = np.atleast_2d(np.asarray(trials.transpose(*rest, along).values, float))
    x = np.asarray(successes[along].values, float)
    if np.any(np.diff(x) <= 0):
        raise ValueError(f"the coordinate '{along}' must increase; got {x.tolist()[:6]}.")
    if np.any(k > n) or np.any(k < 0) or not 0 < level < 1:
        raise ValueError("need 0 <= successes <= trials in every cell, and a level strictly between 0 and 1.")
    middle, wide = x.mean(), np.ptp(x)
    u = (x - middle) / wide

    def newton(k, n):
        design = jnp.stack([jnp.ones_like(u), jnp.asarray(u)], axis=1)

        def step(_, b):
            p = jax.nn.sigmoid(jnp.clip(design @ b, -30, 30))
            gradient = design.T @ (k - n * p) - RIDGE * jnp.array([0.0, 1.0]) * b
            w = n * p * (1 - p) + 1e-12
            hessian = (design.T * w[None, :]) @ design + RIDGE * jnp.diag(jnp.array([1e-6, 1.0]))
            determinant = hessian[0, 0] * hessian[1, 1] - hessian[0, 1] ** 2
            move = jnp.array([
                hessian[1, 1] * gradient[0] - hessian[0, 1] * gradient[1],
                hessian[0, 0] * gradient[1] - hessian[0, 1] * gradient[0],
            ]) / determinant  # fmt: skip
            return b + jnp.clip(move, -5.0, 5.0)

        return jax.lax.fori_loop(0, ITERATIONS, step, jnp.zeros(2))

    rng, rate = np.random.default_rng(root), (k + 0.5) / (n + 1)
    again = rng.binomial(n.astype(int), rate, size=(resamples, *k.shape))
    with float64():
        fitted = jax.jit(jax.vmap(jax.vmap(newton)))
        both = np.asarray(fitted(jnp.asarray(np.concatenate([k[None], again])), jnp.broadcast_to(n, (resamples + 1, *n.shape))))
    logit = np.log(level / (1 - level))
    with np.errstate(divide="ignore", invalid="ignore"):
        position = (logit - both[..., 0]) / both[..., 1]
    position = np.where((np.abs(position) <= 0.5 + 1e-9) & (n.sum(1) > 0), position, np.nan) * wide + middle
    known = np.isfinite(position[1:]).mean(axis=0) > 0.9
    low, high = np.nanpercentile(np.where(known, position[1:], 0.0), [2.5, 97.5], axis=0)
    found = {"position": position[0], "low": np.where(known, low, np.nan), "high": np.where(known, high, np.nan),
             "slope": both[0, :, 1] / wide}  # fmt: skip
    shape = [] if not rest else rest
    coords = {d: successes[d] for d in rest if d in successes.coords}
    return xarray.Dataset(
        {name: (shape, v if rest else v[0]) for name, v in found.items()}, coords, {"along": along, "level": level}
    )
