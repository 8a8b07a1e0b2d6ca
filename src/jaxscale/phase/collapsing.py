"""Finite-size scaling puts all sizes on one smooth master curve, and gives its threshold and exponents with errors.

y(L, x) = L^(zeta/nu) f(L^(1/nu) (x - x_c)), f unknown. A polynomial f, whose coefficients are solved for exactly, finds the
basin from many starts, all lanes of one program. From there f is a Gaussian process with a scatter of its own: it follows the
data, where a polynomial with weights of one over the variance follows the saturated tails.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import jax.numpy as jnp
import numpy as np

from jaxscale.fitting.law import Law, Param, Value
from jaxscale.fitting.result import Estimate, FitError, Spread, estimate
from jaxscale.fitting.solver import Solution, solve
from jaxscale.phase.collapse_quality import arcsine, flat, primary, quality, rescaled
from jaxscale.resampling import resample

if TYPE_CHECKING:
    import xarray

# (n,) L, x, y, dy; (resamples, n) of y; (n,) runs of each cell, where they are 0 or 1
Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray | None]

WORST = 5.0  # mean square deviation, in errors, above which sizes do not share a curve
AGREE = 0.05  # share of the starts that must end at the best objective
SPREAD = 1.0  # of the polynomial's argument, X / sqrt(X^2 + SPREAD mean X^2)
MAX_PROCESS = 500  # points of the Gaussian process, whose matrices are dense
COVERED = 0.7  # share of the points that other sizes must bracket


@dataclasses.dataclass(frozen=True)
class Collapse:
    """Hold a data collapse: threshold and exponents with errors, how well the sizes agree, and the points.

    Attributes:
      estimates: {"threshold", "nu", "exponent" (zeta / nu), with corrections "omega"}: value, error, window (half of what
        leaving out the smallest size moves it by), interval.
      quality: Houdayer and Hartmann's S: about 1 when the curves agree within their errors.
      chi2: mean square of what points deviate from what all others predict, in errors; about 1. (Of the polynomial, per degree
        of freedom, where there is no Gaussian process.)
      covered: share of the points bracketed by other sizes.
      reached: share of the starts that ended at the best objective.
      polynomial: threshold, nu and exponent when the master curve is a polynomial; empty where that is the answer itself.
      status: "ok", "weak" or "failed".
      reasons: why.
      size: (n,) L of each point; `control`, `value`, `error` likewise.
    """

    estimates: dict[str, Estimate]
    quality: float
    chi2: float
    covered: float
    reached: float
    status: str
    reasons: tuple[str, ...]
    size: np.ndarray
    control: np.ndarray
    value: np.ndarray
    error: np.ndarray
    polynomial: dict[str, float] = dataclasses.field(default_factory=dict)

    def __getitem__(self, name: str) -> Estimate:
        return self.estimates[name]

    def scaled(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (n,) L^(1/nu) (x - x_c), y L^(-zeta/nu) and its error: what lies on one curve."""
        threshold, nu, exponent = (self.estimates[name].value for name in ("threshold", "nu", "exponent"))
        return rescaled(self.size, self.control, self.value, self.error, threshold=threshold, nu=nu, exponent=exponent)

    def __str__(self) -> str:
        lines = [f"data collapse of {len(self.value)} points, {len(np.unique(self.size))} sizes   [{self.status}]"]
        lines += [f"  {name} {estimate}" for name, estimate in self.estimates.items()]
        lines.append(
            f"  quality S {self.quality:.3g}, chi2 {self.chi2:.3g}, covered {self.covered:.0%}, reached {self.reached:.2g}"
        )
        if self.polynomial:
            lines.append("  polynomial: " + ", ".join(f"{name} {value:.5g}" for name, value in self.polynomial.items()))
        return "\n".join([*lines, *(f"  {reason}" for reason in self.reasons)])


