"""How well do rescaled curves agree? Houdayer and Hartmann's S, and a Gaussian process as a second opinion."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxscale.fitting.result import Estimate

FLAT = 0.1  # of the steepest slope, below which a curve has nothing to say of a threshold
ENOUGH = 8  # points beyond the smallest size that are worth a collapse of their own


class Quality(NamedTuple):
    """Hold S, and the share of the points it could judge."""

    value: float
    covered: float


def rescaled(
    size: np.ndarray, x: np.ndarray, y: np.ndarray, dy: np.ndarray, *, threshold: float, nu: float, exponent: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (n,) L^(1/nu) (x - x_c), y L^-exponent and dy L^-exponent: curves of all sizes on one."""
    down = size**-exponent
    return size ** (1 / nu) * (x - threshold), y * down, dy * down


def quality(
    size: np.ndarray, x: np.ndarray, y: np.ndarray, dy: np.ndarray, *, threshold: float, nu: float, exponent: float = 0.0
) -> Quality:
    """Return the mean squared distance of each point to the straight line through its neighbours of other sizes.

    Distances are in units of errors.

    About 1 for a good collapse with honest errors. On coarse grids straight lines are too stiff and S is larger.

    Args:
      size: (n,) L.
      x: (n,) control parameter.
      y: (n,) values.
      dy: (n,) standard errors.
      threshold: x_c.
      nu: of L^(1/nu) (x - x_c).
      exponent: zeta / nu.

    References:
      Houdayer & Hartmann 2004, arXiv:cond-mat/0402036, appendix.
    """
    u, v, dv = rescaled(size, x, y, dy, threshold=threshold, nu=nu, exponent=exponent)
    terms = []
    for i in range(len(u)):
        near = []
        for other in np.unique(size[size != size[i]]):
            mine = np.flatnonzero(size == other)
            order = mine[np.argsort(u[mine])]
            at = np.searchsorted(u[order], u[i])
            if 0 < at < len(order):
                near += [order[at - 1], order[at]]
        if not near:
            continue
        w = 1 / dv[near] ** 2
        k, kx, ky = w.sum(), w @ u[near], w @ v[near]
        kxx, kxy = w @ u[near] ** 2, w @ (u[near] * v[near])
        delta = k * kxx - kx**2
        line = (kxx * ky - kx * kxy) / delta + u[i] * (k * kxy - kx * ky) / delta
        variance = (kxx - 2 * u[i] * kx + u[i] ** 2 * k) / delta
        terms.append((v[i] - line) ** 2 / (dv[i] ** 2 + variance))
    return Quality(float(np.mean(terms)) if terms else float("inf"), len(terms) / len(u))


class Master(NamedTuple):
    """Hold a collapse on a master curve that is a Gaussian process.

    Attributes:
      values: threshold, nu, exponent (zeta / nu).
      errors: of threshold, of log nu, and of the exponent (0 if it is held): from the curvature of the likelihood, with all
        other parameters free.
      misfit: mean square of what each point deviates from what all others predict, in errors, without extra scatter; about 1.
    """

    values: dict[str, float]
    errors: dict[str, float]
    misfit: float


def gaussian_process(
    size: np.ndarray, x: np.ndarray, y: np.ndarray, dy: np.ndarray, *, start: dict[str, float], fixed: bool = False
) -> Master:
    """Return the collapse of largest likelihood when the master curve is a Gaussian process with a scatter of its own.

    Args:
      size: (n,) L.
      x: (n,) control parameter.
      y: (n,) values.
      dy: (n,) standard errors.
      start: threshold, nu and exponent to start from.
      fixed: hold the exponent.

    References:
      Harada 2011, arXiv:1102.4149.
    """
    from scipy.optimize import minimize

    process = _Process(size, x, y, dy, start, fixed)
    first = np.array([0.0, np.log(start["nu"]), 0.5, -1.0, -5.0] + ([] if fixed else [0.0]))
    simplex = np.vstack([first, first + np.diag([0.02, 0.1, 0.5, 0.3, 0.5] + ([] if fixed else [0.05]))])
    options = {"initial_simplex": simplex, "maxiter": 3000, "xatol": 1e-6, "fatol": 1e-8}
    best = minimize(process.cost, first, method="Nelder-Mead", options=options).x
    spread = _curvature(process.cost, best)
    errors = {"threshold": spread[0] * process.wide, "nu": spread[1], "exponent": 0.0 if fixed else spread[5]}
    values = {name: float(value) for name, value in process.unpack(best).items()}
    return Master(values, {name: float(e) for name, e in errors.items()}, process.misfit(best))


