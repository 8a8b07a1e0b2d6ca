"""What a fit returns: numbers that do not travel without their errors, a verdict, and all that a reader needs to repeat it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from jaxscale.fitting.checklists import checklist
from jaxscale.fitting.law import Law, residuals
from jaxscale.resampling import band


class FitError(ValueError):
    """Say that there is no usable answer; the message says why."""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Hold a number that does not travel without its errors."""

    value: float
    seeds: float  # standard error from resampling `over`; NaN where nothing could be resampled
    window: float  # half the range over windows that drop the smallest scales; NaN where there is one window only
    low: float  # 95 % interval of the bootstrap
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
            function, self.law, self.windows, self.replicas, units=self.how.get("units", len(self.y)),
            over=self.how.get("over", "runs"),
        )  # fmt: skip

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
        curves = [self.law.at(columns, dict(zip(self.law.params, row))) for row in self.replicas]
        if not len(curves):
            return middle, np.full_like(middle, np.nan), np.full_like(middle, np.nan)
        units = self.how.get("units", len(self.y))
        freedom = units - (len(self.law.params) if self.how.get("over", "runs") == "runs" else 1)
        return middle, *band(np.array(curves), seeds=units, freedom=freedom)

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


def estimate(value: float, replicas: np.ndarray, window: float, over: str, *, size: int, freedom: int) -> Estimate:
    """Return a value with the errors of its replicas: their standard deviation, and the expanded percentiles of `band`.

    Args:
      value: of the whole data.
      replicas: (resamples,), possibly none; those that are not finite are left out.
      window: half the range over windows that drop the smallest scales; NaN where there is one window.
      over: what was resampled, "seeds" or "runs".
      size: how many of them.
      freedom: how many of them, less the parameters that they determine.
    """
    replicas = replicas[np.isfinite(replicas)]
    if len(replicas) < 2:
        return Estimate(float(value), float("nan"), float(window), float("nan"), float("nan"), over)
    low, high = band(replicas, seeds=size, freedom=freedom)
    return Estimate(float(value), float(replicas.std(ddof=1)), float(window), float(low), float(high), over)


def of_parameters(
    function: Callable[..., Any], law: Law, windows: np.ndarray, replicas: np.ndarray, *, units: int, over: str
) -> Estimate:
    """Return the estimate of a function of a law's parameters, from every window and every resample."""
    with np.errstate(all="ignore"):  # a resample may lie where the quantity does not exist
        main, *rest = (float(function(**dict(zip(law.params, row)))) for row in windows)
        again = np.array([function(**dict(zip(law.params, row))) for row in replicas], np.float64)
    freedom = units - (len(law.params) if over == "runs" else 1)
    window = float(np.ptp([main, *rest]) / 2) if rest else float("nan")
    return estimate(main, again, window, over, size=units, freedom=freedom)
