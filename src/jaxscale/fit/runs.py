"""Fits of tables: one row a run, errors from resampling runs, self-tests carried along."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxscale.fit import checks
from jaxscale.fit.fit import Estimate, Fit, FitError
from jaxscale.fit.law import Law
from jaxscale.fit.solve import Solution, solve
from jaxscale.fit.table import Table, read_table

KEPT_STARTS = 6  # a resample starts from the best distinct optima of the whole table


def fit_table(
    law: Law,
    source: Any,
    *,
    x: Mapping[str, str] | Sequence[str],
    y: str,
    weight: str | None = None,
    cluster: str | None = None,
    space: str = "log",
    huber: float | None = None,
    resamples: int = 400,
    starts: np.ndarray | None = None,
    root: int = 0,
    progress: bool = True,
) -> Fit:
    """Fit a law to a table of runs.

    Args:
      law: see `jaxscale.fit.laws`.
      source: file or mapping of columns, see `jaxscale.fit.table.read_table`.
      x: columns of the law's inputs, in its order, or {input: column}.
      y: column to explain.
      weight: column of weights, one over the variance; all equal if None.
      cluster: column that says which rows belong to one run (checkpoints, repeats), to be resampled together.
      space: residuals in "log" or "raw" y.
      huber: delta of the Huber loss, summed; None for squares.
      resamples: bootstrap resamples of runs.
      starts: (starts, params) whole parameter vectors; None for the law's own.
      root: seed of the resampling.
      progress: show a bar on anything over two seconds.

    Returns:
      A `Fit` whose status says how far to trust it, and whose reasons say what was left out.

    Raises:
      FitError: bad tables, fewer points than parameters, one scale only, values a logarithm cannot take.
    """
    names = _columns(law, x)
    table = _usable(
        read_table(source, [*names, y, *([weight] if weight else [])], labels=[cluster] if cluster else []), names, y, space
    )
    points = np.stack([table.columns[name] for name in names])
    values = table.columns[y]
    _check_points(law, points, names)
    w = table.columns[weight] if weight else np.ones(len(table))
    if np.any(w < 0) or not np.any(w > 0):
        raise FitError(f"column '{weight}' must hold weights, not negative and not all zero.")
    how: dict[str, Any] = {"space": space, "huber": huber}
    scale = np.prod(np.exp(np.log(points) - np.log(points).mean(1, keepdims=True)), axis=0)
    windows = _windows(scale, len(law.params))
    whole = solve(law, points, np.broadcast_to(values, windows.shape), w * windows, starts=starts, progress=progress, **how)
    if not np.all(np.isfinite(whole.values[0])) or not np.isfinite(whole.objective[0]):
        raise FitError(f"no start of '{law.name}' gave a finite fit.")
    counts = _resampled(table.columns[cluster] if cluster else np.arange(len(table)), resamples, root)
    again = solve(
        law, points, np.broadcast_to(values, counts.shape), w, count=counts, starts=_best(whole), progress=progress, **how
    ) if resamples else None  # fmt: skip
    replicas = again.values if again is not None else np.zeros((0, len(law.params)))
    return _report(law, table, names, y, points, values, w, scale, whole, replicas, len(windows), how)


def _columns(law: Law, x: Mapping[str, str] | Sequence[str]) -> list[str]:
    if isinstance(x, Mapping):
        if set(x) != set(law.inputs):
            raise FitError(f"law '{law.name}' takes {list(law.inputs)}; got x for {sorted(x)}.")
        return [x[name] for name in law.inputs]
    names = [x] if isinstance(x, str) else list(x)
    if len(names) != len(law.inputs):
        raise FitError(f"law '{law.name}' takes {list(law.inputs)}; got x={names}.")
    return names


def _usable(table: Table, names: Sequence[str], y: str, space: str) -> Table:
    """Rows a logarithm can take: others are left out if they are failed runs of zero loss, and refused otherwise."""
    zero = table.columns[y] == 0
    if zero.any() and not zero.all():
        table = table.take(~zero, f"{int(zero.sum())} rows with {y} = 0 are failed runs and are left out")
    for name in [*names, *([y] if space == "log" else [])]:
        if np.any(table.columns[name] <= 0):
            rows = np.flatnonzero(table.columns[name] <= 0)[:5].tolist()
            raise FitError(
                f"'{name}' must be positive for a logarithm; rows {rows} of the table are not. Use space='raw', or drop them."
            )
    whole = np.stack([table.columns[name] for name in (*names, y)], axis=1)
    repeated = len(whole) - len(np.unique(whole, axis=0))
    note = (f"{repeated} rows repeat another one and count as often as they stand",) if repeated else ()
    return Table(table.columns, (*table.notes, *note))


def _check_points(law, points, names):
    distinct = len(np.unique(points, axis=1).T)
    if distinct < len(law.params) + 1:
        raise FitError(
            f"{distinct} distinct points cannot fit the {len(law.params)} parameters of '{law.name}' with one to spare."
        )
    for name, row in zip(names, points):
        if len(np.unique(row)) == 1:
            raise FitError(f"'{name}' has a single value, {row[0]:.4g}, so nothing can be said about it.")


def _windows(scale, params) -> np.ndarray:
    """(windows, n) 0/1: all points, then without the smallest tenth, two tenths, ... up to four of the scales."""
    cuts = [-np.inf, *np.unique(np.quantile(scale, [0.1, 0.2, 0.3, 0.4]))]
    rows = [scale > cut for cut in cuts]
    return np.array([row for row in rows if row.sum() > params + 1] or rows[:1], np.float64)


def _resampled(cluster, count, root) -> np.ndarray:
    """(count, n) how often each row stands in each resample; rows of one cluster stand together."""
    labels = np.unique(cluster, return_inverse=True)[1]
    groups = labels.max() + 1
    drawn = np.random.default_rng(root).multinomial(groups, np.full(groups, 1 / groups), size=count)
    return drawn[:, labels].astype(np.float64)


def _best(whole: Solution) -> np.ndarray:
    """The best optimum, and others that differ from it."""
    order = np.argsort(whole.objectives[0], kind="stable")
    chosen = [whole.every[0][order[0]]]
    for i in order[1:]:
        z = whole.every[0][i]
        if len(chosen) < KEPT_STARTS and np.all(np.isfinite(z)):
            if all(np.max(np.abs(z - c) / (np.abs(c) + 1e-12)) > 0.05 for c in chosen):
                chosen.append(z)
    return np.array(chosen)


def _report(law, table, names, y, points, values, w, scale, whole, replicas, windows, how) -> Fit:
    main = whole.values[0]
    made = np.asarray(law.shape(*points, **dict(zip(law.params, main))))
    seen, model = (np.log(values), np.log(np.maximum(made, 1e-300))) if how["space"] == "log" else (values, made)
    residual = np.sqrt(w) * (model - seen)
    spread = np.ptp(whole.values[:windows], axis=0) / 2 if windows > 1 else np.full(len(main), np.nan)
    estimates = {name: _estimate(main[i], replicas[:, i], spread[i]) for i, name in enumerate(law.params)} | _derived(
        law, whole.values[:windows], replicas
    )
    total = np.sum(w * (seen - np.average(seen, weights=w)) ** 2)
    goodness = {
        "r2": float(1 - np.sum(residual**2) / total) if total > 0 else float("nan"), "objective": float(whole.objective[0] / 2),
        "reached": float(whole.reached[0]), "rmse": float(np.sqrt(np.sum(residual**2) / np.sum(w))),
        "quadratic": checks.quadratic_share(residual, how["huber"]),
        "autocorrelation": checks.residual_structure(residual, scale),
        "hold_out": checks.hold_out(law, points, values, w, scale, **how),
    }  # fmt: skip
    status, reasons = _judge(law, whole, estimates, goodness, values)
    return Fit(law, estimates, status, (*reasons, *table.notes), goodness, points, values, np.zeros(len(values)), replicas, y)


def _estimate(value, column, window) -> Estimate:
    low, high = np.percentile(column, [2.5, 97.5]) if len(column) else (np.nan, np.nan)
    deviation = float(column.std(ddof=1)) if len(column) > 1 else float("nan")
    return Estimate(float(value), deviation, float(window), float(low), float(high), "runs")


def _derived(law, windows, replicas) -> dict[str, Estimate]:
    found = {}
    for name, function in law.derived.items():
        main, *rest = (float(function(**dict(zip(law.params, row)))) for row in windows)
        again = np.array([function(**dict(zip(law.params, row))) for row in replicas], np.float64)
        found[name] = _estimate(main, again, np.ptp([main, *rest]) / 2 if rest else np.nan)
    return found


def _judge(law, whole, estimates, goodness, values):
    failed, weak = [], []
    if np.isnan(goodness["r2"]):
        failed.append("y does not vary, so there is nothing to explain")
    elif goodness["r2"] < 0.5:
        failed.append(f"the law explains {goodness['r2']:.0%} of the variation")
    elif goodness["r2"] < 0.95:
        weak.append(f"the law explains only {goodness['r2']:.0%} of the variation")
    if goodness["reached"] < checks.FEW_STARTS:
        weak.append(f"only {goodness['reached']:.1%} of the starts reached the best objective: there may be a better one")
    if others := checks.other_optima(whole):
        weak.append(f"{others} starts ended within 5 % of the best objective with other parameters: flat, or several optima")
    weak += checks.at_bounds(law, whole.values[0], float(np.median(np.abs(values))))
    if goodness["quadratic"] < 0.1:
        weak.append(f"{goodness['quadratic']:.0%} of the points are in Huber's quadratic zone: least absolute deviations")
    limit = max(checks.AUTOCORRELATION, 3 / np.sqrt(len(values)))
    if goodness["autocorrelation"] > limit:
        weak.append(
            f"residuals follow the scale (autocorrelation {goodness['autocorrelation']:.2f}): the form is not the data's"
        )
    if goodness["hold_out"] > 5 * goodness["rmse"] + 1e-9:
        weak.append(
            f"the largest scales are missed by {goodness['hold_out']:.2g} when held out, {goodness['rmse']:.2g} when fitted"
        )
    quoted = estimates[law.exponent]
    if quoted.seeds > 0.25 * abs(quoted.value) and quoted.seeds > 0.1:
        weak.append(f"{law.exponent} is not determined: {quoted}")
    return ("failed" if failed else "weak" if weak else "ok"), tuple(failed + weak)
