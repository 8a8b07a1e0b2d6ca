"""Association between the parts of a whole: partial correlations that do not depend on what the parts are compared with.

Shares of a mixture sum to one, so that their plain correlations are partly arithmetic. Log-ratios are free of that, and the
partial ones among them are the same whichever reference the ratios have. Erb 2020, arXiv:1904.09496; Aitchison 1986.
"""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

NAME = "compositional"
TRANSFORMS = ("clr", "alr", "ilr")


@dataclasses.dataclass(frozen=True)
class Partial:
    """Partial correlations of (D,) parts, with 95 % intervals by Fisher's z.

    Attributes:
      correlation: (D, D), each pair given all other parts; 1 on the diagonal.
      low: (D, D) lower ends.
      high: (D, D) upper ends.
      variance: (D,) of each part's logarithm against a reference, given all others: what the others leave open.
    """

    correlation: np.ndarray
    low: np.ndarray
    high: np.ndarray
    variance: np.ndarray


def basis(parts: int, transform: str = "clr", reference: int = -1) -> np.ndarray:
    """Return (coordinates, parts): what log-ratio coordinates are of the parts' logarithms; every row sums to 0.

    Args:
      parts: D.
      transform: "clr", against the geometric mean, D coordinates; "alr", against one part, D - 1; "ilr", orthonormal, D - 1.
      reference: of "alr".

    Raises:
      ValueError: an unknown transform.
    """
    whole = np.eye(parts)
    if transform == "clr":
        return whole - 1 / parts
    if transform == "alr":
        return np.delete(whole - whole[reference], reference % parts, axis=0)
    if transform == "ilr":
        rows = np.arange(1, parts)[:, None]
        helmert = np.where(np.arange(parts) < rows, 1 / rows, 0.0) - (np.arange(parts) == rows)
        return helmert / np.linalg.norm(helmert, axis=1, keepdims=True)
    raise ValueError(f"transform must be one of {TRANSFORMS}; got {transform!r}.")


def precision(shares: ArrayLike, *, transform: str = "clr", reference: int = -1) -> np.ndarray:
    """Return (D, D): the inverse covariance of log-ratios as a quadratic form of the parts' logarithms, whose rows sum to 0.

    It is the same for every transform and reference.

    Args:
      shares: (n, D) positive parts; their totals do not matter.
      transform: see `basis`.
      reference: of "alr".

    Raises:
      ValueError: parts that are not positive, or fewer rows than parts.
    """
    logs = _checked(shares)
    rows = basis(logs.shape[1], transform, reference)
    covariance = np.atleast_2d(np.cov(logs @ rows.T, rowvar=False))
    return rows.T @ np.linalg.pinv(covariance, rcond=1e-12, hermitian=True) @ rows


def partial_correlations(shares: ArrayLike, *, transform: str = "clr", reference: int = -1) -> Partial:
    """Return the partial correlations of parts of a whole.

    Args:
      shares: (n, D) positive parts, n > D; a mixture's shares, e.g., over runs.
      transform: see `basis`; the answer is the same.
      reference: of "alr"; the answer is the same.

    Raises:
      ValueError: parts that are not positive, fewer than three of them, or too few rows.

    References:
      Erb 2020, Partial correlations in compositional data analysis, arXiv:1904.09496.
    """
    logs = _checked(shares)
    n, parts = logs.shape
    if parts < 3:
        raise ValueError(f"shares must have at least 3 parts: of 2 each is what the other leaves; got {parts}.")
    form = precision(shares, transform=transform, reference=reference)
    size = np.sqrt(np.diag(form))
    found = -form / np.outer(size, size)
    np.fill_diagonal(found, 1.0)
    half = 1.96 / np.sqrt(max(n - (parts - 3) - 3, 1))
    with np.errstate(divide="ignore"):
        z = np.arctanh(np.clip(found, -1, 1))
    return Partial(found, np.tanh(z - half), np.tanh(z + half), 1 / np.diag(form))


def _checked(shares: ArrayLike) -> np.ndarray:
    values = np.asarray(shares, np.float64)
    if values.ndim != 2 or len(values) <= values.shape[1]:
        raise ValueError(f"shares must be (n, D) with more rows than parts; got shape {values.shape}.")
    if not (np.isfinite(values).all() and (values > 0).all()):
        raise ValueError("shares must be positive: a logarithm of 0 is none. Replace zeros by half the least that is detected.")
    return np.log(values)
