"""A table has one row a run; errors come from resampling the runs."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxscale.fitting.assembly import Points
from jaxscale.fitting.law import Law
from jaxscale.fitting.result import FitError
from jaxscale.fitting.table import Table, read_table, shown

MANY = 6  # rows from which on a repeated extreme is no accident


def table_points(
    law: Law, source: Any, *, x: Mapping[str, str] | Sequence[str] | str, y: str, weight: str | None, cluster: str | None,
    space: str, resamples: int, root: int,
) -> Points:  # fmt: skip
    """Return the rows of a table that can be fitted, and resamples of its runs.

    Raises:
      FitError: bad tables, fewer points than parameters, one scale only, values a logarithm cannot take.
    """
    names = _columns(law, x)
    if y in names:
        raise FitError(f"y='{y}' is also an input; a column cannot explain itself.")
    table = read_table(source, [*names, y, *([weight] if weight else [])], labels=[cluster] if cluster else [])
    table = _usable(table, law, names, y, weight, space)
    points, values = np.stack([table.columns[name] for name in names]), table.columns[y]
    try:
        check_points(law, points, names)
    except FitError as error:
        raise FitError(" ".join([str(error), *(f"({note}.)" for note in table.notes)])) from None
    if law.check:
        law.check(points)
    _no_limit(values, points, y)
    w = table.columns[weight] if weight else np.ones(len(table))
    labels = np.unique(table.labels[cluster] if cluster else np.arange(len(table)), return_inverse=True)[1]
    runs = int(labels.max()) + 1
    if resamples and runs < 2:
        raise FitError(f"column '{cluster}' has one value, so there are no runs to resample; use resamples=0.")
    facts = {
        "source": str(source) if not isinstance(source, Mapping) and not hasattr(source, "columns") else "columns in memory",
        "columns": dict(zip(law.inputs, names)) | {"y": y}, "rows": len(table), "weights": weight or "equal",
        "cluster": cluster or "every row a run",
    }  # fmt: skip
    counts = resampled_runs(labels, resamples, root)
    return Points(
        points, values, w, np.zeros(len(values)), None, counts, runs, "runs", y, table.notes, facts, labels, root=root
    )  # fmt: skip


def resampled_runs(labels: np.ndarray, count: int, root: int) -> np.ndarray:
    """Return (count, n): how often each row stands in each resample; rows of one run stand together."""
    runs = int(labels.max()) + 1
    drawn = np.random.default_rng(root).multinomial(runs, np.full(runs, 1 / runs), size=count)
    return drawn[:, labels].astype(np.float64)


def _columns(law: Law, x: Mapping[str, str] | Sequence[str] | str) -> list[str]:
    """Return the names of the columns of a law's inputs, in its order."""
    if isinstance(x, Mapping):
        if set(x) != set(law.inputs):
            raise FitError(f"law '{law.name}' takes {list(law.inputs)}; got x for {sorted(x)}.")
        return [x[name] for name in law.inputs]
    names = [x] if isinstance(x, str) else list(x)
    if len(names) != len(law.inputs):
        raise FitError(f"law '{law.name}' takes {list(law.inputs)}; got x={names}.")
    return names


def _usable(table: Table, law: Law, names: Sequence[str], y: str, weight: str | None, space: str) -> Table:
    """Return the rows a logarithm can take: others are left out if they are failed runs of zero loss, and refused otherwise."""
    if weight:
        w = table.columns[weight]
        if np.any(w < 0) or not np.any(w > 0):
            bad = f" ({shown(table.rows[w < 0])} are negative)" if np.any(w < 0) else ""
            raise FitError(f"column '{weight}' must hold weights, not negative and not all zero{bad}.")
        table = table.keep(w > 0, "have weight 0")
    _no_counts(table.columns[y], y, space)
    if space == "log" and not np.all(table.columns[y] == 0):
        table = table.keep(table.columns[y] != 0, f"with {y} = 0 are failed runs")
    for name in [column for name, column in zip(law.inputs, names) if law.needs_positive(name)]:
        _positive(table, name, "The law takes it to a power; drop these rows.")
    if space == "log":
        _positive(table, y, "Use space='raw', or drop these rows.")
    whole = np.stack([table.columns[name] for name in (*names, y)], axis=1)
    repeated = len(whole) - len(np.unique(whole, axis=0))
    note = (f"{repeated} rows repeat another one and count as often as they stand",) if repeated else ()
    return dataclasses.replace(table, notes=(*table.notes, *note))


def _no_counts(values: np.ndarray, y: str, space: str) -> None:
    """Raise FitError for counts some of which are 0: leaving these out would bend the law, and their noise is Poisson's."""
    whole = np.all(values == np.round(values)) and values.min(initial=0) >= 0
    if space == "log" and whole and np.any(values == 0) and values.max(initial=0) >= 2:
        raise FitError(
            f"'{y}' holds counts, {int(np.sum(values == 0))} of them 0, which have no logarithm and are no failed runs. Use "
            "space='raw' with weight= one over the expected count, or sum counts until none is 0."
        )


def _no_limit(values: np.ndarray, points: np.ndarray, y: str) -> None:
    """Raise FitError where the largest or the smallest value stands several times and no other does: a cap, or a limit."""
    distinct, count = np.unique(values, return_counts=True)
    if len(values) < MANY or len(distinct) < 3 or np.all(values == np.round(values)) or np.sum(count > 1) != 1:
        return
    tied = distinct[np.argmax(count)]
    at = points[:, values == tied]
    if tied in (distinct[0], distinct[-1]) and len(np.unique(at, axis=1).T) == count.max():
        side = "smallest" if tied == distinct[0] else "largest"
        raise FitError(
            f"{count.max()} rows have the same {side} '{y}', {tied:.6g}, and no other value repeats: it looks like a cap or a "
            "limit of detection, and these rows would bend the law. Leave them out, or measure them."
        )


def _positive(table: Table, name: str, fix: str) -> None:
    """Raise FitError where a column is not positive, with the rows and what to do about them."""
    bad = table.columns[name] <= 0
    if bad.any():
        raise FitError(f"'{name}' must be positive for a logarithm; {shown(table.rows[bad])} are not. {fix}")


def check_points(law: Law, points: np.ndarray, names: Sequence[str]) -> None:
    """Raise FitError unless there are enough distinct points for the law's parameters, along every input.

    Raises:
      FitError: there are not.
    """
    distinct = len(np.unique(points, axis=1).T)
    for name, row in zip(names, points):
        if len(np.unique(row)) == 1:
            raise FitError(f"'{name}' has a single value, {row[0]:.4g}, so nothing can be said about it.")
    if distinct < len(law.params) + 1:
        raise FitError(
            f"{distinct} distinct points cannot fit the {len(law.params)} parameters of '{law.name}' with one to spare."
        )
