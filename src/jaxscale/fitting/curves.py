"""Labelled results of sweeps become points: a curve, or a surface, over seeds; errors come from resampling the seeds."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxscale.fitting.assembly import Points
from jaxscale.fitting.law import Law
from jaxscale.fitting.result import FitError
from jaxscale.fitting.seed_errors import redrawn
from jaxscale.resampling import clusters, resample, seed_dims


def curve_points(
    law: Law,
    data: Any,
    *,
    x: str | Sequence[str],
    over: str | Sequence[str],
    statistic: str,
    space: str,
    resamples: int,
    root: int,
) -> Points:
    """Return the points of a labelled result: its seeds' statistic, the replicas of it, and weights from its variance.

    Raises:
      FitError: fewer usable points than parameters, a single x, or values a logarithm cannot take.
    """
    axes = [x] if isinstance(x, str) else list(x)
    if len(axes) != len(law.inputs):
        raise FitError(f"law '{law.name}' takes {list(law.inputs)}; got x={axes}.")
    over = seed_dims(data, over)
    points, values, label = curve(data, axes, over)
    how = clusters(data, axes, over, points)
    best, _ = resample(values, 1, statistic=statistic, root=root, **how)
    use = np.isfinite(best)
    _check_signs(law, axes, points, best, use, space, label or "y")
    censored = statistic != "median" and np.isinf(values[~use]).any()
    fix = ", since some seeds are infinite there: statistic='median' needs half of them only" if censored else ""
    points, best, values = points[:, use], best[use], values[use]
    distinct = len(np.unique(points, axis=1).T) if use.any() else 0
    if distinct < len(law.params) + 1:
        raise FitError(
            f"{distinct} distinct {', '.join(axes)} cannot fit the {len(law.params)} parameters of '{law.name}' with one to "
            f"spare; add grid points{'' if use.all() else f' (some have no finite value{fix})'}."
        )
    if law.check:
        law.check(points)
    groups = how["groups"][use] if "groups" in how else None
    drawn = redrawn(
        points, best, values, statistic=statistic, space=space, positive=[law.needs_positive(name) for name in law.inputs],
        crossed=how.get("crossed"), groups=groups, count=resamples if values.shape[1] > 1 else 0, root=root,
    )  # fmt: skip
    error = drawn.error
    notes = (
        ()
        if use.all()
        else (f"{int((~use).sum())} of {len(use)} {', '.join(axes)} have no finite value and are left out{fix}",)
    )
    facts = {
        "source": "labelled results", "columns": dict(zip(law.inputs, axes)) | {"y": label or "y"}, "rows": int(use.sum()),
        "weights": f"one over the variance over seeds, {drawn.model}" if np.any(error > 0) else "equal", "statistic": statistic,
    }  # fmt: skip
    return Points(
        points, best, drawn.weight, error, drawn.replicas, None, values.shape[1], "seeds", label, notes, facts,
        freedom=drawn.freedom, weights=drawn.weights,
    )  # fmt: skip


def _check_signs(
    law: Law, axes: Sequence[str], points: np.ndarray, best: np.ndarray, use: np.ndarray, space: str, label: str
) -> None:  # fmt: skip
    """Raise FitError where a logarithm or a power is asked for of what is not positive."""
    if space == "log" and np.any(best[use] <= 0):
        bad = points[:, use][:, best[use] <= 0]
        where = bad[0] if len(bad) == 1 else bad.T
        raise FitError(
            f"{label} is not positive at {', '.join(axes)}={where.tolist()[:5]}, so its logarithm does not exist; use "
            "space='raw'."
        )
    for name, axis, row in zip(law.inputs, axes, points):
        if law.needs_positive(name) and np.any(row <= 0):
            raise FitError(f"{axis} must be positive for a scaling law; got {row[row <= 0].tolist()[:5]}.")


def curve(data: Any, axes: Sequence[str], over: Sequence[str]) -> tuple[np.ndarray, np.ndarray, str]:
    """Return (inputs, points), (points, seeds) and a label from a DataArray."""
    for x in axes:
        if x not in data.dims:
            raise FitError(f"x='{x}' is no dimension of the data; choose from {list(data.dims)}.")
    extra = [d for d in data.dims if d not in (*axes, *over)]
    missing = [d for d in over if d not in data.dims]
    if extra:
        typo = f"; over='{missing[0]}' is not one of them" if missing else ""
        raise FitError(f"the data still have dimension(s) {extra}{typo}; select one value of each, e.g. .sel({extra[0]}=...).")
    array = (data.expand_dims({d: 1 for d in missing}) if missing else data).transpose(*axes, *over)
    for x in axes:
        array = array.sortby(x)
    grid = np.meshgrid(*(np.asarray(array[x].values, np.float64) for x in axes), indexing="ij")
    values = np.asarray(array.values, np.float64)
    return np.stack([g.ravel() for g in grid]), values.reshape(grid[0].size, -1), str(data.name or "")
