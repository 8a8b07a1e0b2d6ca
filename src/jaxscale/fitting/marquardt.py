"""Fit once, from one start: variable projection for the linear parameters, then Levenberg-Marquardt with robust weights."""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.fitting.law import Law
from jaxscale.fitting.linear import nonnegative, spd_solve

MIN_DAMPING, MAX_DAMPING = 1e-14, 1e8
DAMPING = 1e-3  # a lane's first; a step that is taken divides it by 4

State = tuple[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array]  # packed parameters, damping, objective, gradient, matrix
Inputs = tuple[jax.Array, ...]  # one (n,) column for each input of the law
Terms = tuple[jax.Array, jax.Array, jax.Array]  # objective, gradient, matrix


class Search(NamedTuple):
    """Hold the functions of one lane's search, to be vmapped.

    A state is (packed parameters, damping, objective, gradient, matrix).

    Attributes:
      project: (start, x, y, weight, count) -> packed parameters of a start that gives the searched ones only: the linear
        ones are solved for.
      pack: whole starts, (lanes, params) -> packed parameters, on the host.
      advance: (state, steps, x, y, weight, count, free) -> state, `steps` iterations on; parameters with free = 0 stay.
      positive: (params,), which of the packed parameters are logarithms.
    """

    project: Callable[..., jax.Array]
    pack: Callable[[np.ndarray], np.ndarray]
    advance: Callable[..., State]
    positive: np.ndarray


@functools.lru_cache(maxsize=128)
def searcher(law: Law, space: str, huber: float | None) -> Search:
    """Return the search of one law, as functions that are traced with the data.

    Args:
      law: what to fit.
      space: "log" for residuals log(model) - log(y), "raw" for model - y.
      huber: delta of the Huber loss of sqrt(weight) times the residual, summed and not averaged; None for squares.
    """
    surface = _Surface(law, space, huber)

    def project(start: jax.Array, x: Inputs, y: jax.Array, weight: jax.Array, count: jax.Array) -> jax.Array:
        return surface.solved(start, x, y, weight * count)

    def pack(start: np.ndarray) -> np.ndarray:
        return np.where(surface.positive, np.log(np.maximum(start, 1e-300)), np.clip(start, surface.lower, surface.upper))

    def advance(
        state: State, steps: jax.Array, x: Inputs, y: jax.Array, weight: jax.Array, count: jax.Array, free: jax.Array
    ) -> State:
        step = functools.partial(_step, surface, free, lambda z: surface.expand(z, x, y, weight, count))
        return jax.lax.fori_loop(0, steps, lambda _, carry: step(carry), state)

    return Search(project, pack, advance, surface.positive)