@functools.cache
def scaling(degree: int, corrections: bool, fixed: bool) -> Law:
    """Return finite-size scaling as a law of (L, x), linear in the coefficients of its master curve.

    Args:
      degree: of the polynomial f.
      corrections: multiply by 1 + b L^-omega.
      fixed: the y-exponent is zero: ratios and probabilities.
    """

    def shape(
        size: Value, x: Value, *, threshold: Value, inverse_nu: Value, exponent: Value = 0.0, b: Value = 0.0,
        omega: Value = 1.0, **f: Value,
    ) -> Value:  # fmt: skip
        scaled = jnp.exp(inverse_nu * jnp.log(size)) * (x - threshold)
        u = scaled / jnp.sqrt(scaled**2 + SPREAD * jnp.mean(scaled**2))  # most of the resolution where most points are
        terms = [jnp.ones_like(u), u]
        for _ in range(degree - 1):
            terms.append(2 * u * terms[-1] - terms[-2])  # Chebyshev
        curve = sum(c * t for c, t in zip(f.values(), terms))
        return jnp.exp(exponent * jnp.log(size)) * (1 + b * jnp.exp(-omega * jnp.log(size))) * curve

    searched = {
        "threshold": Param(search=(1.0, 1.0), within="x", meaning="x_c"),
        "inverse_nu": Param(lower=0.02, upper=20.0, search=(0.2, 2.5), meaning="1 / nu"),
    }
    if not fixed:
        searched["exponent"] = Param(lower=-10.0, upper=10.0, search=(-1.0, 1.0), meaning="zeta / nu")
    if corrections:
        searched["b"] = Param(lower=-50.0, upper=50.0, search=(-1.0, 1.0), meaning="amplitude of the correction to scaling")
        searched["omega"] = Param(lower=0.1, upper=5.0, search=(0.3, 2.0), meaning="its exponent")
    linear = {f"f{k}": Param(meaning=f"Chebyshev coefficient {k} of the master curve") for k in range(degree + 1)}
    return Law(
        name="scaling", shape=shape, params=searched | linear, linear=tuple(linear), exponent="inverse_nu", inputs=("L", "x"),
        formula=r"L^{\zeta/\nu} f(L^{1/\nu} (x - x_c))", source="Fisher & Barber 1972; Houdayer & Hartmann 2004", space="raw",
        signed=("x",), elementwise=False,
    )  # fmt: skip


def collapse(
    data: "xarray.DataArray", *, size: str = "L", control: str = "x", error: "xarray.DataArray | None" = None,
    over: str = "seed", statistic: str = "mean", exponent: float | None = None, corrections: bool = False, degree: int = 8,
    starts: int | Mapping[str, Sequence[float]] = 64, resamples: int = 200, process: bool = True, root: int = 0,
    progress: bool = True,
) -> Collapse:  # fmt: skip
    """Collapse an observable of several sizes onto one curve; return its threshold and exponents with errors.

    Args:
      data: DataArray with dims (size, control) and, for errors, `over`; cells may be NaN.
      size: dimension of the system size.
      control: dimension of the control parameter.
      error: DataArray of standard errors, where the data have no seeds.
      over: dimension to resample.
      statistic: over seeds.
      exponent: 0 holds the y-exponent at zero (ratios, probabilities); None fits it.
      corrections: fit a correction to scaling 1 + b L^-omega as well.
      degree: of the polynomial.
      starts: how many, spread over the search ranges; or a list of them, {"threshold": [...], "nu": [...], "exponent": [...]}.
      resamples: bootstrap resamples; of seeds, or of the given errors.
      process: the master curve is a Gaussian process (Harada 2011), of up to 500 points and without `corrections`; else the
        polynomial that finds its start, with bootstrap errors.
      root: seed of them.
      progress: show a bar on anything over two seconds.

    Raises:
      FitError: one size only, too few points, no errors, values that are not finite everywhere.
    """
    if exponent not in (None, 0, 0.0):
        raise ValueError(f"exponent must be None (fitted) or 0; got {exponent}. Divide the data by L**exponent, and use 0.")
    points = _points(data, size, control, error, over, statistic, resamples, root)
    law = scaling(degree, corrections, exponent is not None)
    sizes, x, y, dy, replicas, _ = points
    if len(np.unique(sizes)) < 2:
        raise FitError(f"a collapse needs at least 2 sizes along '{size}', better 3; got {len(np.unique(sizes))}.")
    if len(y) < len(law.params) + 3:
        raise FitError(f"{len(y)} points cannot fit the {len(law.params)} parameters of a collapse of degree {degree}.")
    windows, weight = _windows(sizes, x, len(law.params)), 1 / dy**2
    listed = None if isinstance(starts, int) else _listed(law, starts, sizes, x, y, dy)
    whole = solve(
        law, (sizes, x), np.broadcast_to(y, windows.shape), weight * windows, space="raw", starts=listed,
        spread=starts if isinstance(starts, int) else None, progress=progress,
    )  # fmt: skip
    process = process and len(y) <= MAX_PROCESS and not corrections
    again = whole.values[:0]  # the process has its own errors
    if not process:
        best = whole.values[:1]
        again = solve(law, (sizes, x), replicas, weight, space="raw", starts=best, iterations=30, progress=progress).values
    return _report(law, points, whole, again, len(windows), process)