class _Process:
    """Evaluate the likelihood of threshold, log nu, the logarithms of amplitude, length and scatter, and exponent."""

    def __init__(
        self, size: np.ndarray, x: np.ndarray, y: np.ndarray, dy: np.ndarray, start: dict[str, float], fixed: bool
    ) -> None:
        self.data, self.start, self.fixed, self.wide = (size, x, y, dy), start, fixed, float(np.ptp(x))

    def unpack(self, p: np.ndarray) -> dict[str, float]:
        exponent = self.start["exponent"] + (0 if self.fixed else p[5])
        return {"threshold": p[0] * self.wide + self.start["threshold"], "nu": np.exp(p[1]), "exponent": exponent}

    def kernel(self, p: np.ndarray, scatter: bool) -> tuple[np.ndarray, np.ndarray, float]:
        """Return covariance and values of the rescaled points, and the log of their units."""
        size, x, y, dy = self.data
        u, v, dv = rescaled(size, x, y, dy, **self.unpack(p))
        u = u / np.max(np.abs(u))
        v, dv = (v - v.mean()) / v.std(), dv / v.std()
        amplitude, length, extra = np.exp(2 * p[2]), np.exp(2 * p[3]), np.exp(2 * p[4]) * scatter
        apart = (u[:, None] - u[None, :]) ** 2
        # the likelihood is of y itself: rescaling by std changes units with the exponent, and is taken back
        units = float(np.sum(np.log(dy / dv)))
        return amplitude * np.exp(-apart / (2 * length)) + np.diag(dv**2 + extra + 1e-10), v, units

    def cost(self, p: np.ndarray) -> float:
        """Return less the log likelihood."""
        from scipy.linalg import cho_factor, cho_solve

        with np.errstate(over="ignore", invalid="ignore"):
            kernel, v, units = self.kernel(p, scatter=True)
        if not np.all(np.isfinite(kernel)):
            return 1e10
        try:
            factor = cho_factor(kernel, lower=True)
        except np.linalg.LinAlgError:
            return 1e10
        return float(0.5 * v @ cho_solve(factor, v) + np.sum(np.log(np.diag(factor[0]))) + units)

    def misfit(self, p: np.ndarray) -> float:
        """Return the mean square of leave-one-out residuals over their predicted errors, without the extra scatter."""
        kernel, v, _ = self.kernel(p, scatter=False)
        inverse = np.linalg.inv(kernel)
        return float(np.mean((inverse @ v) ** 2 / np.diag(inverse)))


def _curvature(cost: Callable[[np.ndarray], float], best: np.ndarray) -> np.ndarray:
    """Return standard errors from the second differences of a log likelihood; flat directions are left out."""
    n = len(best)
    step = np.full(n, 1e-3)
    middle = cost(best)
    for i in range(n):  # so wide that the likelihood falls by about a half
        for _ in range(30):
            move = np.eye(n)[i] * step[i]
            fall = 0.5 * (cost(best + move) + cost(best - move)) - middle
            if 0.05 < fall < 1:
                break
            step[i] *= 2 if fall <= 0.05 else 0.6
            if step[i] > 2:
                break
    hessian = np.zeros((n, n))
    for i in range(n):
        for j in range(i, n):
            a, b = np.eye(n)[i] * step[i], np.eye(n)[j] * step[j]
            if i == j:
                second = cost(best + a) - 2 * middle + cost(best - a)
            else:
                second = (cost(best + a + b) - cost(best + a - b) - cost(best - a + b) + cost(best - a - b)) / 4
            hessian[i, j] = hessian[j, i] = second / (step[i] * step[j])
    scale = np.sqrt(np.maximum(np.diag(hessian), 1e-12))
    values, turn = np.linalg.eigh(hessian / np.outer(scale, scale))
    inverse = (turn / np.maximum(values, 1e-3)) @ turn.T
    return np.sqrt(np.maximum(np.diag(inverse), 0)) / scale


def arcsine(share: np.ndarray, trials: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return counts on the scale where all have the same error, and that error: Anscombe's arcsine of the root.

    On the scale of the shares, whose errors vanish with them, nu came out 7 % too large (1.4 of its errors).
    """
    return np.arcsin(np.sqrt((share * trials + 0.375) / (trials + 0.75))), 1 / np.sqrt(4 * trials + 2)


def flat(sizes: np.ndarray, x: np.ndarray, y: np.ndarray, threshold: float) -> bool:
    """Say whether every curve is flat at the threshold, by a tenth of its steepest slope."""
    shares = []
    for size in np.unique(sizes):
        at = np.argsort(x[sizes == size])
        places, values = x[sizes == size][at], y[sizes == size][at]
        steps = np.abs(np.diff(values) / np.maximum(np.diff(places), 1e-300))
        near = int(np.clip(np.searchsorted(places, threshold) - 1, 0, len(steps) - 1))
        shares.append(steps[near] / max(steps.max(), 1e-300))
    return max(shares) < FLAT


def primary(
    first: dict[str, Estimate], points: tuple[np.ndarray, ...], fixed: bool
) -> tuple[Master, dict[str, Estimate], list[str]]:
    """Return the Gaussian process's collapse, its estimates, and what drifts when the smallest size is left out.

    Corrections to scaling are largest for the smallest size: what moves by more than chance enters the interval, and is said.
    """
    sizes, x, y, dy = points
    start = {name: first[name].value for name in ("threshold", "nu", "exponent")}
    whole = gaussian_process(sizes, x, y, dy, start=start, fixed=fixed)
    larger = sizes > sizes.min()
    without = None
    if len(np.unique(sizes[larger])) > 1 and larger.sum() > ENOUGH:
        without = gaussian_process(sizes[larger], x[larger], y[larger], dy[larger], start=whole.values, fixed=fixed)
    estimates, drifts = {}, []
    for name, value in whole.values.items():
        log = name == "nu"
        at, error, drift = (np.log(value) if log else value), whole.errors[name], 0.0
        window = np.nan
        if without is not None:
            other = np.log(without.values[name]) if log else without.values[name]
            chance = max(without.errors[name] ** 2 - error**2, 0.0)
            beyond = (other - at) ** 2 - chance  # on average the square of the drift
            drift = float(np.sqrt(max(beyond, 0.0)))
            window = abs(other - at) / 2
            if beyond - chance > max(error**2, 4 * chance):  # 2.4 standard errors of the drift: a warning is no guess
                moved = f"{value:.5g} becomes {without.values[name]:.5g}"
                drifts.append(f"{name} drifts: {moved} without the smallest size; try corrections=True, or larger sizes")
        reach = 1.96 * np.hypot(error, drift)
        low, high = at - reach, at + reach
        unit = value if log else 1.0
        ends = (np.exp(low), np.exp(high)) if log else (low, high)
        estimates[name] = Estimate(value, error * unit, window * unit, float(ends[0]), float(ends[1]), "seeds")
    return whole, estimates, drifts
