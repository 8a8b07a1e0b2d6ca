"""How well do rescaled curves agree? Houdayer and Hartmann's S, and a Gaussian process as a second opinion."""

from typing import NamedTuple

import numpy as np


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


def gaussian_process(
    size: np.ndarray, x: np.ndarray, y: np.ndarray, dy: np.ndarray, *, start: dict[str, float], fixed: bool = False
) -> dict[str, float]:
    """Return threshold, nu and exponent of the largest likelihood when the master curve is a Gaussian process.

    Args:
      size: (n,) L.
      x: (n,) control parameter.
      y: (n,) values.
      dy: (n,) standard errors.
      start: threshold, nu and exponent to start from, e.g. of `collapse`.
      fixed: hold the exponent.

    References:
      Harada 2011, arXiv:1102.4149.
    """
    from scipy.linalg import cho_factor, cho_solve
    from scipy.optimize import minimize

    def unpack(p: np.ndarray) -> dict[str, float]:
        return {
            "threshold": p[0] * wide + start["threshold"],
            "nu": np.exp(p[1]),
            "exponent": start["exponent"] + (0 if fixed else p[5]),
        }

    wide = np.ptp(x)

    def cost(p: np.ndarray) -> float:
        u, v, dv = rescaled(size, x, y, dy, **unpack(p))
        u = u / np.max(np.abs(u))
        v, dv = (v - v.mean()) / v.std(), dv / v.std()
        amplitude, length, jitter = np.exp(2 * p[2]), np.exp(2 * p[3]), np.exp(2 * p[4])
        kernel = amplitude * np.exp(-((u[:, None] - u[None, :]) ** 2) / (2 * length)) + np.diag(dv**2 + jitter)
        try:
            factor = cho_factor(kernel + 1e-10 * np.eye(len(u)), lower=True)
        except np.linalg.LinAlgError:
            return 1e10
        # the likelihood is of y itself: rescaling by std changes units with the exponent, and is taken back
        units = len(u) * np.log(v.std()) + np.sum(np.log(dy / dv))
        return 0.5 * v @ cho_solve(factor, v) + np.sum(np.log(np.diag(factor[0]))) + units

    first = np.array([0.0, np.log(start["nu"]), 0.5, -1.0, -5.0] + ([] if fixed else [0.0]))
    simplex = np.vstack([first, first + np.diag([0.02, 0.1, 0.5, 0.3, 0.5] + ([] if fixed else [0.05]))])
    options = {"initial_simplex": simplex, "maxiter": 3000, "xatol": 1e-6, "fatol": 1e-8}
    optimum = minimize(cost, first, method="Nelder-Mead", options=options)
    return {name: float(value) for name, value in unpack(optimum.x).items()}