def _listed(
    law: Law, starts: Mapping[str, Sequence[float]], sizes: np.ndarray, x: np.ndarray, y: np.ndarray, dy: np.ndarray
) -> np.ndarray:
    """Return (starts, params): the listed starts, each with the master curve that fits it best."""
    asked = {name: np.atleast_1d(np.asarray(values, float)) for name, values in starts.items()}
    wanted = {"nu" if name == "inverse_nu" else name for name in law.searched}
    alike = set(asked) == wanted and len({len(v) for v in asked.values()}) == 1
    if not alike or not np.all(np.isfinite(list(asked.values()))) or not np.all(asked["nu"]):
        raise ValueError(
            f"starts must be a number, or finite lists of equal length for each of {sorted(wanted)}, nu not 0; got "
            f"{str(dict(starts))[:200]}."
        )
    asked["inverse_nu"] = 1 / asked.pop("nu")
    rows = []
    for searched in (dict(zip(asked, values)) for values in zip(*asked.values())):
        empty = searched | dict.fromkeys(law.linear, 0.0)
        columns = [law.at(np.stack([sizes, x]), empty | {name: 1.0}) for name in law.linear]
        curve = np.linalg.lstsq(np.stack(columns, axis=1) / dy[:, None], y / dy, rcond=None)[0]
        rows.append([(empty | dict(zip(law.linear, curve)))[name] for name in law.params])
    return np.array(rows)


def _points(
    data: "xarray.DataArray", size: str, control: str, error: "xarray.DataArray | None", over: str, statistic: str,
    resamples: int, root: int,
) -> Columns:  # fmt: skip
    """Return (n,) L, x, y and dy of the cells that have a value, (resamples, n) replicas of y, and runs of 0/1 cells."""
    for name in (size, control):
        if name not in data.dims:
            raise FitError(f"'{name}' is no dimension of the data; choose from {list(data.dims)}.")
    if extra := [d for d in data.dims if d not in (size, control, over)]:
        raise FitError(f"the data still have dimension(s) {extra}; select one value of each, e.g. .sel({extra[0]}=...).")
    grid = np.meshgrid(np.asarray(data[size], float), np.asarray(data[control], float), indexing="ij")
    sizes, x = (g.ravel() for g in grid)
    if np.any(sizes <= 0):
        raise FitError(f"'{size}' must be positive; got {np.unique(sizes[sizes <= 0]).tolist()[:5]}.")
    if over in data.dims:
        values = np.asarray(data.transpose(size, control, over).values, float).reshape(len(x), -1)
        y, replicas = resample(values, resamples, statistic=statistic, root=root)
        trials = None
        dy = replicas.std(axis=0, ddof=1)
        if np.all((values == 0) | (values == 1) | np.isnan(values)) and statistic == "mean":
            trials = np.maximum(np.sum(~np.isnan(values), axis=1), 1)
            share = (np.nansum(values, axis=1) + 0.5) / (trials + 1)  # cells that are all alike are not exact
            dy = np.sqrt(share * (1 - share) / trials)
    elif error is not None:
        y = np.asarray(data.transpose(size, control).values, float).ravel()
        dy = np.asarray(error.reindex_like(data).transpose(size, control).values, float).ravel()
        replicas = y + dy * np.random.default_rng(root).normal(size=(resamples, len(y)))
        trials = None
    else:
        raise FitError(f"a collapse weighs its points: give error=, or data with a dimension '{over}'.")
    use = np.isfinite(y) & np.isfinite(dy) & np.all(np.isfinite(replicas), axis=0)
    if not np.any(dy[use] > 0):
        raise FitError("all errors are zero or missing; a collapse weighs its points by them.")
    floor = 0.1 * np.median(dy[use & (dy > 0)])  # saturated cells: every seed agrees, and the error is not zero for that
    counts = None if trials is None else trials[use]
    return sizes[use], x[use], y[use], np.maximum(dy[use], floor), replicas[:, use], counts


