"""Leave one run out: bias and standard error of every parameter, by the program that the bootstrap has compiled."""

from typing import NamedTuple

import numpy as np

from jaxscale.fitting.result import Fit
from jaxscale.fitting.solver import solve

NAME = "every run left out in turn: bias, error, influence"


class Jackknife(NamedTuple):
    """Say what leaving runs out does to one parameter."""

    bias: float
    error: float
    influential: int  # the run whose leaving moves the parameter most, counted in order of the table


def jackknife(fit: Fit, *, progress: bool = False) -> dict[str, Jackknife]:
    """Return {parameter: bias, standard error, most influential run} of a fit to a table; runs are left out one at a time.

    Leaving a run out is a vector of counts like a resample of the bootstrap, so nothing new is compiled.

    Raises:
      ValueError: the fit is of a sweep, whose seeds are not in it any more; or fewer than three runs.

    References:
      Efron & Tibshirani 1993, chapter 11.
    """
    if fit.labels is None or fit.how.get("over") != "runs":
        raise ValueError("a jackknife leaves runs of a table out; this fit resampled seeds, which the bootstrap has covered.")
    runs = int(fit.labels.max()) + 1
    if runs < 3:
        raise ValueError(f"a jackknife needs at least 3 runs; got {runs}.")
    counts = (fit.labels[None, :] != np.arange(runs)[:, None]).astype(np.float64)
    best = np.array(list(fit.values.values()))
    without = solve(
        fit.law, fit.columns, np.broadcast_to(fit.y, counts.shape), fit.weight, count=counts, starts=best[None],
        space=fit.how["space"], huber=fit.how["huber"], iterations=fit.how["iterations"], progress=progress,
    ).values  # fmt: skip
    mean = without.mean(axis=0)
    bias = (runs - 1) * (mean - best)
    error = np.sqrt((runs - 1) / runs * np.sum((without - mean) ** 2, axis=0))
    most = np.argmax(np.abs(without - mean), axis=0)
    return {name: Jackknife(float(bias[i]), float(error[i]), int(most[i])) for i, name in enumerate(fit.law.params)}
