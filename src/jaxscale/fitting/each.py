"""Fit one law to every curve of a labelled result at a time: thousands of exponents with intervals and verdicts.

What `fit` does for one curve with draws and windows is done here with the law's tangent: all curves are lanes of one solver,
and their errors are those of a linearised fit. Where a single curve matters, select it and `fit` it.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxscale.fitting.curves import curve
from jaxscale.fitting.form import REJECTED, bends
from jaxscale.fitting.law import Law, residuals
from jaxscale.fitting.redraws import in_space
from jaxscale.fitting.result import FitError
from jaxscale.fitting.solver import solve
from jaxscale.resampling import seed_dims

if TYPE_CHECKING:
    import xarray

STARTS = 4  # of each curve
TOGETHER = 4096  # curves whose tangents are held at a time
MISFIT = 0.002  # p-value of residuals against the noise of the seeds


def fit_each(
    law: Law, data: "xarray.DataArray", *, x: str | Sequence[str], over: str | Sequence[str] = "seed", space: str | None = None,
    progress: bool = True,
) -> "xarray.Dataset":  # fmt: skip
    """Fit a law along `x` for every value of all other dimensions, at a time.

    The variance over seeds is pooled over the points of each curve (relative in "log" space); with a single seed, or none, the
    scatter about the law takes its place. Intervals are Student's t, of positive parameters in their logarithm.

    Args:
      law: see `jaxscale.fitting.laws`.
      data: DataArray with the dims of x, `over` or not, and any others; finite everywhere, positive in "log" space.
      x: dimensions of the law's inputs, in its order.
      over: dimension of the seeds.
      space: residuals in "log" or "raw" y; the law's own if None.
      progress: show a bar on anything over two seconds.

    Returns:
      Dataset over the dims left: for each parameter its value, and with "_error", "_low" and "_high" its standard error and
      95 % interval; `status` ("ok", "weak", "failed") and `reason`.

    Raises:
      FitError: a dimension that is not there, fewer points than parameters with one to spare, values a logarithm cannot take.
    """
    import xarray

    law = getattr(law, "LAW", law)
    axes, space = ([x] if isinstance(x, str) else list(x)), space or law.space
    dims = [d for d in seed_dims(data, over) if d in data.dims]
    rest = [d for d in data.dims if d not in (*axes, *dims)]
    if missing := [a for a in axes if a not in data.dims]:
        raise FitError(f"x='{missing[0]}' is no dimension of the data; choose from {list(data.dims)}.")
    points, _, _ = curve(data.isel({d: 0 for d in rest}), axes, dims)
    ordered = data
    for axis in axes:
        ordered = ordered.sortby(axis)
    shape = tuple(data.sizes[d] for d in rest)
    values = np.asarray(ordered.transpose(*rest, *axes, *dims).values, np.float64)
    values = values.reshape(int(np.prod(shape)), points.shape[1], -1)
    if not np.all(np.isfinite(values)) or (space == "log" and np.any(values.mean(axis=2) <= 0)):
        raise FitError("fit_each needs finite values, positive for a logarithm; fit() one curve to leave points out.")
    if points.shape[1] < len(law.params) + 2:
        few = f"{points.shape[1]} points cannot fit the {len(law.params)} parameters"
        raise FitError(f"{few} of '{law.name}' with two to spare; use fit(), or more points.")
    y, columns = values.mean(axis=2), []
    best = solve(law, points, y, np.ones(len(points.T)), space=space, spread=STARTS, progress=progress).values
    for start in range(0, len(y), TOGETHER):
        part = slice(start, start + TOGETHER)
        columns.append(_judged(law, points, values[part], y[part], best[part], space))
    table = {name: np.concatenate([c[name] for c in columns]) for name in columns[0]}
    coords = {d: data[d] for d in rest if d in data.coords}
    return xarray.Dataset({name: (rest, v.reshape(shape)) for name, v in table.items()}, coords, {"law": law.name})


def _judged(law: Law, x: np.ndarray, values: np.ndarray, y: np.ndarray, best: np.ndarray, space: str) -> dict[str, Any]:
    """Return estimates, intervals and verdicts of some curves: values (curves, n, seeds), their means y and fits."""
    from scipy import special

    n, seeds, p = y.shape[1], values.shape[2], len(law.params)
    value, slope = in_space(law, x, best, space)
    gap = residuals(space, value, y)
    square, left = np.sum(gap**2, axis=1), n - p
    if seeds > 1:
        unit = y**2 if space == "log" else 1.0
        noise, freedom = np.mean(values.var(axis=2, ddof=1) / unit, axis=1) / seeds, n * (seeds - 1)
        excess = special.fdtrc(left, freedom, square / left / np.maximum(noise, 1e-300))
    else:
        noise, freedom, excess = square / left, left, np.ones(len(y))
    size = np.maximum(np.linalg.norm(slope, axis=1), 1e-300)
    basis, scale, turn = np.linalg.svd(slope / size[:, None, :], full_matrices=False)
    known = scale > 1e-9 * scale[:, :1]
    spread = np.sum((turn / np.where(known, scale, np.inf)[:, :, None]) ** 2, axis=1)
    error = np.sqrt(spread * noise[:, None]) / size
    r = gap - np.einsum("cnk,ck->cn", basis, np.einsum("cnk,cn->ck", basis, gap))
    bend = _bend(bends(law, x, p, 1)[:, 0], basis, r, noise if seeds > 1 else None, freedom, left)
    seen = np.log(y) if space == "log" else y
    r2 = 1 - square / np.maximum(np.sum((seen - seen.mean(axis=1, keepdims=True)) ** 2, axis=1), 1e-300)
    reach, table = special.stdtrit(freedom, 0.975), {}
    for i, (name, param) in enumerate(law.params.items()):
        at, wide = best[:, i], reach * error[:, i]
        logs = param.positive & (at > 0)
        ratio = np.exp(np.minimum(wide / np.where(logs, at, 1.0), 700.0))
        table[name], table[f"{name}_error"] = at, error[:, i]
        table[f"{name}_low"] = np.where(logs, at / ratio, at - wide)
        table[f"{name}_high"] = np.where(logs, at * ratio, at + wide)
    reason = np.full(len(y), "", dtype="<U80")
    for wrong, text in (
        (r2 < 0.95, "the law explains less than 95 % of the variation"), (excess < MISFIT, "residuals exceed the seed noise"),
        (bend < REJECTED, f"the data bend where '{law.name}' does not"), (~known.all(axis=1), "parameters are not determined"),
        (r2 < 0.5, "the law explains less than half of the variation"),
    ):  # fmt: skip
        reason = np.where(wrong, text, reason)
    table["status"] = np.where(r2 < 0.5, "failed", np.where(reason != "", "weak", "ok"))
    return table | {"reason": reason}


def _bend(
    shape: np.ndarray, basis: np.ndarray, r: np.ndarray, noise: np.ndarray | None, freedom: int, left: int
) -> np.ndarray:
    """Return (curves,) p-values of one bend more than the law has, against the seeds' noise or the scatter."""
    from scipy import special

    extra = shape[None] - np.einsum("cnk,ck->cn", basis, np.einsum("cnk,n->ck", basis, shape))
    gain = np.sum(extra * r, axis=1) ** 2 / np.maximum(np.sum(extra**2, axis=1), 1e-300)
    if noise is not None:
        return special.fdtrc(1, freedom, gain / np.maximum(noise, 1e-300))
    rest = np.maximum(np.sum(r**2, axis=1) - gain, 1e-300) / max(left - 1, 1)
    return special.fdtrc(1, max(left - 1, 1), gain / rest)
