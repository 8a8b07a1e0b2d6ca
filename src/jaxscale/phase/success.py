"""Boundaries of success probabilities come from counts: a logistic curve along the control parameter of every column."""

from collections.abc import Hashable
from typing import TYPE_CHECKING

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.fitting.double_precision import float64
from jaxscale.fitting.linear import spd_solve
from jaxscale.resampling import band

if TYPE_CHECKING:
    import xarray

ITERATIONS = 40
RIDGE = 1e-3  # of the logistic slope: a column where every run below fails and every run above succeeds has no finite one


def success_boundary(
    successes: "xarray.DataArray", trials: "xarray.DataArray", *, along: str, level: float = 0.5, resamples: int = 400,
    root: int = 0,
) -> "xarray.Dataset":  # fmt: skip
    """Return where the probability of success passes `level`, with a band from resampling the counts.

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
    import xarray

    rest, k, n, x = _columns(successes, trials, along, level)
    middle, wide = x.mean(), np.ptp(x)
    u = (x - middle) / wide

    rng, rate = np.random.default_rng(root), (k + 0.5) / (n + 1)
    again = rng.binomial(n.astype(int), rate, size=(resamples, *k.shape))
    with float64():
        fitted = jax.jit(jax.vmap(jax.vmap(_logistic, (0, 0, None)), (0, None, None)))
        both = np.asarray(fitted(jnp.asarray(np.concatenate([k[None], again])), jnp.asarray(n), jnp.asarray(u)))
    logit = np.log(level / (1 - level))
    with np.errstate(divide="ignore", invalid="ignore"):
        position = (logit - both[..., 0]) / both[..., 1]
    position = np.where((np.abs(position) <= 0.5 + 1e-9) & (n.sum(1) > 0), position, np.nan) * wide + middle
    known = np.isfinite(position[1:]).mean(axis=0) > 0.9
    low, high = band(np.where(known, position[1:], np.nan))
    variables = {"position": position[0], "low": low, "high": high, "slope": both[0, :, 1] / wide}
    shape = [] if not rest else rest
    coords = {d: successes[d] for d in rest if d in successes.coords}
    return xarray.Dataset(
        {name: (shape, v if rest else v[0]) for name, v in variables.items()}, coords, {"along": along, "level": level}
    )


def _columns(
    successes: "xarray.DataArray", trials: "xarray.DataArray", along: str, level: float
) -> tuple[list[Hashable], np.ndarray, np.ndarray, np.ndarray]:
    """Return the other dimension, (columns, n) successes and trials, and the (n,) control parameter."""
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
    return rest, k, n, x


def _logistic(k: jax.Array, n: jax.Array, u: jax.Array) -> jax.Array:
    """Return (2,) offset and slope of the logit of k successes in n trials, by Newton's method."""
    design = jnp.stack([jnp.ones_like(u), u], axis=1)
    ridge = RIDGE * jnp.array([1e-6, 1.0])

    def step(_: int, b: jax.Array) -> jax.Array:
        p = jax.nn.sigmoid(jnp.clip(design @ b, -30, 30))
        weight = n * p * (1 - p) + 1e-12
        hessian = (design.T * weight[None, :]) @ design + jnp.diag(ridge)
        return b + jnp.clip(spd_solve(hessian, design.T @ (k - n * p) - ridge * b), -5.0, 5.0)

    return jax.lax.fori_loop(0, ITERATIONS, step, jnp.zeros(2))
