"""Find compute-optimal sizes without a formula for the loss: Chinchilla's approaches 1 and 2, and how biased the second is."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

from jaxscale.fitting.laws import chinchilla
from jaxscale.fitting.result import Estimate, FitError, Spread, estimate

NAME = "compute-optimal sizes by approaches 1 (envelope) and 2 (parabolas), with approach 2's bias"


@dataclasses.dataclass(frozen=True)
class Optima:
    """Hold optimal sizes at several budgets, and the power law through them.

    Attributes:
      budget: (budgets,) compute C in flops.
      size: (budgets,) the optimal size (parameters, or tokens); NaN where it lies at the edge of what was run.
      exponent: of size against budget.
      coefficient: size at a budget of 1.
    """

    budget: np.ndarray
    size: np.ndarray
    exponent: Estimate
    coefficient: float

    def at(self, compute: ArrayLike) -> np.ndarray:
        """Return the optimal size at a budget of `compute` flops, by the power law."""
        return self.coefficient * np.asarray(compute, np.float64) ** self.exponent.value


def envelope(
    size: ArrayLike,
    compute: ArrayLike,
    loss: ArrayLike,
    run: ArrayLike,
    *,
    points: int = 1500,
    resamples: int = 400,
    root: int = 0,
) -> Optima:
    """Return optima by approach 1: at many budgets, the size of the run whose training curve is lowest there.

    Args:
      size: (n,) parameters of the run of each checkpoint.
      compute: (n,) flops spent at the checkpoint.
      loss: (n,) there.
      run: (n,) which run it belongs to; runs are resampled.
      points: budgets, spaced evenly in log C over the range that at least two runs cover.
      resamples: of runs.
      root: seed of the resampling.

    References:
      Hoffmann et al. 2022, arXiv:2203.15556, section 3.1.
    """
    size, compute, loss = _positive(size=size, compute=compute, loss=loss)
    names, label = np.unique(np.asarray(run), return_inverse=True)
    if len(names) < 3:
        raise FitError(f"an envelope needs at least 3 runs; got {len(names)}.")
    ends = np.array([(compute[label == i].min(), compute[label == i].max()) for i in range(len(names))])
    low, high = np.sort(ends[:, 0])[1], np.sort(ends[:, 1])[-2]
    if not low < high:
        raise FitError("no budget is covered by two runs; an envelope needs training curves that overlap in compute.")
    budget = np.geomspace(low, high, points)
    curves = np.full((len(names), points), np.inf)
    for i in range(len(names)):
        mine = np.flatnonzero(label == i)
        mine = mine[np.argsort(compute[mine])]
        inside = (budget >= compute[mine[0]]) & (budget <= compute[mine[-1]])
        curves[i, inside] = np.interp(np.log(budget[inside]), np.log(compute[mine]), loss[mine])
    sizes = np.array([size[label == i][0] for i in range(len(names))])

    def solved(rows: np.ndarray) -> tuple[float, float, np.ndarray]:
        best = sizes[rows][np.argmin(curves[rows], axis=0)]
        # where the smallest or largest run wins, the best size lies beyond what was run
        known = np.isfinite(curves[rows].min(axis=0)) & (best > sizes[rows].min()) & (best < sizes[rows].max())
        return (*_line(budget[known], best[known]), known) if known.sum() > 1 else (np.nan, np.nan, known)

    rng = np.random.default_rng(root)
    best = solved(np.arange(len(names)))
    again = np.array([solved(np.unique(rng.integers(0, len(names), len(names))))[0] for _ in range(resamples)])
    optimal = np.where(best[2], sizes[np.argmin(curves, axis=0)], np.nan)
    error = estimate(best[0], again, np.nan, "runs", spread=Spread(len(names), len(names) - 2))
    return Optima(budget, optimal, error, best[1])


def parabolas(
    size: ArrayLike, compute: ArrayLike, loss: ArrayLike, *, curve: str = "parabola", resamples: int = 400, root: int = 0
) -> Optima:
    """Return optima by approach 2: at each budget, the vertex of loss against log size; then a line through the vertices.

    It is biased wherever the loss is not a parabola: unequal exponents, or sizes spread unevenly about the optimum. See `bias`.

    Args:
      size: (n,) parameters, or tokens.
      compute: (n,) flops; runs form a budget as long as neighbours differ by less than .2 %.
      loss: (n,).
      curve: "parabola" in log size, or "akima" interpolation between neighbours (Porian et al. 2024).
      resamples: of the runs within each budget.
      root: seed of the resampling.

    References:
      Hoffmann et al. 2022, arXiv:2203.15556, section 3.2.
    """
    size, compute, loss = _positive(size=size, compute=compute, loss=loss)
    if curve not in ("parabola", "akima"):
        raise ValueError(f"curve must be 'parabola' or 'akima'; got {curve!r}.")
    order = np.argsort(compute)
    apart = np.diff(np.log(compute[order])) > 2e-3  # a gap begins the next budget
    groups = np.split(order, 1 + np.flatnonzero(apart))
    groups = [g for g in groups if len(np.unique(size[g])) >= (3 if curve == "parabola" else 5)]
    if len(groups) < 2:
        raise FitError(
            f"{len(groups)} budgets have enough distinct sizes; at least 2 are needed. Are runs of a budget within .1 % of it?"
        )
    find = _vertex if curve == "parabola" else _akima
    budget = np.array([np.exp(np.log(compute[g]).mean()) for g in groups])

    def solved(chosen: Sequence[np.ndarray]) -> tuple[np.ndarray, tuple[float, float]]:
        at = np.array([find(size[g], loss[g]) for g in chosen])
        known = np.isfinite(at)
        return at, (_line(budget[known], at[known]) if known.sum() > 1 else (np.nan, np.nan))

    rng = np.random.default_rng(root)
    optimal, (exponent, coefficient) = solved(groups)
    again = [solved([rng.choice(g, len(g)) for g in groups])[1][0] for _ in range(resamples)]
    error = estimate(exponent, np.array(again), np.nan, "runs", spread=Spread(len(size), len(size) - 3 * len(groups)))
    return Optima(budget, optimal, error, coefficient)


def bias(values: Mapping[str, float], *, budgets: np.ndarray, spread: float = 4.0, points: int = 15, to: float = 1e24) -> float:
    """Return the relative error of approach 2's optimal tokens at a budget, on noise-free losses of a known Chinchilla surface.

    Args:
      values: A, B, E, alpha, beta of the surface, e.g. `fit.values`.
      budgets: (m,) compute of the isoflop curves.
      spread: tokens run from the optimum over this factor to the optimum times it.
      points: of each curve, evenly spaced in log D about the true optimum.
      to: budget to extrapolate to.
    """
    p = dict(values)
    columns = []
    for c in np.asarray(budgets, np.float64):
        tokens = chinchilla.optimal_tokens(c, **p) * np.geomspace(1 / spread, spread, points)
        columns.append(np.stack([tokens, np.full(points, c), chinchilla.shape(c / 6 / tokens, tokens, **p)]))
    optima = parabolas(*np.concatenate(columns, axis=1), resamples=0)
    return float(optima.at(to) / chinchilla.optimal_tokens(to, **p) - 1)


def _vertex(size: np.ndarray, loss: np.ndarray) -> float:
    """Return the size at the lowest point of a parabola in log size; NaN where it has none among the sizes that were run."""
    x = np.log(size)
    centre = x.mean()
    if len(np.unique(x)) < 3:
        return np.nan
    bend, slope, _ = np.polyfit(x - centre, loss, 2)
    at = centre - slope / (2 * bend) if bend > 0 else np.nan
    return np.exp(at) if x.min() < at < x.max() else np.nan


def _akima(size: np.ndarray, loss: np.ndarray) -> float:
    """Return the size at the lowest point of an Akima spline in log size; NaN where that is at an end."""
    from scipy.interpolate import Akima1DInterpolator

    x, first = np.unique(np.log(size), return_index=True)
    if len(x) < 5:
        return np.nan
    fine = np.unique(np.concatenate([np.linspace(a, b, 26) for a, b in zip(x[:-1], x[1:])]))
    curve = Akima1DInterpolator(x, loss[first])(fine)
    at = int(np.argmin(curve))
    return np.exp(fine[at]) if 0 < at < len(fine) - 1 else np.nan


def _line(budget: np.ndarray, size: np.ndarray) -> tuple[float, float]:
    """Return exponent and coefficient of the power law of size against budget."""
    x = np.log(budget)
    slope, level = np.polyfit(x - x.mean(), np.log(size), 1)
    return slope, float(np.exp(level - slope * x.mean()))


def _positive(**columns: ArrayLike) -> list[np.ndarray]:
    """Return the columns as floats, or raise FitError where one is not finite and positive, or of another length."""
    arrays = [np.asarray(values, np.float64) for values in columns.values()]
    for name, values in zip(columns, arrays):
        if not np.all(np.isfinite(values) & (values > 0)):
            raise FitError(f"{name} must be finite and positive; leave failed runs out.")
    if len({values.shape for values in arrays}) != 1:
        raise FitError(f"{list(columns)} must have the same length; got {[values.shape for values in arrays]}.")
    return arrays