def _windows(sizes: np.ndarray, x: np.ndarray, params: int) -> np.ndarray:
    """Return (windows, n) 0/1: everything; without the smallest size; the inner half of x; both."""
    middle = np.median(x)
    inner = np.abs(x - middle) <= 0.6 * np.max(np.abs(x - middle))
    rows = [np.ones(len(x), bool), sizes > sizes.min(), inner, inner & (sizes > sizes.min())]
    enough = [row for row in rows if row.sum() > params + 2 and len(np.unique(sizes[row])) > 1]
    return np.array(enough, float)


def _report(
    law: Law, points: Columns, whole: Solution, again: np.ndarray, windows: int, process: bool
) -> Collapse:  # fmt: skip
    """Return the collapse: estimates from windows and resamples, its quality, and a verdict with reasons."""
    sizes, x, y, dy, _, trials = points
    main = dict(zip(law.params, whole.values[0]))
    rows = [dict(zip(law.params, row)) for row in (*whole.values[:windows], *again)]
    named = {
        "threshold": lambda p: p["threshold"],
        "nu": lambda p: 1 / p["inverse_nu"],
        "exponent": lambda p: p.get("exponent", 0.0),
    }
    if "omega" in main:
        named["omega"] = lambda p: p["omega"]
    estimates = {}
    for name, of in named.items():
        column = np.array([of(p) for p in rows])
        spread = np.ptp(column[:windows]) / 2 if windows > 1 else np.nan
        estimates[name] = estimate(column[0], column[windows:], spread, "seeds", spread=Spread(len(y), len(y) - len(main)))
    polynomial = {name: estimates[name].value for name in ("threshold", "nu", "exponent")}
    reached, weak = float(whole.reached[0]), list[str]()
    master, drifts = None, list[str]()
    if process:
        fixed = "exponent" not in main
        even = (sizes, x, *arcsine(y, trials)) if fixed and trials is not None else points[:4]
        master, estimates, drifts = primary(estimates, even, fixed)
    now = {name: estimates[name].value for name in ("threshold", "nu", "exponent")}
    score = quality(sizes, x, y, dy, **now)
    chi2 = float(whole.objective[0] / max(len(y) - len(main), 1)) if master is None else master.misfit
    failed = []
    if not chi2 <= WORST:
        failed.append(f"chi2 {chi2:.3g} is above {WORST:g}: the sizes do not share a curve within their errors")
    if reached < AGREE:
        (failed if master is None else weak).append(f"only {reached:.1%} of the starts agree: there may be a better collapse")
    if score.covered < COVERED:
        failed.append(
            f"only {score.covered:.0%} of the points are bracketed by other sizes: curves that do not overlap always collapse"
        )
    if estimates["nu"].seeds > 0.25 * estimates["nu"].value:
        weak.append(f"nu is not determined: {estimates['nu']}")
    weak += drifts
    if not x.min() < now["threshold"] < x.max():
        weak.append("the threshold lies outside of the control parameter's range")
    elif flat(sizes, x, y, now["threshold"]):
        weak.append("at the threshold no size's curve changes any more: what moves with size, as its logarithm, has none")
    status = "failed" if failed else "weak" if weak else "ok"
    return Collapse(
        estimates, score.value, chi2, score.covered, reached, status, tuple(failed + weak), sizes, x, y, dy,
        polynomial if master is not None else {},
    )  # fmt: skip
