"""What a fit returns: numbers that do not travel without their errors, a verdict, and all that a reader needs to repeat it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jaxscale.fitting.checklists import checklist
from jaxscale.fitting.law import Law, residuals
from jaxscale.resampling import band

BY_CHANCE = 2.0  # standard errors of a window's difference below which it is no drift

KNOWN = 3.0  # standard errors within which chance must keep a window for it to tell of drifts
MAX_LOG = 700.0  # of an end of an interval


class FitError(ValueError):
    """Say that there is no usable answer; the message says why."""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Hold a number that does not travel without its errors."""

    value: float
    seeds: float  # standard error from resampling `over`; NaN where nothing could be resampled
    window: float  # half the range over windows that drop the smallest scales; NaN where there is one window only
    low: float  # 95 % interval, of the bootstrap and of windows where these drift by more than the bootstrap explains
    high: float
    over: str = "seeds"  # or "runs": what was resampled

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        if np.isnan(self.seeds):
            return f"{self.value:.4g} (no {self.over} resampled: no error known)"
        size = np.log10(self.seeds) if np.isfinite(self.seeds) and self.seeds > 0 else -3.0
        if not -9 < size < 6:  # plain digits would be a row of zeros
            window = "" if np.isnan(self.window) else f" ± {self.window:.2g} (window)"
            return f"{self.value:.4g} ± {self.seeds:.2g} ({self.over}){window}"
        if self.value and self.seeds > 10 * abs(self.value):
            return f"{self.value:.2g} ± {self.seeds:.2g} ({self.over})"
        digits = max(0, 1 - int(np.floor(size)))
        window = "" if np.isnan(self.window) else f" ± {self.window:.{digits}f} (window)"
        return f"{self.value:.{digits}f} ± {self.seeds:.{digits}f} ({self.over}){window}"


