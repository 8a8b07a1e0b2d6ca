"""Do the intervals cover? Simulate from a law, fit, resample, and count; every set and every resample a lane of one vmap."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from jaxscale.fitting.law import Law
from jaxscale.fitting.result import Fit, estimate
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
    """Simulate how often the run bootstrap's intervals cover under normal residuals.

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
    rng, n = np.random.default_rng(root), x.shape[1]
    exact, errors = law.at(x, dict(values)), noise * rng.normal(size=(sets, n))
    y = exact * np.exp(errors) if space == "log" else exact + errors
    how: dict[str, Any] = {"space": space, "huber": huber, "iterations": ITERATIONS, "progress": progress}
    main = solve(law, x, y, np.ones(n), starts=truth[None], **how).values
    counts = np.concatenate([resampled_runs(np.arange(n), resamples, int(seed)) for seed in rng.integers(2**31, size=sets)])
    starts = np.repeat(main, resamples, axis=0)[:, None]
    again = solve(law, x, np.repeat(y, resamples, axis=0), np.ones(n), count=counts, starts=starts, **how).values
    again = again.reshape(sets, resamples, -1)
    covered, width = {}, {}
    for i, name in enumerate(law.params):
        intervals = [estimate(m[i], r[:, i], np.nan, "runs", size=n, freedom=n - len(truth)) for m, r in zip(main, again)]
        covered[name] = float(np.mean([e.low <= truth[i] <= e.high for e in intervals]))
        width[name] = float(np.median([e.high - e.low for e in intervals]) / abs(truth[i]))
    return Coverage(covered, width, sets)


def simulated(fit: Fit, **how: Any) -> Coverage:
    """Simulate coverage from a fitted law: what its intervals are worth at this design and this noise.

    Raises:
      ValueError: the fit has clusters, weights or seeds: runs are simulated one by one, with equal noise; or it is of absolute
        residuals, which those of a normal distribution do not ask for.
    """
    if fit.how["L1"]:
        raise ValueError("simulated() draws normal residuals, and this fit was made for others (absolute residuals).")
    if (
        fit.how.get("over") != "runs"
        or fit.how.get("cluster") != "every row a run"
        or not np.allclose(fit.weight, fit.weight[0])
    ):
        raise ValueError("simulated() knows independent runs with equal weights only; this fit has clusters, weights or seeds.")
    options = {"noise": fit.goodness["rmse"], "space": fit.how["space"], "huber": fit.how["huber"]} | how
    return coverage(fit.law, fit.values, fit.columns, **options)
