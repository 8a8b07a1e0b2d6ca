"""A `Fit` is made here of points and weights, whether they came from tables or from labelled curves.

Windows, replicas, self-tests and the verdict meet here.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np

from jaxscale.fitting import checks
from jaxscale.fitting.form import Form, tested, wandering
from jaxscale.fitting.law import Law, residuals
from jaxscale.fitting.redraws import FEW, in_space, wild
from jaxscale.fitting.result import Estimate, Fit, FitError, Spread, of_parameters
from jaxscale.fitting.solver import ITERATIONS, Solution, solve

L1_DELTA, L1_ITERATIONS = 1e-6, 400  # least absolute deviations as Huber's limit, which steps reach slowly
ROUNDING = 1e-20  # squared relative residual of an exact fit
MOSTLY = 0.6  # share of the points that a window must have for its drift to enter intervals: with fewer, fits are not linear
MAX_STARTS = 6  # a resample starts from the best distinct optima of the whole data


@dataclasses.dataclass(frozen=True)
class Points:
    """Hold what is fitted, however it came: the points of a labelled result, or the rows of a table.

    Attributes:
      x: (inputs, n).
      y: (n,).
      weight: (n,) one over the variance, up to a common factor.
      error: (n,) standard error of y from the seeds, 0 without.
      replicas: (resamples, n) of y, from resampled seeds; or None.
      counts: (resamples, n) how often each run stands in a resample of runs; or None.
      units: how many seeds or runs were resampled.
      over: "seeds" or "runs".
      label: of y.
      notes: what was left out.
      facts: for the checklist.
      labels: (n,) which run each row belongs to; every row its own if None.
      freedom: degrees of freedom of `error`; None where there is none.
      weights: (resamples, n) weights that go with the replicas; None if they are `weight`.
      root: seed of what is drawn later.
    """

    x: np.ndarray
    y: np.ndarray
    weight: np.ndarray
    error: np.ndarray
    replicas: np.ndarray | None
    counts: np.ndarray | None
    units: int
    over: str
    label: str
    notes: tuple[str, ...]
    facts: dict[str, Any]
    labels: np.ndarray | None = None
    freedom: float | None = None
    weights: np.ndarray | None = None
    root: int = 0


def assemble(
    law: Law, points: Points, *, space: str, huber: float | str | None, starts: np.ndarray | None = None, progress: bool = False
) -> Fit:
    """Fit the windows and the resamples of some points, test the result and judge it."""
    how: dict[str, Any] = {"space": space, "huber": huber, "iterations": ITERATIONS}
    if absolute := huber == "L1":
        how |= {"huber": least_absolute(points.y, points.weight, space), "iterations": L1_ITERATIONS}
    scale = checks.scale_of(law, points.x)
    windows = _windows(scale, points.x, len(law.params))
    y = np.broadcast_to(points.y, windows.shape)
    whole = solve(law, points.x, y, points.weight * windows, starts=starts, progress=progress, **how)
    if not np.all(np.isfinite(whole.values[0])) or not np.isfinite(whole.objective[0]):
        raise FitError(f"no start of '{law.name}' gave a finite fit.")
    points = _redrawn(law, points, whole, how)
    replicas = resampled(law, points, best_optima(whole), progress=progress, **how)
    drawn = points.replicas is not None and len(points.replicas) > 0
    runs = points.units - (1 if points.over == "seeds" else len(law.params))
    spread = Spread(points.units, runs if points.freedom is None else points.freedom, drawn)
    value, slope = (a[0] for a in in_space(law, points.x, whole.values[:1], space))
    gap, tangent = residuals(space, value, points.y), np.sqrt(points.weight)[:, None] * slope
    wander = _wander(points, gap, tangent, windows)
    estimates = _estimates(law, whole.values[: len(windows)], replicas, points.over, spread, wander)
    goodness = _goodness(law, points, whole, gap, scale, how)
    form = _form(law, points, whole, gap, tangent, windows, how)
    goodness["form"] = form.worst
    size = float(np.median(np.abs(points.y)))
    asked = {"quadratic": 1.0} if absolute else {}  # absolute residuals are no flaw where they were asked for
    sort = points.over if len(replicas) else ""
    status, reasons = checks.judge(
        law, whole, estimates, goodness | asked, size=size, count=len(points.y), units=points.units, over=sort, form=form
    )
    facts = points.facts | how | {
        "starts": int(whole.objectives.shape[1]), "own starts": starts is not None, "L1": absolute, "drawn": drawn,
        "resamples": len(replicas), "over": points.over, "units": points.units, "freedom": float(spread.freedom),
        "windows": len(windows),
    }  # fmt: skip
    x = points.x[0] if len(points.x) == 1 else points.x
    return Fit(
        law, estimates, status, (*reasons, *points.notes), goodness, x, points.y, points.error, points.weight, replicas,
        whole.values[: len(windows)], points.label, points.labels, how=facts, wander=wander,
    )  # fmt: skip


def least_absolute(y: np.ndarray, weight: np.ndarray, space: str) -> float:
    """Return a delta of Huber's loss so small that the sum of absolute residuals remains."""
    return L1_DELTA * float(np.sqrt(np.median(weight)) * (1.0 if space == "log" else np.median(np.abs(y)) or 1.0))


def resampled(law: Law, points: Points, starts: np.ndarray, *, progress: bool = False, **how: Any) -> np.ndarray:
    """Return (resamples, params): fits of resampled seeds or runs, started from the optima of the whole data."""
    if points.replicas is not None and len(points.replicas):
        weight = points.weight if points.weights is None else points.weights
        return solve(law, points.x, points.replicas, weight, starts=starts, progress=progress, **how).values
    if points.counts is not None and len(points.counts):
        y = np.broadcast_to(points.y, points.counts.shape)
        return solve(law, points.x, y, points.weight, count=points.counts, starts=starts, progress=progress, **how).values
    return np.zeros((0, len(law.params)))


