"""Can a benchmark tell models apart? Kendall stability, seed variance, signal to noise.

Madaan et al. 2024, arXiv:2406.10229; the correlation with ties is Kendall's tau-b.
"""

import numpy as np
from numpy.typing import ArrayLike

NAME = "stability and signal to noise"


def kendall(a: ArrayLike, b: ArrayLike) -> float:
    """Return tau-b of two rankings, 0 where one of them is constant.

    Stability of a benchmark along training: `kendall(steps, scores)`. Consistency of two ways to rank models:
    `kendall(base, tuned)`.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    if a.shape != b.shape or a.ndim != 1 or len(a) < 2:
        raise ValueError(f"need two rankings of the same models, at least two; got shapes {a.shape} and {b.shape}.")
    from scipy.stats import kendalltau

    tau = kendalltau(a, b).statistic
    return float(tau) if np.isfinite(tau) else 0.0


def seed_variance(score: ArrayLike) -> tuple[float, float, float]:
    """Return the variance over seeds and its 95 % interval, which supposes a normal distribution.

    Args:
      score: (seeds,) of one configuration.
    """
    score = np.asarray(score, np.float64)
    if score.ndim != 1 or len(score) < 2:
        raise ValueError(f"a variance needs at least 2 seeds; got shape {score.shape}.")
    from scipy.special import chdtri

    freedom, variance = len(score) - 1, float(np.var(score, ddof=1))
    return variance, freedom * variance / chdtri(freedom, 0.025), freedom * variance / chdtri(freedom, 0.975)


def signal_to_noise(score: ArrayLike) -> float:
    """Return the range of the mean over configurations, divided by the root mean square deviation over seeds.

    Args:
      score: (configurations, seeds).
    """
    score = np.asarray(score, np.float64)
    if score.ndim != 2 or min(score.shape) < 2:
        raise ValueError(f"score must be (configurations, seeds), two or more of each; got shape {score.shape}.")
    noise = np.sqrt(np.mean(np.var(score, axis=1, ddof=1)))
    return float(np.ptp(score.mean(axis=1)) / noise) if noise > 0 else float("inf")
