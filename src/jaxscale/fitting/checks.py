"""Every fit carries self-tests: starts, bounds, flat directions, residuals, hold-out; and a verdict on them."""

from typing import Any

import numpy as np

from jaxscale.fitting.form import Form
from jaxscale.fitting.form import reasons as misfits
from jaxscale.fitting.law import Law, residuals
from jaxscale.fitting.result import Estimate
from jaxscale.fitting.solver import Solution, solve

FEW_STARTS = 0.02  # share of starts that must agree on the best objective
HELD_OUT = 0.2  # share of the points, those of the largest scales, kept from the hold-out fit
AUTOCORRELATION = 0.5  # of residuals in order of scale
FEW_FREE = 4  # runs more than parameters, below which bootstrap intervals do not cover
WIDE = 1e3  # ratio of the ends of an interval that says nothing
FEW_SEEDS = 3


def scale_of(law: Law, points: np.ndarray) -> np.ndarray:
    """Return (n,) one number for the scale of each run: the product of its inputs, each relative to its geometric mean.

    Inputs that are not positive everywhere (shares, days) have no scale and are taken by rank. Of a loss, less is more.
    """
    total = np.zeros(points.shape[1])
    for name, row in zip(law.inputs, points):
        up = np.log(row) - np.log(row).mean() if np.all(row > 0) else np.unique(row, return_inverse=True)[1] / len(row)
        total += -up if name in law.falling else up
    return total


def other_optima(solution: Solution, row: int = 0) -> int:
    """Count the starts that ended within 5 % of the best objective with parameters a factor of 1.5 away from the best."""
    objective, values = solution.objectives[row], solution.every[row]
    near = objective <= 1.05 * solution.objective[row] + solution.slack[row]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.abs(np.log(np.abs(values[near]) + 1e-300) - np.log(np.abs(solution.values[row]) + 1e-300))
    return int(np.sum(np.max(ratio, axis=1) > np.log(1.5)))


def residual_structure(residual: np.ndarray, scale: np.ndarray) -> float:
    """Return the lag-1 autocorrelation of the residuals in order of scale; about 1 / sqrt(n) by chance."""
    ordered = residual[np.argsort(scale, kind="stable")]
    centred = ordered - ordered.mean()
    power = np.sum(centred**2)
    return float(np.sum(centred[1:] * centred[:-1]) / power) if power > 0 else 0.0


def quadratic_share(residual: np.ndarray, huber: float | None) -> float:
    """Return the share of points in Huber's quadratic zone; far below a half the fit is one of least absolute deviations."""
    return 1.0 if huber is None else float(np.mean(np.abs(residual) <= huber))


def largest_scales(scale: np.ndarray, share: float = HELD_OUT) -> np.ndarray:
    """Return (n,) whether a run is among the largest scales; whole scales, at least one."""
    return scale >= min(np.quantile(scale, 1 - share), scale.max())


def hold_out(law: Law, x: np.ndarray, y: np.ndarray, weight: np.ndarray, scale: np.ndarray, **how: Any) -> float:
    """Return the root mean square residual of the largest scales under a fit to the others; NaN where too few points remain."""
    largest = largest_scales(scale)
    if len(np.unique(x[:, ~largest], axis=1).T) < len(law.params) + 1 or not largest.any():
        return float("nan")
    others = solve(law, x, y, np.where(largest, 0.0, weight), **how)
    predicted = law.at(x[:, largest], dict(zip(law.params, others.values[0])))
    return float(np.sqrt(np.mean(residuals(how.get("space", "log"), predicted, y[largest]) ** 2)))


def at_bounds(law: Law, values: np.ndarray, size: float) -> list[str]:
    """Return a line for each parameter that sits at a bound.

    A floor of zero counts when it is negligible beside `size`, the typical size of the data.
    """
    lines = []
    for value, (name, param) in zip(values, law.params.items()):
        if param.positive:
            if name in law.linear and value < 1e-6 * size and name == law.floor:
                lines.append(f"{name} has gone to zero")
        elif any(np.isclose(value, bound) for bound in (param.lower, param.upper) if np.isfinite(bound)):
            lines.append(f"{name} sits at its bound {value:.3g}")
    return lines


def judge(
    law: Law, whole: Solution, estimates: dict[str, Estimate], goodness: dict[str, float], *, size: float, count: int,
    units: int, over: str, form: Form,
) -> tuple[str, tuple[str, ...]]:  # fmt: skip
    """Return status and reasons: never a success on a bad fit.

    Args:
      law: what was fitted.
      whole: the fit, its first row.
      estimates: of the parameters, with their intervals.
      goodness: results of the other self-tests.
      size: of y, in its units.
      count: points.
      units: how many seeds or runs there are.
      over: "seeds", "runs", or "" where nothing was resampled.
      form: tests of the form.
    """
    failed, weak = [], []
    if np.isnan(goodness["r2"]):
        failed.append("y does not vary, so there is nothing to explain")
    elif goodness["r2"] < 0.5:
        failed.append(f"the law explains {goodness['r2']:.0%} of the variation")
    elif goodness["r2"] < 0.95:
        weak.append(f"the law explains only {goodness['r2']:.0%} of the variation")
    weak += misfits(form, law)
    if goodness["reached"] < FEW_STARTS:
        weak.append(f"only {goodness['reached']:.1%} of the starts reached the best objective: there may be a better one")
    if others := other_optima(whole):
        weak.append(f"{others} starts ended within 5 % of the best objective with other parameters: flat, or several optima")
    weak += at_bounds(law, whole.values[0], size)
    if goodness["quadratic"] < 0.1:
        weak.append(f"{goodness['quadratic']:.0%} of the points are in Huber's quadratic zone: least absolute deviations")
    if goodness["autocorrelation"] > max(AUTOCORRELATION, 3 / np.sqrt(count)):
        weak.append(
            f"residuals follow the scale (autocorrelation {goodness['autocorrelation']:.2f}): the form is not the data's"
        )
    if goodness["hold_out"] > 5 * goodness["rmse"] + goodness.get("noise", 0) + 1e-9:
        weak.append(
            f"the largest scales are missed by {goodness['hold_out']:.2g} when held out, {goodness['rmse']:.2g} when fitted"
        )
    if over == "seeds" and units < FEW_SEEDS:
        weak.append(f"{units} seeds: too few to tell their noise from what points have in common")
    if over == "runs" and units < len(law.params) + FEW_FREE:
        weak.append(f"{units} runs for {len(law.params)} parameters: too few for intervals that cover")
    for name in law.params:
        low, high = estimates[name].low, estimates[name].high
        if name != law.floor and law.params[name].positive and high > WIDE * max(low, 0.0):
            weak.append(f"{name} is not determined: it lies between {low:.2g} and {high:.2g}")
    quoted = estimates[law.exponent]
    if quoted.seeds > 0.25 * abs(quoted.value) and quoted.seeds > 0.1:
        weak.append(f"{law.exponent} is not determined: {quoted}")
    return ("failed" if failed else "weak" if weak else "ok"), tuple(failed + weak)
