"""One fit, from one start: variable projection for the linear parameters, then Levenberg-Marquardt with robust weights."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from jaxscale.fit.law import Law
from jaxscale.fit.linear import nonnegative, spd_solve


@functools.lru_cache(maxsize=128)
def searcher(law: Law, space: str, huber: float | None, iterations: int, projected: bool) -> Callable[..., Any]:
    """A function (start, x, y, weight, count, free) -> (parameters, objective) of one lane, to be vmapped.

    Args:
      law: what to fit.
      space: "log" for residuals log(model) - log(y), "raw" for model - y.
      huber: delta of the Huber loss of sqrt(weight) times the residual, summed and not averaged; None for squares.
      iterations: how many, always.
      projected: starts give the searched parameters only, and the linear ones are solved for; else starts are whole.
    """
    names = tuple(law.params)
    positive = jnp.array([law.params[n].positive for n in names])
    lower = jnp.array([law.params[n].lower for n in names])
    upper = jnp.array([law.params[n].upper for n in names])

    def unpack(z):
        return jnp.where(positive, jnp.exp(jnp.where(positive, z, 0.0)), z)

    def residual(z, x, y, weight):
        f = law.shape(*x, **dict(zip(names, unpack(z))))
        gap = jnp.log(jnp.maximum(f, 1e-300)) - jnp.log(y) if space == "log" else f - y
        return jnp.where(weight > 0, jnp.sqrt(weight) * gap, 0.0)

    def objective(r, count):
        loss = r**2 if huber is None else jnp.where(jnp.abs(r) <= huber, r**2, huber * (2 * jnp.abs(r) - huber))
        return jnp.sum(count * loss)

    def pack(raw, floor):
        return jnp.where(positive, jnp.log(jnp.maximum(raw, floor)), jnp.clip(raw, lower, upper))

    def project(theta, x, y, weight):
        """Linear parameters solved exactly at this start; in log space with weights 1 / y^2, the same to first order."""
        fixed = dict(zip(law.searched, theta))
        zero = dict.fromkeys(law.linear, 0.0)
        columns = [law.shape(*x, **fixed, **{**zero, name: 1.0}) * jnp.ones_like(y) for name in law.linear]
        w = weight / y**2 if space == "log" else weight
        solved = nonnegative(columns, y, w, [law.params[name].lower for name in law.linear]) if law.linear else ()
        full = fixed | dict(zip(law.linear, solved))
        tiny = 1e-4 * jnp.min(jnp.where(weight > 0, jnp.abs(y), jnp.inf))
        return pack(jnp.array([full[name] for name in names]), jnp.where(jnp.isfinite(tiny), tiny, 1e-12))

    def search(start, x, y, weight, count, free):
        def step(carry, _):
            z, damping, value = carry
            r, jacobian = residual(z, x, y, weight), jax.jacfwd(residual)(z, x, y, weight)
            robust = count if huber is None else count * jnp.minimum(1.0, huber / jnp.maximum(jnp.abs(r), 1e-300))
            gradient = jacobian.T @ (robust * r)
            # a parameter at its bound that the step would push outwards stays out of the step
            held = ((z <= lower) & (gradient > 0)) | ((z >= upper) & (gradient < 0))
            held = (held & ~positive) | (free == 0)
            moving = jnp.where(held, 0.0, 1.0)
            hessian = (jacobian.T * robust[None, :]) @ jacobian * moving[:, None] * moving[None, :]
            scale = jnp.diag(hessian) + 1e-12 * (1 + jnp.max(jnp.diag(hessian)))
            move = spd_solve(hessian + jnp.diag(damping * scale + jnp.where(held, 1.0, 0.0) + 1e-300), -gradient * moving)
            trial = jnp.where(positive, jnp.clip(z + jnp.clip(move, -5, 5), -700, 700), jnp.clip(z + move, lower, upper))
            new = objective(residual(trial, x, y, weight), count)
            better = new < value
            z = jnp.where(better, trial, z)
            damping = jnp.clip(jnp.where(better, damping / 4, damping * 6), 1e-14, 1e8)
            return (z, damping, jnp.where(better, new, value)), None

        z = project(start, x, y, weight * count) if projected else pack(start, 1e-300)
        carry = (z, jnp.float64(1e-3), objective(residual(z, x, y, weight), count))
        (z, _, value), _ = jax.lax.scan(step, carry, length=iterations)
        return unpack(z), value

    return search
