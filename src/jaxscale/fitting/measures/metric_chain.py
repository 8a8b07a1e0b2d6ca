"""From log-probability to accuracy: each step of a multiple-choice score loses correlation with compute.

Schaeffer et al. 2024, arXiv:2406.04391.
"""

import numpy as np
from numpy.typing import ArrayLike

NAME = "metric chain"
STEPS = ("log p", "p", "p among choices", "accuracy")


def chain(log_p: ArrayLike, right: ArrayLike) -> dict[str, np.ndarray]:
    """Return the scores of every item along the chain.

    Args:
      log_p: (models, items, choices) log-probability of each choice under the whole vocabulary.
      right: (items,) index of the right choice.

    Returns:
      {step: (models, items)}.
    """
    log_p, right = np.asarray(log_p, np.float64), np.asarray(right)
    if log_p.ndim != 3 or right.shape != log_p.shape[1:2]:
        raise ValueError(f"log_p must be (models, items, choices) and right (items,); got {log_p.shape} and {right.shape}.")
    mine = np.take_along_axis(log_p, right[None, :, None], axis=2)[..., 0]
    share = np.exp(mine - np.logaddexp.reduce(log_p, axis=2))
    return {"log p": mine, "p": np.exp(mine), "p among choices": share,
            "accuracy": (np.argmax(log_p, axis=2) == right).astype(np.float64)}  # fmt: skip


def correlations(score: ArrayLike, compute: ArrayLike, *, kind: str = "spearman") -> tuple[np.ndarray, int]:
    """Return the correlation of each item's score with log compute over models.

    Args:
      score: (models, items).
      compute: (models,).
      kind: "spearman" or "pearson".

    Returns:
      (items,) correlations, 0 where a score never changes, and how many those are.
    """
    y, x = np.asarray(score, np.float64), np.log(np.asarray(compute, np.float64))
    if kind not in ("spearman", "pearson"):
        raise ValueError(f"kind must be 'spearman' or 'pearson'; got {kind!r}.")
    if kind == "spearman":
        from scipy.stats import rankdata

        x, y = rankdata(x), rankdata(y, axis=0)
    x, y = x - x.mean(), y - y.mean(axis=0)
    power = np.sqrt(np.sum(x**2) * np.sum(y**2, axis=0))
    constant = power == 0
    return np.where(constant, 0.0, (x @ y) / np.where(constant, 1.0, power)), int(constant.sum())


def survival(correlation: ArrayLike) -> float:
    """Return the area under the share of items whose correlation exceeds rho, from -1 to 1: 2 at best, 1 by chance."""
    return float(np.mean(np.asarray(correlation)) + 1)
