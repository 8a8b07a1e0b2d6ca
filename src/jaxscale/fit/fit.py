"""`fit`: one law, one labelled curve, an exponent with a seed interval and a window interval."""

import dataclasses
from typing import Any

import numpy as np

from jaxscale.fit.bootstrap import resample
from jaxscale.fit.law import Law
from jaxscale.fit.solve import Solution, solve

WEAK_CHI2 = 25.0  # residuals five times the seed noise: the law is not the shape of these data


class FitError(ValueError):
    """There is no usable answer; the message says why."""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """A number that does not travel without its errors."""

    value: float
    seeds: float  # standard error from resampling seeds; NaN where there is one seed only
    window: float  # half the range over windows that drop the smallest x; NaN where there is one window only
    low: float  # 2.5 % and 97.5 % of the seed bootstrap
    high: float
    over: str = "seeds"  # or "runs": what was resampled

    def __float__(self) -> float:
        return self.value

    def __str__(self) -> str:
        if np.isnan(self.seeds):
            return f"{self.value:.4g} (no {self.over} resampled: no error known)"
        digits = max(0, min(10, 1 - int(np.floor(np.log10(self.seeds))))) if self.seeds > 0 else 4
        window = "" if np.isnan(self.window) else f" ± {self.window:.{digits}f} (window)"
        return f"{self.value:.{digits}f} ± {self.seeds:.{digits}f} ({self.over}){window}"


