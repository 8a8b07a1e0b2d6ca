"""The loss depends on the proportions of a data mixture; one mixture is the best."""

import functools
from collections.abc import Mapping, Sequence
from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value


class Fitted(Protocol):
    """Require what `best` needs of a fit: its parameters by name."""

    @property
    def values(self) -> dict[str, float]:
        """Return {parameter: value}."""


def shape(*shares: Value, floor: Value, scale: Value, **pulls: Value) -> Value:
    """Return the loss of a mixture with these shares; the last domain is the reference, with pull 0."""
    return floor + scale * jnp.exp(sum(pull * share for pull, share in zip(pulls.values(), shares)))


def sums_to_one(shares: np.ndarray) -> None:
    """Raise ValueError unless (domains, n) proportions are positive and sum to one."""
    total = shares.sum(axis=0)
    if np.any(shares < 0) or not np.allclose(total, 1, atol=1e-3):
        raise ValueError(f"proportions must be positive and sum to one; they sum to {total.min():.4g} ... {total.max():.4g}.")


@functools.cache
def law(domains: int) -> Law:
    """Return the law of the loss on one validation set as a function of `domains` proportions that sum to one."""
    if domains < 2:
        raise ValueError(f"a mixture has at least 2 domains; got {domains}.")
    pulls = {
        f"pull{i}": Param(lower=-20.0, upper=20.0, search=(-4.0, 2.0), meaning=f"of domain {i} against the last, in ln loss")
        for i in range(1, domains)
    }
    return Law(
        name="mixture" if domains == 3 else f"mixture{domains}",
        shape=shape,
        params={
            "floor": Param(lower=0, meaning="loss that no mixture removes"),
            "scale": Param(lower=0, meaning="loss above the floor of the last domain alone"),
            **pulls,
        },
        linear=("floor", "scale"),
        formula=r"c + k \exp(\sum_j t_j r_j)",
        source="Ye et al. 2024, arXiv:2403.16952, eq. 6",
        exponent="pull1",
        inputs=tuple(f"r{i}" for i in range(1, domains + 1)),
        signed=tuple(f"r{i}" for i in range(1, domains + 1)),
        floor="floor",
        check=sums_to_one,
    )


def best(fits: Sequence[Fitted | Mapping[str, float]], weights: Sequence[float]) -> np.ndarray:
    """Return the proportions of the lowest weighted loss over several validation sets, (domains,).

    Searched in log-ratio coordinates ln(r_i / r_last), where the simplex has no edge, from its middle and from near each
    corner.

    Args:
      fits: for each validation set, the fit of its law or its parameters.
      weights: of the validation sets in the total.
    """
    from scipy.optimize import minimize

    parameters = [fit if isinstance(fit, Mapping) else fit.values for fit in fits]
    if len(parameters) != len(weights):
        raise ValueError(f"one weight for each validation set: got {len(parameters)} fits and {len(weights)} weights.")
    domains = sum(name.startswith("pull") for name in parameters[0]) + 1
    pulls = np.array([[p[f"pull{i}"] for i in range(1, domains)] + [0.0] for p in parameters])
    scale = np.array([p["scale"] for p in parameters]) * np.asarray(weights, float)

    def total(z: np.ndarray) -> float:
        shares = np.asarray(jax.nn.softmax(np.append(z, 0.0)))
        return float(scale @ np.exp(pulls @ shares))

    corners = 6.0 * np.eye(domains)
    starts = [np.zeros(domains - 1), *(corner[:-1] - corner[-1] for corner in corners)]
    optimum = min((minimize(total, z, method="Nelder-Mead", options={"xatol": 1e-5}) for z in starts), key=lambda o: o.fun)
    return np.asarray(jax.nn.softmax(np.append(optimum.x, 0.0)))


def _simplex(side: int) -> tuple[np.ndarray, ...]:
    grid = [(i, j, side - i - j) for i in range(side + 1) for j in range(side + 1 - i)]
    return tuple(np.array(grid, float).T / side)


LAW = law(3)

TINY = Example({"floor": 1.5, "scale": 1.2, "pull1": -1.6, "pull2": -0.5}, _simplex(8), 0.002)