def best_optima(whole: Solution, count: int = MAX_STARTS) -> np.ndarray:
    """Return (optima, params) of the first row of a solution: the best, and others that differ from it; at most `count`."""
    order = np.argsort(whole.objectives[0], kind="stable")
    chosen = [whole.every[0][order[0]]]
    for i in order[1:]:
        z = whole.every[0][i]
        if len(chosen) < count and np.all(np.isfinite(z)):
            if all(np.max(np.abs(z - c) / (np.abs(c) + 1e-12)) > 0.05 for c in chosen):
                chosen.append(z)
    return np.array(chosen)


def _windows(scale: np.ndarray, x: np.ndarray, params: int) -> np.ndarray:
    """Return (windows, n) 0/1: all points, then without the smallest scales, up to half of them; at most ten windows."""
    distinct = np.unique(scale)
    drops = np.unique(np.linspace(0, len(distinct) // 2, min(10, len(distinct) // 2 + 1)).astype(int))
    rows = [scale >= distinct[drop] for drop in drops]
    enough = [row for row in rows if len(np.unique(x[:, row], axis=1).T) > params]
    return np.array(enough or rows[:1], np.float64)


def _redrawn(law: Law, points: Points, whole: Solution, how: dict[str, Any]) -> Points:
    """Return points whose runs are drawn again about the law, where there are too few of them to be resampled."""
    few = points.counts is not None and len(points.y) < FEW * len(law.params)
    if not few or points.counts is None or points.units < len(points.y) or how["huber"] is not None:
        return points
    if len(points.y) <= len(law.params) or not len(points.counts):
        return points
    rng, best = np.random.default_rng(points.root), whole.values[:1]
    draws = {"space": how["space"], "count": len(points.counts), "rng": rng}
    replicas = wild(law, points.x, points.y[None], points.weight, best, **draws)
    return dataclasses.replace(points, replicas=replicas[0], counts=None)


def _form(
    law: Law, points: Points, whole: Solution, gap: np.ndarray, tangent: np.ndarray, windows: np.ndarray, how: dict[str, Any]
) -> Form:
    """Return the tests of the form; none of a robust fit, which leaves points aside, or of runs that deviate together."""
    if how["huber"] is not None or points.units < len(points.y) and points.over == "runs":
        return Form()
    unit = 1.0 if how["space"] == "log" else points.y**2
    if np.sum(points.weight * gap**2) <= ROUNDING * np.sum(points.weight * unit):
        return Form()
    freedom = points.freedom if np.any(points.error > 0) else None
    residual = np.sqrt(points.weight) * gap
    return tested(law, points.x, residual, tangent, points.weight, whole.values[: len(windows)], windows, freedom=freedom)


def _wander(points: Points, gap: np.ndarray, tangent: np.ndarray, windows: np.ndarray) -> np.ndarray:
    """Return (windows, params, params): how far chance takes each window's parameters from those of all points."""
    left = max(tangent.shape[0] - tangent.shape[1], 1)
    size = 1.0 if np.any(points.error > 0) else float(np.sum(points.weight * gap**2)) / left
    found = wandering(tangent, windows) * size
    found[windows.sum(axis=1) < MOSTLY * windows.shape[1]] = np.inf
    return found


def _estimates(
    law: Law, windows: np.ndarray, replicas: np.ndarray, over: str, spread: Spread, wander: np.ndarray
) -> dict[str, Estimate]:
    def one(name: str) -> Callable[..., float]:
        return lambda **params: params[name]

    wanted = {name: one(name) for name in law.params} | law.derived
    positive = {name: param.positive for name, param in law.params.items()}
    return {
        name: of_parameters(
            function, law, windows, replicas, over=over, spread=spread, positive=positive.get(name, False), wander=wander
        )
        for name, function in wanted.items()
    }  # fmt: skip


def _goodness(
    law: Law, points: Points, whole: Solution, gap: np.ndarray, scale: np.ndarray, how: dict[str, Any]
) -> dict[str, float]:
    seen = np.log(points.y) if how["space"] == "log" else points.y
    residual = np.sqrt(points.weight) * gap
    total = np.sum(points.weight * (seen - np.average(seen, weights=points.weight)) ** 2)
    goodness = {
        "r2": float(1 - np.sum(residual**2) / total) if np.ptp(points.y) > 0 else float("nan"),
        "rmse": float(np.sqrt(np.mean(gap**2))), "objective": float(whole.objective[0] / 2),
        "reached": float(whole.reached[0]), "quadratic": checks.quadratic_share(residual, how["huber"]),
        "autocorrelation": checks.residual_structure(*_by_run(residual, scale, points.labels)),
        "hold_out": checks.hold_out(law, points.x, points.y, points.weight, scale, **how),
    }  # fmt: skip
    if np.any(points.error > 0):
        freedom = max(len(points.y) - len(law.params), 1)
        goodness["chi2_dof"] = float(np.sum(residual**2) / freedom)
        relative = points.error / np.abs(points.y) if how["space"] == "log" else points.error
        goodness["noise"] = float(np.max(relative))
    return goodness


def _by_run(residual: np.ndarray, scale: np.ndarray, labels: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the means of residual and scale over the rows of a run: its repeats share what they deviate by."""
    if labels is None:
        return residual, scale
    count = np.bincount(labels)
    return np.bincount(labels, residual) / count, np.bincount(labels, scale) / count
