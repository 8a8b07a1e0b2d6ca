"""Do the intervals cover? Simulate from a law, fit, resample, and count; every set and every resample a lane of one vmap."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxscale.fitting.law import Law
from jaxscale.fitting.redraws import FEW, wild
from jaxscale.fitting.result import Fit, Spread, estimate
from jaxscale.fitting.runs import resampled_runs
from jaxscale.fitting.solver import solve

NAME = "how often 95 % intervals cover, simulated"

ITERATIONS = 25  # from the truth, or from the optimum of the set


@dataclasses.dataclass(frozen=True)
class Coverage:
    """Say how often 95 % intervals contained the truth.

    Attributes:
      covered: {parameter: share of the sets}.
      width: {parameter: median width of its interval over the truth}.
      sets: how many; the standard error of a share of .95 is .22 / sqrt(sets).
    """

    covered: dict[str, float]
    width: dict[str, float]
    sets: int


def coverage(
    law: Law, values: Mapping[str, float], x: Any, *, noise: float, space: str = "log", huber: float | None = None,
    sets: int = 400, resamples: int = 200, root: int = 0, progress: bool = False,
) -> Coverage:  # fmt: skip
    """Simulate how often intervals from runs cover under normal residuals.

    Fits start from the truth: starts are tested elsewhere.

    Args:
      law: what is simulated and fitted.
      values: its true parameters.
      x: (inputs, n) design.
      noise: standard deviation of the residuals in `space`.
      space: "log" or "raw".
      huber: delta of the Huber loss.
      sets: synthetic data sets.
      resamples: of runs, of each.
      root: seed.
      progress: show a bar on anything over two seconds.
    """
    x, truth = np.atleast_2d(np.asarray(x, np.float64)), np.array([values[name] for name in law.params])
    rng, n, p = np.random.default_rng(root), x.shape[1], len(law.params)
    y = _about(law, x, truth, np.full(n, noise), space, sets, rng)
    how: dict[str, Any] = {"space": space, "huber": huber, "iterations": ITERATIONS, "progress": progress}
    main = solve(law, x, y, np.ones(n), starts=truth[None], **how).values
    starts = np.repeat(main, resamples, axis=0)[:, None]
    if drawn := n < FEW * p and huber is None:
        replicas = wild(law, x, y, np.ones(n), main, space=space, count=resamples, rng=rng).reshape(-1, n)
        again = solve(law, x, replicas, np.ones(n), starts=starts, **how).values
    else:
        seeds = rng.integers(2**31, size=sets)
        counts = np.concatenate([resampled_runs(np.arange(n), resamples, int(seed)) for seed in seeds])
        again = solve(law, x, np.repeat(y, resamples, axis=0), np.ones(n), count=counts, starts=starts, **how).values
    return _counted(law, truth, main, again.reshape(sets, resamples, -1), "runs", Spread(n, n - p, drawn))


def coverage_of_seeds(
    law: Law, values: Mapping[str, float], x: Any, *, error: np.ndarray, freedom: float, space: str = "log", sets: int = 400,
    resamples: int = 200, root: int = 0, progress: bool = False,
) -> Coverage:  # fmt: skip
    """Simulate how often intervals from seeds cover where the errors of the points are known with few degrees of freedom.

    Args:
      law: what is simulated and fitted.
      values: its true parameters.
      x: (inputs, n) design.
      error: (n,) true standard error of each point in `space`.
      freedom: degrees of freedom that it is known with.
      space: "log" or "raw".
      sets: synthetic data sets.
      resamples: draws of each.
      root: seed.
      progress: show a bar on anything over two seconds.
    """
    x, truth = np.atleast_2d(np.asarray(x, np.float64)), np.array([values[name] for name in law.params])
    rng, weight = np.random.default_rng(root), 1 / error**2
    y = _about(law, x, truth, error, space, sets, rng)
    how: dict[str, Any] = {"space": space, "iterations": ITERATIONS, "progress": progress}
    main = solve(law, x, y, weight, starts=truth[None], **how).values
    claimed = error * np.sqrt(rng.chisquare(freedom, size=(sets, 1, 1)) / freedom)
    gap = claimed * rng.normal(size=(sets, resamples, len(error)))
    replicas = y[:, None] * np.exp(gap) if space == "log" else y[:, None] + gap
    starts = np.repeat(main, resamples, axis=0)[:, None]
    again = solve(law, x, replicas.reshape(-1, len(error)), weight, starts=starts, **how).values
    return _counted(law, truth, main, again.reshape(sets, resamples, -1), "seeds", Spread(len(error), freedom, drawn=True))


def _about(
    law: Law, x: np.ndarray, truth: np.ndarray, noise: np.ndarray, space: str, sets: int, rng: np.random.Generator
) -> np.ndarray:
    """Return (sets, n) data with normal residuals about a law."""
    exact, errors = law.curves(x, truth[None])[0], noise * rng.normal(size=(sets, x.shape[1]))
    return exact * np.exp(errors) if space == "log" else exact + errors


def _counted(law: Law, truth: np.ndarray, main: np.ndarray, again: np.ndarray, over: str, spread: Spread) -> Coverage:
    """Return the share of the sets whose intervals hold the truth, and how wide they are."""
    covered, width = {}, {}
    for i, name in enumerate(law.params):
        intervals = [estimate(m[i], r[:, i], np.nan, over, spread=spread) for m, r in zip(main, again)]
        covered[name] = float(np.mean([e.low <= truth[i] <= e.high for e in intervals]))
        width[name] = float(np.median([e.high - e.low for e in intervals]) / abs(truth[i]))
    return Coverage(covered, width, len(main))


def simulated(fit: Fit, **how: Any) -> Coverage:
    """Simulate coverage from a fitted law: what its intervals are worth at this design and this noise.

    Raises:
      ValueError: the fit has clusters or weights, whose runs are not drawn one by one with equal noise; or seeds that share
        their numbers; or it is of absolute residuals, which those of a normal distribution do not ask for.
    """
    if fit.how["L1"]:
        raise ValueError("simulated() draws normal residuals, and this fit was made for others (absolute residuals).")
    if fit.how.get("over") == "seeds":
        if not len(fit.replicas) or fit.how["huber"] is not None:
            raise ValueError("simulated() needs several seeds and a fit of squares.")
        error = fit.error / np.abs(fit.y) if fit.how["space"] == "log" else fit.error
        options = {"error": error, "freedom": fit.how["freedom"], "space": fit.how["space"]} | how
        return coverage_of_seeds(fit.law, fit.values, fit.columns, **options)
    if fit.how.get("cluster") != "every row a run" or not np.allclose(fit.weight, fit.weight[0]):
        raise ValueError("simulated() knows independent runs with equal weights only; this fit has clusters or weights.")
    options = {"noise": fit.goodness["rmse"], "space": fit.how["space"], "huber": fit.how["huber"]} | how
    return coverage(fit.law, fit.values, fit.columns, **options)
