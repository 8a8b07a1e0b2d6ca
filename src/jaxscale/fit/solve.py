"""The solver: variable projection at every start, then Levenberg-Marquardt; all starts and all resamples in one vmap.

Float64 on the CPU whatever the global flag: float32 fits fail, and float64 on a TPU is impractical.
"""

import functools
import itertools
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.fit.law import Law

ITERATIONS = 60
STARTS = 24  # per searched parameter


class Solution(NamedTuple):
    """Fits of many data sets that share their x."""

    values: np.ndarray  # (resamples, params), the best start's
    objective: np.ndarray  # (resamples,), weighted sum of losses
    reached: np.ndarray  # (resamples,), share of starts within 0.1 % of the best objective


def solve(
    law: Law, x: np.ndarray, y: np.ndarray, weight: np.ndarray, *, space: str = "log", huber: float | None = None
) -> Solution:
    """Fit `law` to every row of `y`.

    Args:
      law: what to fit.
      x: (n,), positive where the law takes powers.
      y: (resamples, n) or (n,); positive in log space.
      weight: like y, one over the variance of each residual; 0 leaves a point out, whatever its y.
      space: "log" for residuals log(model) - log(y), "raw" for model - y.
      huber: delta of the Huber loss on the weighted residual, summed and not averaged; None for squares.
    """
    if space not in ("log", "raw"):
        raise ValueError(f"space must be 'log' or 'raw'; got {space!r}.")
    y, weight = np.atleast_2d(y), np.broadcast_to(weight, np.atleast_2d(y).shape)
    y = np.where(weight > 0, y, 1.0)  # what is left out must not make NaN
    starts = _starts(law)
    with float64():
        values, objective = _solve_all(law, space, huber)(*(jnp.asarray(a, jnp.float64) for a in (x, y, weight, starts)))
        values, objective = np.asarray(values), np.asarray(objective)
    objective = np.where(np.isfinite(objective), objective, np.inf)
    best = np.argmin(objective, axis=1)
    lowest = np.take_along_axis(objective, best[:, None], 1)
    slack = 1e-3 * lowest + 1e-9 * np.sum(weight > 0, axis=1, keepdims=True)  # an exact fit has objective 0
    reached = np.mean(objective <= lowest + slack, axis=1)
    return Solution(np.take_along_axis(values, best[:, None, None], 1)[:, 0], lowest[:, 0], reached)


@contextmanager
def float64():
    """Float64 on the host CPU, for the code inside only."""
    name = "enable_x64"  # moved out of experimental after jax 0.7
    enable = getattr(jax if hasattr(jax, name) else jax.experimental, name)
    with ExitStack() as stack:
        stack.enter_context(enable(True))
        stack.enter_context(jax.default_device(jax.local_devices(backend="cpu")[0]))
        yield


def _starts(law: Law) -> np.ndarray:
    """(starts, searched): a grid over the search ranges."""
    ranges = [law.params[name].search or (0.0, 0.0) for name in law.searched]  # a Law without a range cannot be made
    axes = [np.linspace(low, high, STARTS) for low, high in ranges]
    return np.array(list(itertools.product(*axes))).reshape(-1, len(axes))