def unseen(packed: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return the state of lanes, (lanes, params), that are not evaluated yet: their first iteration does that and no more.

    With no gradient the step is none, and any objective is better than infinity: a program of its own would cost .5 s.
    """
    n, p = packed.shape
    return packed, np.full(n, 4 * DAMPING), np.full(n, np.inf), np.zeros((n, p)), np.zeros((n, p, p))


class _Surface:
    """Evaluate the objective of one law over packed parameters: logarithms of those that are positive."""

    def __init__(self, law: Law, space: str, huber: float | None) -> None:
        self.law, self.space, self.huber = law, space, huber
        self.names = tuple(law.params)
        self.positive = np.array([law.params[n].positive for n in self.names])
        self.lower = np.array([law.params[n].lower for n in self.names], np.float64)
        self.upper = np.array([law.params[n].upper for n in self.names], np.float64)

    def unpack(self, z: jax.Array) -> jax.Array:
        return jnp.where(self.positive, jnp.exp(jnp.where(self.positive, z, 0.0)), z)

    def pack(self, raw: jax.Array, floor: jax.Array | float) -> jax.Array:
        return jnp.where(self.positive, jnp.log(jnp.maximum(raw, floor)), jnp.clip(raw, self.lower, self.upper))

    def residual(self, z: jax.Array, x: Inputs, y: jax.Array, weight: jax.Array) -> jax.Array:
        f = self.law.shape(*x, **dict(zip(self.names, self.unpack(z))))
        gap = jnp.log(jnp.maximum(f, 1e-300)) - jnp.log(y) if self.space == "log" else f - y
        return jnp.where(weight > 0, jnp.sqrt(weight) * gap, 0.0)

    def objective(self, r: jax.Array, count: jax.Array) -> jax.Array:
        huber = self.huber
        loss = r**2 if huber is None else jnp.where(jnp.abs(r) <= huber, r**2, huber * (2 * jnp.abs(r) - huber))
        return jnp.sum(count * loss)

    def solved(self, theta: jax.Array, x: Inputs, y: jax.Array, weight: jax.Array) -> jax.Array:
        """Return packed parameters whose linear ones are solved for exactly at the searched ones, `theta`.

        In log space the weights are 1 / y^2, which is the same to first order.
        """
        law, fixed = self.law, dict(zip(self.law.searched, theta))
        zero = dict.fromkeys(law.linear, 0.0)
        columns = [law.shape(*x, **fixed, **{**zero, name: 1.0}) * jnp.ones_like(y) for name in law.linear]
        w = weight / y**2 if self.space == "log" else weight
        amplitudes = nonnegative(columns, y, w, [law.params[name].lower for name in law.linear]) if law.linear else ()
        full = fixed | dict(zip(law.linear, amplitudes))
        tiny = 1e-4 * jnp.min(jnp.where(weight > 0, jnp.abs(y), jnp.inf))
        return self.pack(jnp.array([full[name] for name in self.names]), jnp.where(jnp.isfinite(tiny), tiny, 1e-12))

    def expand(self, z: jax.Array, x: Inputs, y: jax.Array, weight: jax.Array, count: jax.Array) -> Terms:
        """Return objective, gradient and Gauss-Newton matrix at z, from one pass: tangents share the primal's exponentials."""

        def along(tangent: jax.Array) -> tuple[jax.Array, jax.Array]:
            return jax.jvp(lambda z: self.residual(z, x, y, weight), (z,), (tangent,))

        r, slopes = jax.vmap(along, out_axes=(None, 0))(jnp.eye(len(self.names)))
        robust = count if self.huber is None else count * jnp.minimum(1.0, self.huber / jnp.maximum(jnp.abs(r), 1e-300))
        weighted = slopes * robust[None, :]
        return self.objective(r, count), weighted @ r, weighted @ slopes.T


def _step(surface: _Surface, free: jax.Array, expand: Callable[[jax.Array], Terms], state: State) -> State:
    """Try one step and return the better of the two states; the damping follows."""
    z, damping, value, gradient, matrix = state
    positive, lower, upper = surface.positive, surface.lower, surface.upper
    # a parameter at its bound that the step would push outwards stays out of the step
    fixed = ((z <= lower) & (gradient > 0)) | ((z >= upper) & (gradient < 0))
    fixed = (fixed & ~positive) | (free == 0)
    moving = jnp.where(fixed, 0.0, 1.0)
    hessian = matrix * moving[:, None] * moving[None, :]
    scale = jnp.diag(hessian) + 1e-12 * (1 + jnp.max(jnp.diag(hessian)))
    move = spd_solve(hessian + jnp.diag(damping * scale + jnp.where(fixed, 1.0, 0.0) + 1e-300), -gradient * moving)
    trial = jnp.where(positive, jnp.clip(z + jnp.clip(move, -5, 5), -700, 700), jnp.clip(z + move, lower, upper))
    new = expand(trial)
    better = new[0] < value
    z, value, gradient, matrix = (jnp.where(better, a, b) for a, b in zip((trial, *new), (z, value, gradient, matrix)))
    damping = jnp.clip(jnp.where(better, damping / 4, damping * 6), MIN_DAMPING, MAX_DAMPING)
    return z, damping, value, gradient, matrix
