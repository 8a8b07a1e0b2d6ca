"""Linearity and breakthroughness: does a score grow steadily with scale, or in one jump?

Srivastava et al. 2022, arXiv:2206.04615, appendix B; Schaeffer et al. 2023, arXiv:2304.15004.
"""

import numpy as np
from numpy.typing import ArrayLike

NAME = "linearity and breakthroughness"
MAX = 100.0  # where the median step is zero


def improvement(score: ArrayLike) -> np.ndarray:
    """Return the largest gain along the last axis, in order of scale; negative where the largest score comes first."""
    y = np.asarray(score, np.float64)
    sign = np.sign(np.argmax(y, axis=-1) - np.argmin(y, axis=-1))
    return sign * (y.max(axis=-1) - y.min(axis=-1))


def linearity(score: ArrayLike) -> np.ndarray:
    """Return improvement over the root mean square step.

    Args:
      score: (..., n) in order of scale, n >= 2.
    """
    steps = np.diff(np.asarray(score, np.float64), axis=-1)
    return _over(improvement(score), np.sqrt(np.mean(steps**2, axis=-1)))


def breakthroughness(score: ArrayLike) -> np.ndarray:
    """Return improvement over the root median square step; cut at 100, since one jump makes the median step zero.

    Args:
      score: (..., n) in order of scale, n >= 2.
    """
    steps = np.diff(np.asarray(score, np.float64), axis=-1)
    return _over(improvement(score), np.sqrt(np.median(steps**2, axis=-1)))


def _over(gain: np.ndarray, step: np.ndarray) -> np.ndarray:
    """Return gain over step, cut where the step is next to nothing; 0 where nothing was gained."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(gain == 0, 0.0, np.clip(gain / step, -MAX, MAX))
