"""Self-tests that every fit of a table carries: starts, bounds, flat directions, residuals, hold-out."""

from typing import Any

import numpy as np

from jaxscale.fit.law import Law
from jaxscale.fit.solve import Solution, solve

FEW_STARTS = 0.02  # share of starts that must agree on the best objective
HELD_OUT = 0.2  # share of the points, those of the largest scales, kept from the hold-out fit
AUTOCORRELATION = 0.5  # of residuals in order of scale


def other_optima(solution: Solution, row: int = 0) -> int:
    """How many starts ended within 5 % of the best objective with parameters that differ from the best by a factor of 1.5."""
    objective, values = solution.objectives[row], solution.every[row]
    near = objective <= 1.05 * solution.objective[row] + 1e-12
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.abs(np.log(np.abs(values[near]) + 1e-300) - np.log(np.abs(solution.values[row]) + 1e-300))
    return int(np.sum(np.max(ratio, axis=1) > np.log(1.5)))


def residual_structure(residual: np.ndarray, scale: np.ndarray) -> float:
    """Lag-1 autocorrelation of the residuals in order of scale; about 1 / sqrt(n) by chance."""
    ordered = residual[np.argsort(scale, kind="stable")]
    centred = ordered - ordered.mean()
    power = np.sum(centred**2)
    return float(np.sum(centred[1:] * centred[:-1]) / power) if power > 0 else 0.0


def quadratic_share(residual: np.ndarray, huber: float | None) -> float:
    """Share of points in Huber's quadratic zone; far below a half the fit is one of least absolute deviations."""
    return 1.0 if huber is None else float(np.mean(np.abs(residual) <= huber))


def hold_out(law: Law, x: np.ndarray, y: np.ndarray, weight: np.ndarray, scale: np.ndarray, **how: Any) -> float:
    """Root mean square log error on the largest scales, of a fit to the others; NaN where too few points would be left."""
    largest = scale > np.quantile(scale, 1 - HELD_OUT)
    if (~largest).sum() < len(law.params) + 1 or not largest.any() or np.any(y[largest] <= 0):
        return float("nan")
    found = solve(law, x, y, np.where(largest, 0.0, weight), **how)
    made = np.asarray(law.shape(*x[:, largest], **dict(zip(law.params, found.values[0]))))
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.sqrt(np.mean((np.log(made) - np.log(y[largest])) ** 2)))


def at_bounds(law: Law, values: np.ndarray, size: float) -> list[str]:
    """Names of the parameters that sit at a bound; a floor of zero counts when it is negligible beside `size`, the data."""
    found = []
    for value, (name, param) in zip(values, law.params.items()):
        if param.positive:
            if name in law.linear and value < 1e-6 * size and name == law.floor:
                found.append(f"{name} has gone to zero")
        elif any(np.isclose(value, bound) for bound in (param.lower, param.upper) if np.isfinite(bound)):
            found.append(f"{name} sits at its bound {value:.3g}")
    return found
