"""The estimators M2 and M4 as their paper fits them: a local descent of log-excess residuals from just below the data.

The objective has a spurious minimum at a limit of zero, and the local optimum near the smallest y is what the published
numbers are. For a fit without these properties use `laws.power_floor` and `laws.m4` with residuals in log y.
"""

from typing import Any

import numpy as np

from jaxscale.fit.laws import m4


def m2(x: Any, y: Any) -> dict[str, float]:
    """The parameters of y - limit = amplitude x^-exponent by local descent of the squared residuals in log(y - limit).

    Args:
      x: (n,) positive.
      y: (n,) positive.

    References:
      Alabdulmohsin, Neyshabur & Zhai 2022, arXiv:2209.06640, section 3 and appendix A.
    """
    x, y = _checked(x, y)

    def solved(limit):
        design = np.stack([np.ones(len(x)), np.log(x)], axis=1)
        return _least(design, np.log(y - limit))

    limit = _descend(lambda z: solved(z[0])[1], [y.min() - 1e-3], [(0.0, y.min() - 1e-3)])[0]
    (level, slope), _ = solved(limit)
    return {"limit": float(limit), "amplitude": float(np.exp(level)), "exponent": float(-slope)}


def m4_local(x: Any, y: Any, *, chance: float | None = None) -> dict[str, float]:
    """The parameters of M4, as in `laws.m4`, by local descent of its log residuals.

    Args:
      x: (n,) positive.
      y: (n,) positive.
      chance: largest value of the plateau at small x: 1.001 for error rates; None for losses.

    References:
      As for `m2`.
    """
    x, y = _checked(x, y)
    from scipy.optimize import nnls

    def solved(z):
        # log(y - limit) = log beta + alpha log(plateau - y) - c log x with all three coefficients >= 0, as in their code
        design = np.stack([np.ones(len(x)), np.log(z[1] - y), -np.log(x)], axis=1)
        coefficients, norm = nnls(design, np.log(y - z[0]))
        return coefficients, norm**2

    top = np.inf if chance is None else chance
    bounds = [(0.0, y.min() - 1e-3), (y.max() + 1e-3, max(top, y.max() + 1e-3))]
    limit, plateau = _descend(lambda z: solved(z)[1], [y.min() - 1e-3, y.max() + 1e-3], bounds)
    (level, bend, exponent), _ = solved((limit, plateau))
    return {"limit": float(limit), "span": float(plateau - limit), "amplitude": float(np.exp(level)),
            "exponent": float(exponent), "bend": float(bend)}  # fmt: skip


def predict(values: dict[str, float], x: Any) -> np.ndarray:
    """The law of `m2` or `m4_local` at x."""
    x = np.asarray(x, np.float64)
    if "bend" in values:
        return m4.LAW.at(x[None], values)
    return values["limit"] + values["amplitude"] * x ** -values["exponent"]


def _descend(objective, start, bounds):
    from scipy.optimize import minimize

    return minimize(objective, start, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-10}).x


def _least(design, target):
    coefficients, *_ = np.linalg.lstsq(design, target, rcond=None)
    return coefficients, float(np.sum((target - design @ coefficients) ** 2))


def _checked(x, y):
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.shape != y.shape or x.ndim != 1 or len(x) < 4 or np.any(x <= 0) or np.any(y <= 1e-3):
        raise ValueError("x and y must be at least 4 positive numbers each (y above .001).")
    return x, y
