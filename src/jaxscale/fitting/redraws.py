"""Few runs are drawn again about the fitted law, where resampling them would leave hardly any different ones.

Eight runs resampled with replacement leave five distinct ones: intervals of three parameters are then three times too wide. The
wild bootstrap keeps every run and draws its residual anew. How large: half by its own residual, made whole for its leverage
(HC2), half by that of all runs, since a single squared residual has one degree of freedom. Student's t does the rest.
"""

import numpy as np

from jaxscale.fitting.law import Law, residuals

FEW = 8  # runs a parameter; with more of them they are resampled
MAX_LEVERAGE = 0.95


def in_space(law: Law, x: np.ndarray, rows: np.ndarray, space: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a law's values, (rows, n), and its derivatives by every parameter in the space of the fit, (rows, n, params)."""
    value, slope = law.curves(x, rows), law.tangents(x, rows)
    return value, slope / np.maximum(np.abs(value), 1e-300)[..., None] if space == "log" else slope


def leverage(tangent: np.ndarray) -> np.ndarray:
    """Return (..., n) the share of each point that the fit takes from that point itself; tangent (..., n, params), weighted."""
    size = np.linalg.norm(tangent, axis=-2, keepdims=True)
    basis, scale, _ = np.linalg.svd(tangent / np.maximum(size, 1e-300), full_matrices=False)
    return np.sum(np.where(scale[..., None, :] > 1e-9, basis, 0.0) ** 2, axis=-1)


def wild(
    law: Law, x: np.ndarray, y: np.ndarray, weight: np.ndarray, rows: np.ndarray, *, space: str, count: int,
    rng: np.random.Generator,
) -> np.ndarray:  # fmt: skip
    """Return (sets, count, n): runs drawn again about each set's fitted law.

    Args:
      law: what was fitted.
      x: (inputs, n).
      y: (sets, n).
      weight: (n,) one over the variance, up to a factor.
      rows: (sets, params) the fits.
      space: of the residuals.
      count: draws of each set.
      rng: of the draws.

    References:
      Davidson & Flachaire 2008, J. Econometrics 146, 162; MacKinnon 2013 (HC2 and HC3).
    """
    value, slope = in_space(law, x, rows, space)
    root = np.sqrt(weight)
    residual = root * residuals(space, value, y)
    freedom = max(y.shape[1] - len(law.params), 1)
    own = residual**2 / (1 - np.minimum(leverage(root[:, None] * slope), MAX_LEVERAGE))
    size = np.sqrt(0.5 * own + 0.5 * np.sum(residual**2, axis=1, keepdims=True) / freedom) / root
    noise = size[:, None, :] * rng.normal(size=(len(y), count, y.shape[1]))
    return value[:, None, :] * np.exp(noise) if space == "log" else value[:, None, :] + noise
