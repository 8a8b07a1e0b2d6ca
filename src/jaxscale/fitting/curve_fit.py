"""`fit` takes one law and one labelled result, or one table, and returns an exponent with its intervals."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxscale.fitting.assembly import Points, assemble
from jaxscale.fitting.curves import curve, curve_points
from jaxscale.fitting.law import Law
from jaxscale.fitting.result import Estimate, Fit, FitError
from jaxscale.fitting.runs import table_points
from jaxscale.fitting.scrutiny import thorough as scrutinised
from jaxscale.resampling import clusters, resample, seed_dims

if TYPE_CHECKING:
    import xarray

__all__ = ["Estimate", "Fit", "FitError", "fit", "local_slopes"]


def fit(
    law: Law,
    data: Any,
    *,
    x: str | Sequence[str] | Mapping[str, str],
    y: str | None = None,
    over: str | Sequence[str] = "seed",
    statistic: str = "mean",
    weight: str | None = None,
    cluster: str | None = None,
    space: str | None = None,
    huber: float | str | None = None,
    resamples: int = 400,
    starts: np.ndarray | None = None,
    root: int = 0,
    thorough: bool = False,
    progress: bool = True,
) -> Fit:
    """Fit `law` to a labelled result of a sweep, or to a table of runs.

    Of a labelled result, the statistic over seeds is recomputed in each bootstrap resample, and each point is weighted by the
    variance that the seeds give it, so nothing is lost by averaging before the fit. Of a table, runs are resampled.

    Args:
      law: see `jaxscale.fitting.laws`.
      data: DataArray with dims (x..., over), or (x...,) alone; or a table: a .csv, .tsv, .jsonl or .parquet file, or a
        mapping of columns (a DataFrame is one).
      x: dimensions or columns of the law's inputs, in its order; of a table also {input: column}.
      y: column to explain, for a table.
      over: the dimension to resample, for a labelled result; ("data", "init") of crossed seeds resamples draws, not runs.
        Axes that the sweep was told to `share` are resampled together.
      statistic: "mean", "median" or "log mean" over seeds.
      weight: column of weights, one over the variance; all equal if None.
      cluster: column that says which rows belong to one run (checkpoints, repeats), to be resampled together.
      space: residuals in "log" or "raw" y; the law's own if None.
      huber: delta of the Huber loss, summed; in units of the standard error where weights are inverse variances. None for
        squares, "L1" for absolute residuals.
      resamples: bootstrap resamples.
      starts: (starts, params) whole parameter vectors; None for the law's own.
      root: seed of the resampling.
      thorough: also profile every parameter and simulate the intervals' coverage, which takes about as long again.
      progress: show a bar on anything over two seconds.

    Returns:
      A `Fit` whose status says how far to trust it, and whose reasons say what was left out.

    Raises:
      FitError: bad tables, fewer usable points than parameters, a single x, or values a logarithm cannot take.
    """
    law = getattr(law, "LAW", law)  # the module of a law will do
    if not isinstance(law, Law):
        raise TypeError(f"law must be a Law, e.g. `from jaxscale.fitting.laws import power`; got {type(law).__name__}.")
    _check_options(huber, y, weight, cluster, space, resamples, root)
    space = space or law.space
    columns = {"y": y, "weight": weight, "cluster": cluster}
    points = _points(law, data, x, columns, {"over": over, "statistic": statistic}, space=space, resamples=resamples, root=root)
    fitted = assemble(law, points, space=space, huber=huber, starts=starts, progress=progress)
    return scrutinised(fitted, progress=progress) if thorough else fitted


def _points(
    law: Law, data: Any, x: Any, columns: dict[str, str | None], labelled: dict[str, Any], *, space: str, resamples: int,
    root: int,
) -> Points:  # fmt: skip
    """Return what is fitted: points of a labelled result, or of a table; options of the other kind are refused."""
    how: dict[str, Any] = {"space": space, "resamples": resamples, "root": root}
    if hasattr(data, "dims") and not hasattr(data, "columns") and not hasattr(data, "data_vars"):
        if given := [name for name, column in columns.items() if column is not None]:
            raise FitError(
                f"{given[0]}= is for tables; of a labelled result pass the observable, and its seeds give the weights."
            )
        return curve_points(law, data, x=[x[name] for name in law.inputs] if isinstance(x, Mapping) else x, **labelled, **how)
    if columns["y"] is None:
        raise FitError("a table needs y=, the column to explain.")
    if labelled != {"over": "seed", "statistic": "mean"}:
        raise FitError("statistic= and over= are for labelled results; of a table, cluster= says which rows are one run.")
    return table_points(law, data, x=x, y=columns["y"], weight=columns["weight"], cluster=columns["cluster"], **how)


def _check_options(
    huber: object, y: object, weight: object, cluster: object, space: object, resamples: object, root: object
) -> None:
    """Raise FitError where an option of `fit` is of the wrong kind."""
    if huber not in (None, "L1") and not (isinstance(huber, int | float | np.number) and huber > 0):
        raise FitError(f"huber must be a positive delta, 'L1' for absolute residuals, or None for squares; got {huber!r}.")
    for name, column in (("y", y), ("weight", weight), ("cluster", cluster)):
        if column is not None and not isinstance(column, str):
            raise FitError(f"{name} must be the name of a column; got {type(column).__name__}.")
    if space not in (None, "log", "raw"):
        raise FitError(f"space must be 'log' or 'raw'; got {space!r}.")
    for name, number in (("resamples", resamples), ("root", root)):
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < 0:
            raise FitError(f"{name} must be a whole number, not negative; got {number!r}.")


def local_slopes(
    data: Any, *, x: str, over: str | Sequence[str] = "seed", statistic: str = "mean", resamples: int = 400, root: int = 0
) -> "xarray.Dataset":
    """Return d log y / d log x between neighbouring points: the honest picture of an exponent that is still drifting.

    Args:
      data: DataArray with dims (x, over), or (x,) alone; positive.
      x: dimension to differentiate along.
      over: as for `fit`.
      statistic: over seeds.
      resamples: bootstrap resamples.
      root: seed of the resampling.

    Returns:
      Dataset along x (geometric mid-points) with `slope` and its bootstrap standard error `error`.
    """
    import xarray

    dims = seed_dims(data, over)
    points, values, _ = curve(data, [x], dims)
    how = clusters(data, [x], dims, points)
    points = points[0]
    best, replicas = resample(values, resamples if values.shape[1] > 1 else 2, statistic=statistic, root=root, **how)
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.diff(np.log(points))
        slope, spread = np.diff(np.log(best)) / step, np.diff(np.log(replicas), axis=1) / step
    middle = np.sqrt(points[1:] * points[:-1])
    error = spread.std(axis=0, ddof=1) if values.shape[1] > 1 else np.full(len(slope), np.nan)
    return xarray.Dataset({"slope": (x, slope), "error": (x, error)}, {x: middle})
