"""Profile likelihood: how well the law still fits when one parameter is fixed, and the interval that says."""

import dataclasses

import numpy as np

from jaxscale.fitting.result import Fit
from jaxscale.fitting.solver import ITERATIONS, solve

NAME = "profile likelihood of a parameter"

DEPTH = 3.841  # 95 % point of chi2 with one degree of freedom; profiles are scaled so that it is F's as well
WIDENINGS = 4


@dataclasses.dataclass(frozen=True)
class Profile:
    """Hold the lowest objective at each fixed value of a parameter, and the interval that follows.

    Attributes:
      name: of the parameter.
      value: (points,) fixed values, increasing.
      depth: (points,) twice the fall of log likelihood from the best fit; 0 at the best.
      low: lower end of the 95 % interval; the parameter's bound or the searched range's end when `open_low`.
      high: upper end.
      open_low: the profile never rises far enough below the best value: the data give no lower limit.
      open_high: the same above.
      minima: local minima of the profile within the 95 % depth; more than one says that the data allow several answers.
    """

    name: str
    value: np.ndarray
    depth: np.ndarray
    low: float
    high: float
    open_low: bool
    open_high: bool
    minima: int

    def __str__(self) -> str:
        low, high = ("open" if o else f"{v:.4g}" for o, v in ((self.open_low, self.low), (self.open_high, self.high)))
        return f"{self.name} in [{low}, {high}]" + (f", {self.minima} minima" if self.minima > 1 else "")


def profile(fit: Fit, name: str, *, points: int = 41, progress: bool = False) -> Profile:
    """Profile one parameter of a fit: fix it at many values, fit the others, all in one vmap, and return where the fit worsens.

    The likelihood's scale is that of the residuals: for squares the usual one, for Huber losses mean(psi^2) / mean(psi')
    (Huber 1981, section 6), with n / (n - p) for the parameters spent.

    Where the seeds give the errors, residuals that happen to be smaller do not narrow the interval. Few degrees of freedom
    widen it as Student's t does.

    Args:
      fit: the fit; not one with cluster=, whose rows are not independent.
      name: of a parameter of its law.
      points: how many fixed values.
      progress: show a bar on anything over two seconds.

    Raises:
      KeyError: no such parameter.
      ValueError: rows that are not independent, or absolute residuals.
    """
    law = fit.law
    if name not in law.params:
        raise KeyError(f"'{name}' is no parameter of law '{law.name}'; choose from {list(law.params)}")
    if fit.how.get("L1"):
        raise ValueError("the profile of absolute residuals has no scale that is known; use the bootstrap's interval.")
    if fit.how.get("cluster", "every row a run") != "every row a run":
        raise ValueError("a profile takes rows to be independent; with cluster= use the bootstrap's interval.")
    best, param = np.array(list(fit.values.values())), law.params[name]
    at = list(law.params).index(name)
    space, huber = fit.how.get("space", "log"), fit.how.get("huber")
    scale = _dispersion(fit, huber)
    reach = fit.estimates[name].seeds
    reach = reach if np.isfinite(reach) and reach > 0 else 0.3 * abs(best[at]) + 1e-6
    logged = param.positive and best[at] > 0
    step = min(reach / best[at], 1.0) if logged else reach
    down = up = 4.0
    for _ in range(WIDENINGS):
        offset = np.concatenate([-np.linspace(down, 0, points // 2 + 1)[:-1], np.linspace(0, up, points - points // 2)]) * step
        value = best[at] * np.exp(offset) if logged else np.clip(best[at] + offset, param.lower, param.upper)
        starts = _starts(fit, at, value)
        y = np.broadcast_to(fit.y, (len(value), len(fit.y)))
        solution = solve(
            law, fit.columns, y, fit.weight, starts=starts, fixed=[name], space=space, huber=huber, progress=progress,
            iterations=fit.how.get("iterations", ITERATIONS),
        )  # fmt: skip
        depth = (solution.objective - 2 * fit.goodness["objective"]) / scale
        depth -= min(depth.min(), 0.0)  # a fixed value may lead to a better optimum than the fit's
        low_open, high_open = depth[0] < DEPTH, depth[-1] < DEPTH
        if not (low_open and not np.isclose(value[0], param.lower) or high_open and not np.isclose(value[-1], param.upper)):
            break
        down, up = down * (3 if low_open else 1), up * (3 if high_open else 1)
    low, high = _crossings(value, depth)
    inside = np.concatenate([[np.inf], depth, [np.inf]])
    minima = int(np.sum((inside[1:-1] < inside[:-2] - 0.1) & (inside[1:-1] <= inside[2:]) & (depth < DEPTH)))
    return Profile(name, value, depth, low, high, bool(low_open), bool(high_open), max(minima, 1))


def _starts(fit: Fit, at: int, value: np.ndarray) -> np.ndarray:
    """Return (values, starts, params): the best fit and a few replicas, with the fixed parameter moved."""
    rows = [np.array(list(fit.values.values()))]
    if len(fit.replicas):
        order = np.argsort(fit.replicas[:, at])
        rows += [fit.replicas[order[int(q * (len(order) - 1))]] for q in (0.1, 0.5, 0.9)]
    starts = np.broadcast_to(np.array(rows), (len(value), len(rows), len(rows[0]))).copy()
    starts[:, :, at] = value[:, None]
    return starts


def _dispersion(fit: Fit, huber: float | None) -> float:
    """Return the scale of the residuals that turns an objective into twice a log likelihood."""
    residual, freedom = np.sqrt(fit.weight) * fit.residual, max(len(fit.y) - len(fit.law.params), 1)
    psi = residual if huber is None else np.clip(residual, -huber, huber)
    inside = 1.0 if huber is None else max(np.mean(np.abs(residual) <= huber), 1 / len(residual))
    from scipy import special

    scale = float(np.sum(psi**2) / freedom / inside)
    if np.any(fit.error > 0):
        return max(scale, 1.0)
    return scale * float(special.stdtrit(freedom, 0.975) ** 2) / DEPTH + 1e-300


def _crossings(value: np.ndarray, depth: np.ndarray) -> tuple[float, float]:
    """Return where the profile passes the depth of a 95 % interval, below and above its lowest point."""
    best = int(np.argmin(depth))

    def cross(indices: range) -> float:
        for inner, outer in zip(indices[:-1], indices[1:]):
            if depth[outer] >= DEPTH:
                part = (DEPTH - depth[inner]) / (depth[outer] - depth[inner])
                return float(value[inner] + part * (value[outer] - value[inner]))
        return float(value[indices[-1]])

    return cross(range(best, -1, -1)), cross(range(best, len(value)))