@dataclasses.dataclass(frozen=True)
class Fit:
    """Hold a fitted law with its errors, self-tests and verdict. Frozen; print it.

    Attributes:
      law: what was fitted.
      estimates: {parameter or derived quantity: Estimate}.
      status: "ok", "weak" or "failed".
      reasons: why it is not ok, and what was left out.
      goodness: self-tests: r2 and rmse in the space of the fit, objective, reached (share of starts that agree on the best),
        hold_out (rmse on the largest scales when they are not fitted), autocorrelation of the residuals in order of scale,
        quadratic (share of points in Huber's quadratic zone), chi2_dof where seeds give errors.
      x: (n,), or (inputs, n), as fitted.
      y: (n,).
      error: (n,) standard error of y from the seeds, 0 if there are none.
      weight: (n,) one over the variance of the residuals.
      replicas: (resamples, params) bootstrap parameters.
      windows: (windows, params) parameters without the smallest scales; the first row is the fit.
      label: of y.
      labels: (n,) which run each row belongs to; None where seeds were resampled.
      profiles: {parameter: Profile} of a thorough fit.
      how: what was asked and done, for the checklist; plain JSON.
      wander: (windows, params, params) covariance of what chance moves each window's parameters by.
    """

    law: Law
    estimates: dict[str, Estimate]
    status: str
    reasons: tuple[str, ...]
    goodness: dict[str, float]
    x: np.ndarray
    y: np.ndarray
    error: np.ndarray
    weight: np.ndarray
    replicas: np.ndarray
    windows: np.ndarray
    label: str = ""
    labels: np.ndarray | None = None
    profiles: dict[str, Any] = dataclasses.field(default_factory=dict)
    how: dict[str, Any] = dataclasses.field(default_factory=dict)
    wander: np.ndarray | None = None

    def __getitem__(self, name: str) -> Estimate:
        if name not in self.estimates:
            raise KeyError(f"'{name}' is no quantity of law '{self.law.name}'; choose from {list(self.estimates)}")
        return self.estimates[name]

    @property
    def values(self) -> dict[str, float]:
        """Return the fitted parameters as plain numbers."""
        return {name: self.estimates[name].value for name in self.law.params}

    @property
    def columns(self) -> np.ndarray:
        """Return x as (inputs, n), also for one input."""
        return np.atleast_2d(self.x)

    @property
    def covariance(self) -> np.ndarray:
        """Return (params, params), from the bootstrap; NaN where there is one seed only."""
        count = len(self.law.params)
        return np.cov(self.replicas, rowvar=False) if len(self.replicas) > 1 else np.full((count, count), np.nan)

    def derive(self, function: Callable[..., Any]) -> Estimate:
        """Return any quantity of the parameters, function(**params) -> number, with the errors of resamples and windows."""
        return of_parameters(
            function, self.law, self.windows, self.replicas, over=self.how.get("over", "runs"), spread=self.spread,
            wander=self.wander,
        )  # fmt: skip

    @property
    def spread(self) -> "Spread":
        """Return how replicas become intervals."""
        units = self.how.get("units", len(self.y))
        return Spread(units, self.how.get("freedom", units - len(self.law.params)), self.how.get("drawn", False))

    def optimum(self, compute: float) -> dict[str, Estimate]:
        """Return what is best at a budget, each with its errors: of `chinchilla` N_opt, D_opt and tokens_per_parameter.

        Args:
          compute: budget C in flops, with C = 6 N D.

        Raises:
          ValueError: the law says nothing of budgets, or the budget is not positive.
        """
        if not self.law.at_budget:
            raise ValueError(f"law '{self.law.name}' has no optimum at a budget. Fit one that has: chinchilla.")
        budget = float(compute)  # 6 N D passes what whole numbers hold
        if not (np.isfinite(budget) and budget > 0):
            raise ValueError(f"compute must be a positive number of flops; got {compute!r}.")
        return {
            name: self.derive(lambda function=function, **params: function(budget, **params))
            for name, function in self.law.at_budget.items()
        }

    def predict(self, x: ArrayLike) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the law at `x`, (n,) or (inputs, n), and its 95 % band over the bootstrap, NaN without: three (n,) arrays."""
        at = np.asarray(x, np.float64)
        columns = np.atleast_2d(at) if len(self.law.inputs) == 1 else at
        if len(columns) != len(self.law.inputs):
            raise ValueError(f"law '{self.law.name}' takes {list(self.law.inputs)}; got {len(columns)} rows of x.")
        middle = self.law.at(columns, self.values)
        if not len(self.replicas):
            return middle, np.full_like(middle, np.nan), np.full_like(middle, np.nan)
        return middle, *self.spread.ends(middle, self.law.curves(columns, self.replicas))

    @property
    def residual(self) -> np.ndarray:
        """Return (n,) data less law, in the space of the fit."""
        return -residuals(self.how.get("space", "log"), self.law.at(self.columns, self.values), self.y)

    def checklist(self) -> str:
        """Return everything a reader needs to repeat the fit (Li, Kudugunta & Zettlemoyer 2025), as text."""
        return checklist(
            self.law, self.columns, self.y, label=self.label, goodness=self.goodness, status=self.status, reasons=self.reasons,
            how=self.how,
        )  # fmt: skip

    def __str__(self) -> str:
        lines = [f"{self.label or 'y'} = {self.law.formula}   [{self.status}]"]
        for name, estimate in self.estimates.items():
            known = "" if np.isnan(estimate.low) else f"   95 % [{estimate.low:.4g}, {estimate.high:.4g}]"
            lines.append(f"  {name} {estimate}{known}")
        lines.append("  " + ", ".join(f"{name} {value:.3g}" for name, value in self.goodness.items()))
        return "\n".join([*lines, *(f"  {reason}" for reason in self.reasons)])


@dataclasses.dataclass(frozen=True)
class Spread:
    """Say how replicas become an interval.

    Attributes:
      units: how many seeds or runs there were.
      freedom: degrees of freedom of the errors, for Student's t.
      drawn: replicas are draws with the errors that the units have; not resamples of the units, which are too narrow.
    """

    units: int
    freedom: float
    drawn: bool = False

    def ends(self, value: Any, replicas: np.ndarray) -> tuple[Any, Any]:
        """Return the ends of the 95 % interval of a value, of replicas (resamples, ...)."""
        if not self.drawn:
            return band(replicas, seeds=self.units, freedom=int(self.freedom))
        from scipy import special

        low, high = band(replicas)
        reach = special.stdtrit(max(self.freedom, 1), 0.975) / special.ndtri(0.975)
        return value - (value - low) * reach, value + (high - value) * reach


def estimate(
    value: float, replicas: np.ndarray, window: float, over: str, *, spread: Spread, positive: bool = False, drift: float = 0.0
) -> Estimate:
    """Return a value with the errors of its replicas: their standard deviation, and an interval.

    What windows move by beyond chance, two standard errors of the move, is the form's and enters the interval.

    Args:
      value: of the whole data.
      replicas: (resamples,), possibly none; those that are not finite are left out.
      window: half the range over windows that drop the smallest scales; NaN where there is one window.
      over: what was resampled, "seeds" or "runs".
      spread: how replicas become an interval.
      positive: the quantity is positive, and its interval is made in its logarithm.
      drift: what windows move it by beyond chance; its logarithm, if that is what the interval is made in.
    """
    replicas = replicas[np.isfinite(replicas)]
    if len(replicas) < 2:
        return Estimate(float(value), float("nan"), float(window), float("nan"), float("nan"), over)
    error = float(replicas.std(ddof=1))
    logs = positive and value > 0 and bool(np.all(replicas > 0))
    at = np.log(value) if logs else value
    low, high = spread.ends(at, np.log(replicas) if logs else replicas)
    low, high = at - np.hypot(at - low, drift), at + np.hypot(high - at, drift)
    if logs:
        low, high = np.exp(low), np.exp(min(high, MAX_LOG))
    return Estimate(float(value), error, float(window), float(low), float(high), over)


def of_parameters(
    function: Callable[..., Any], law: Law, windows: np.ndarray, replicas: np.ndarray, *, over: str, spread: Spread,
    positive: bool = False, wander: np.ndarray | None = None,
) -> Estimate:  # fmt: skip
    """Return the estimate of a function of a law's parameters, from every window and every resample.

    Args:
      function: function(**params) -> number.
      law: whose parameters they are.
      windows: (windows, params); all points first.
      replicas: (resamples, params).
      over: "seeds" or "runs".
      spread: how replicas become an interval.
      positive: the function is positive.
      wander: (windows, params, params) covariance of what chance moves each window by; windows do not count if None.
    """
    with np.errstate(all="ignore"):  # a resample may lie where the quantity does not exist
        main, *rest = (float(function(**dict(zip(law.params, row)))) for row in windows)
        again = np.array([function(**dict(zip(law.params, row))) for row in replicas], np.float64)
    window = float(np.ptp([main, *rest]) / 2) if rest else float("nan")
    drift = 0.0
    if wander is not None and rest and np.isfinite(main) and len(again) > 1:
        slope, spread_of, at, others = _gradient(function, law, windows[0]), np.nanstd(again), main, rest
        if positive and main > 0 and min(rest) > 0 and np.all(again > 0):
            slope, spread_of, at, others = slope / main, np.nanstd(np.log(again)), np.log(main), list(np.log(rest))
        for value, covariance in zip(others, wander[1:]):
            chance = float(slope @ covariance @ slope) if np.all(np.isfinite(covariance)) else np.inf
            if np.isfinite(value) and chance < (KNOWN * spread_of) ** 2:  # a window that knows little tells no drift
                drift = max(drift, float(np.sqrt(max((value - at) ** 2 - BY_CHANCE**2 * max(chance, 0.0), 0.0))))
    return estimate(main, again, window, over, spread=spread, positive=positive, drift=drift)


def _gradient(function: Callable[..., Any], law: Law, row: np.ndarray) -> np.ndarray:
    """Return (params,) derivatives of a function of a law's parameters, by differences; 0 where it does not exist."""
    slope = np.zeros(len(row))
    for i, value in enumerate(row):
        step = 1e-5 * max(abs(value), 1e-8)
        ends = []
        for moved in (value - step, value + step):
            other = row.copy()
            other[i] = moved
            with np.errstate(all="ignore"):
                ends.append(float(function(**dict(zip(law.params, other)))))
        slope[i] = np.nan_to_num((ends[1] - ends[0]) / (2 * step), posinf=0.0, neginf=0.0)
    return slope