@dataclasses.dataclass(frozen=True)
class Fit:
    """A fitted law. Frozen; print it."""

    law: Law
    estimates: dict[str, Estimate]
    status: str  # "ok", "weak" or "failed"
    reasons: tuple[str, ...]
    goodness: dict[str, float]  # r2 in the space of the fit, chi2 per degree of freedom, reached: share of starts
    x: np.ndarray  # (points,) as fitted
    y: np.ndarray
    error: np.ndarray  # (points,) standard error of y from the seeds, 0 if there are none
    replicas: np.ndarray  # (resamples, params), bootstrap parameters
    label: str = ""

    def __getitem__(self, name: str) -> Estimate:
        return self.estimates[name]

    @property
    def covariance(self) -> np.ndarray:
        """(params, params), from the bootstrap; NaN where there is one seed only."""
        count = len(self.law.params)
        return np.cov(self.replicas, rowvar=False) if len(self.replicas) > 1 else np.full((count, count), np.nan)

    def predict(self, x: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The law at `x`, (n,) or (inputs, n), and its 95 % band over the bootstrap: three (n,) arrays."""
        x = np.asarray(x, np.float64)
        columns = (x,) if len(self.law.inputs) == 1 else tuple(x)
        middle = np.asarray(self.law.shape(*columns, **{name: self.estimates[name].value for name in self.law.params}))
        curves = [self.law.shape(*columns, **dict(zip(self.law.params, row))) for row in self.replicas]
        low, high = np.percentile(np.array(curves), [2.5, 97.5], axis=0) if len(curves) else (middle, middle)
        return middle, low, high

    def __str__(self) -> str:
        lines = [f"{self.label or 'y'} = {self.law.formula}   [{self.status}]"]
        lines += [f"  {name} {estimate}" for name, estimate in self.estimates.items()]
        lines.append("  " + ", ".join(f"{name} {value:.3g}" for name, value in self.goodness.items()))
        return "\n".join([*lines, *(f"  {reason}" for reason in self.reasons)])


def fit(
    law: Law,
    data: Any,
    *,
    x: str,
    over: str = "seed",
    statistic: str = "mean",
    space: str = "log",
    huber: float | None = None,
    resamples: int = 400,
    root: int = 0,
) -> Fit:
    """Fit `law` to one labelled curve.

    The statistic over seeds is recomputed in each bootstrap resample, and each point is weighted by the variance that the
    seeds give it, so nothing is lost by averaging before the fit.

    Args:
      law: see `jaxscale.fit.laws`.
      data: DataArray with dims (x, over), or (x,) alone.
      x: its dimension to fit along; the coordinate must be positive for power laws.
      over: the dimension to resample.
      statistic: "mean", "median" or "log mean" over seeds.
      space: residuals in "log" or "raw" y.
      huber: delta of the Huber loss in units of the standard error; None for squares.
      resamples: bootstrap resamples.
      root: seed of the resampling.

    Returns:
      A `Fit` whose status says how far to trust it.

    Raises:
      FitError: fewer usable points than parameters, a single x, or values a logarithm cannot take.
    """
    law = getattr(law, "LAW", law)  # the module of a law will do
    if not isinstance(law, Law):
        raise TypeError(f"law must be a Law, e.g. jaxscale.fit.laws.power.LAW; got {type(law).__name__}.")
    points, values, label = _curve(data, x, over)
    best, replicas = resample(values, resamples if values.shape[1] > 1 else 0, statistic=statistic, root=root)
    use = np.isfinite(best)
    if space == "log" and np.any(best[use] <= 0):
        where = points[use][best[use] <= 0]
        raise FitError(
            f"{label or 'y'} is not positive at {x}={where.tolist()[:5]}, so its logarithm does not exist; use space='raw'."
        )
    if np.any(points <= 0):
        raise FitError(f"{x} must be positive for a scaling law; got {points[points <= 0].tolist()[:5]}.")
    points, best, replicas = points[use], best[use], replicas[:, use]
    if len(np.unique(points)) < len(law.params) + 1:
        raise FitError(
            f"{len(np.unique(points))} distinct {x} cannot fit the {len(law.params)} parameters of '{law.name}' with one to "
            f"spare; add grid points{'' if use.all() else ' (some have no finite value)'}."
        )
    replicas = np.where(np.isfinite(replicas) & ((replicas > 0) | (space != "log")), replicas, best)
    error = replicas.std(axis=0, ddof=1) if len(replicas) > 1 else np.zeros(len(points))
    scale = error / np.abs(best) if space == "log" else error
    weight = 1 / np.maximum(scale, max(np.median(scale) * 1e-2, 1e-12)) ** 2 if np.any(scale > 0) else np.ones(len(points))
    weight = np.minimum(weight, 1e4 * np.median(weight))
    windows = _windows(len(points), len(law.params))
    solution = solve(
        law,
        points,
        np.concatenate([np.broadcast_to(best, windows.shape), replicas]),
        np.concatenate([weight * windows, np.broadcast_to(weight, replicas.shape)]),
        space=space,
        huber=huber,
    )
    dropped = () if use.all() else (f"{int((~use).sum())} of {len(use)} {x} have no finite value and are left out",)
    return _report(law, points, best, error, solution, len(windows), space, label, dropped)


def _curve(data, x, over):
    """(points,), (points, seeds) and a label from a DataArray."""
    if x not in data.dims:
        raise FitError(f"x='{x}' is no dimension of the data; choose from {list(data.dims)}.")
    extra = [d for d in data.dims if d not in (x, over)]
    if extra:
        typo = "" if over in data.dims else f"; over='{over}' is not one of them"
        raise FitError(f"the data still have dimension(s) {extra}{typo}; select one value of each, e.g. .sel({extra[0]}=...).")
    array = data.transpose(x, over) if over in data.dims else data.expand_dims({over: 1}).transpose(x, over)
    array = array.sortby(x)
    return np.asarray(array[x].values, np.float64), np.asarray(array.values, np.float64), str(data.name or "")


def _windows(points: int, params: int) -> np.ndarray:
    """(windows, points) 0/1: all points first, then without the smallest, two smallest, ... down to half of them."""
    drops = range(0, max(points // 2, 0) + 1)
    return np.array([[i >= drop for i in range(points)] for drop in drops if points - drop >= params + 1], np.float64)


def _report(law: Law, x, y, error, solution: Solution, windows: int, space: str, label: str, dropped) -> Fit:
    names = list(law.params)
    main, replicas = solution.values[0], solution.values[windows:]
    if not np.all(np.isfinite(main)):
        raise FitError(f"no start of '{law.name}' gave a finite fit.")
    spread = np.ptp(solution.values[:windows], axis=0) / 2 if windows > 1 else np.full(len(names), np.nan)
    estimates = {}
    for i, name in enumerate(names):
        column = replicas[:, i] if len(replicas) else np.full(2, np.nan)
        low, high = np.percentile(column, [2.5, 97.5])
        deviation = float(column.std(ddof=1))
        estimates[name] = Estimate(float(main[i]), deviation, float(spread[i]), float(low), float(high))
    model = np.asarray(law.shape(x, **dict(zip(names, main))))
    seen, made = (np.log(y), np.log(np.maximum(model, 1e-300))) if space == "log" else (y, model)
    residual, total = np.sum((seen - made) ** 2), np.sum((seen - seen.mean()) ** 2)
    freedom = len(x) - len(names)
    goodness = {"r2": float(1 - residual / total) if total > 0 else float("nan"), "reached": float(solution.reached[0])}
    if np.any(error > 0):
        goodness["chi2_dof"] = float(solution.objective[0] / freedom)
    status, reasons = _judge(law, estimates, goodness, list(dropped))
    return Fit(law, estimates, status, reasons, goodness, x, y, error, replicas, label)


def _judge(law, estimates, goodness, weak):
    """Never a success on a bad fit; `weak` holds the reasons known already."""
    failed = []
    if np.isnan(goodness["r2"]):
        failed.append("y does not vary, so there is nothing to explain")
    elif not goodness["r2"] > 0.5:
        failed.append(f"the law explains {goodness['r2']:.0%} of the variation")
    elif goodness["r2"] < 0.95:
        weak.append(f"the law explains only {goodness['r2']:.0%} of the variation")
    if goodness.get("chi2_dof", 0) > WEAK_CHI2:
        weak.append(f"residuals exceed the seed noise: chi2 per degree of freedom {goodness['chi2_dof']:.3g}")
    for name, estimate in estimates.items():
        param = law.params[name]
        if not param.positive and any(np.isclose(estimate.value, b) for b in (param.lower, param.upper) if np.isfinite(b)):
            weak.append(f"{name} sits at its bound {estimate.value:.3g}")
    quoted = estimates[law.exponent]
    if quoted.seeds > 0.25 * abs(quoted.value) and quoted.seeds > 0.1:
        weak.append(f"{law.exponent} is not determined: {quoted}")
    reasons = tuple(failed + weak)
    return ("failed" if failed else "weak" if weak else "ok"), reasons


def local_slopes(data: Any, *, x: str, over: str = "seed", statistic: str = "mean", resamples: int = 400, root: int = 0) -> Any:
    """D log y / d log x between neighbouring points: the honest picture of an exponent that is still drifting.

    Args:
      data: DataArray with dims (x, over), or (x,) alone; positive.
      x: dimension to differentiate along.
      over: dimension to resample.
      statistic: over seeds.
      resamples: bootstrap resamples.
      root: seed of the resampling.

    Returns:
      Dataset along x (geometric mid-points) with `slope` and its bootstrap standard error `error`.
    """
    import xarray

    points, values, _ = _curve(data, x, over)
    best, replicas = resample(values, resamples if values.shape[1] > 1 else 2, statistic=statistic, root=root)
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.diff(np.log(points))
        slope, spread = np.diff(np.log(best)) / step, np.diff(np.log(replicas), axis=1) / step
    middle = np.sqrt(points[1:] * points[:-1])
    return xarray.Dataset({"slope": (x, slope), "error": (x, spread.std(axis=0, ddof=1))}, {x: middle})