@functools.lru_cache(maxsize=64)
def _solve_all(law: Law, space: str, huber: float | None):
    names = tuple(law.params)
    positive = jnp.array([law.params[n].positive for n in names])
    lower = jnp.array([law.params[n].lower for n in names])
    upper = jnp.array([law.params[n].upper for n in names])

    def unpack(z):
        return jnp.where(positive, jnp.exp(jnp.where(positive, z, 0.0)), z)

    def model(z, x):
        return law.shape(x, **dict(zip(names, unpack(z))))

    def residual(z, x, y, weight):
        f = model(z, x)
        gap = jnp.log(jnp.maximum(f, 1e-300)) - jnp.log(y) if space == "log" else f - y
        return jnp.where(weight > 0, jnp.sqrt(weight) * gap, 0.0)

    def objective(r):
        if huber is None:
            return jnp.sum(r**2)
        return jnp.sum(jnp.where(jnp.abs(r) <= huber, r**2, huber * (2 * jnp.abs(r) - huber)))

    def begin(theta, x, y, weight):
        """Linear parameters solved exactly at this start; in log space with weights 1 / y^2, the same to first order."""
        fixed = dict(zip(law.searched, theta))
        zero = dict.fromkeys(law.linear, 0.0)
        columns = [law.shape(x, **fixed, **{**zero, name: 1.0}) * jnp.ones_like(x) for name in law.linear]
        w = weight / y**2 if space == "log" else weight
        solved = _nonnegative(columns, y, w, [law.params[name].lower for name in law.linear])
        tiny = 1e-4 * jnp.min(jnp.where(weight > 0, jnp.abs(y), jnp.inf))
        full = fixed | dict(zip(law.linear, solved))
        raw = jnp.array([full[name] for name in names])
        return jnp.where(positive, jnp.log(jnp.maximum(raw, jnp.where(jnp.isfinite(tiny), tiny, 1e-12))), raw)

    def one(theta, x, y, weight):
        def step(carry, _):
            z, damping, value = carry
            r = residual(z, x, y, weight)
            jacobian = jax.jacfwd(residual)(z, x, y, weight)
            robust = jnp.ones_like(r) if huber is None else jnp.minimum(1.0, huber / jnp.maximum(jnp.abs(r), 1e-300))
            gradient = jacobian.T @ (robust * r)
            # a parameter at its bound that the step would push outwards stays out of the step
            held = ((z <= lower) & (gradient > 0)) | ((z >= upper) & (gradient < 0))
            held = held & ~positive
            free = jnp.where(held, 0.0, 1.0)
            hessian = (jacobian.T * robust[None, :]) @ jacobian * free[:, None] * free[None, :]
            scale = jnp.diag(hessian) + 1e-12 * (1 + jnp.max(jnp.diag(hessian)))
            move = _spd_solve(hessian + jnp.diag(damping * scale + jnp.where(held, 1.0, 0.0) + 1e-300), -gradient * free)
            trial = jnp.where(positive, jnp.clip(z + jnp.clip(move, -5, 5), -700, 700), jnp.clip(z + move, lower, upper))
            new = objective(residual(trial, x, y, weight))
            better = new < value
            z = jnp.where(better, trial, z)
            damping = jnp.clip(jnp.where(better, damping / 4, damping * 6), 1e-14, 1e8)
            return (z, damping, jnp.where(better, new, value)), None

        z = begin(theta, x, y, weight)
        carry = (z, jnp.float64(1e-3), objective(residual(z, x, y, weight)))
        (z, _, value), _ = jax.lax.scan(step, carry, length=ITERATIONS)
        return unpack(z), value

    over_starts = jax.vmap(one, in_axes=(0, None, None, None))
    return jax.jit(jax.vmap(lambda x, y, w, starts: over_starts(starts, x, y, w), in_axes=(None, 0, 0, None)))


def _nonnegative(columns, y, weight, lower):
    """Weighted least squares in a few columns, coefficients with lower bound 0 kept non-negative, exactly.

    All subsets of the bounded columns are solved and the best feasible one is taken: with two or three of them that is
    cheaper than an active-set loop and has no branches.
    """
    bounded = [i for i, low in enumerate(lower) if low == 0]
    size = jnp.array([jnp.sqrt(jnp.sum(weight * c**2)) + 1e-300 for c in columns])
    basis = jnp.stack(columns, axis=1) / size[None, :]
    gram, target = (basis.T * weight[None, :]) @ basis, basis.T @ (weight * y)
    best, lowest = jnp.zeros(len(columns)), jnp.float64(jnp.inf)
    for out in itertools.product(*[(False, True) if i in bounded else (False,) for i in range(len(columns))]):
        keep = 1.0 - jnp.array(out, jnp.float64)
        matrix = gram * keep[:, None] * keep[None, :] + jnp.diag(1.0 - keep) + 1e-13 * jnp.eye(len(columns))
        c = _spd_solve(matrix, target * keep)
        value = c @ gram @ c - 2 * c @ target
        feasible = jnp.all(jnp.array([c[i] >= 0 for i in bounded])) if bounded else jnp.array(True)
        take = feasible & (value < lowest)
        best, lowest = jnp.where(take, c, best), jnp.where(take, value, lowest)
    return best / size


def _spd_solve(matrix, right):
    """Unrolled LDL^T of a small positive definite system: no LAPACK call, so a vmap of thousands stays one fused loop."""
    n = matrix.shape[0]
    low: list[list[Any]] = [[None] * n for _ in range(n)]
    diagonal: list[Any] = []
    forward: list[Any] = []
    for i in range(n):
        for j in range(i):
            low[i][j] = (matrix[i, j] - sum(low[i][k] * low[j][k] * diagonal[k] for k in range(j))) / diagonal[j]
        pivot = matrix[i, i] - sum(low[i][k] ** 2 * diagonal[k] for k in range(i))
        diagonal.append(jnp.where(pivot > 0, pivot, 1e-300))
        forward.append(right[i] - sum(low[i][k] * forward[k] for k in range(i)))
    out: list[Any] = [None] * n
    for i in reversed(range(n)):
        out[i] = forward[i] / diagonal[i] - sum(low[k][i] * out[k] for k in range(i + 1, n))
    return jnp.stack(out)
