"""Capacity density compares the parameters a reference family would need for the same score with those there are.

Xiao et al. 2024, arXiv:2412.04315.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

NAME = "capacity density"
EDGE = 0.02  # share of the sigmoid's height within which its inverse is refused


def effective_parameters(
    score: ArrayLike, *, family: Mapping[str, float], sigmoid: Mapping[str, float], tokens: float
) -> np.ndarray:
    """Return N of the reference family that reaches a score when trained on `tokens`; NaN near chance and ceiling.

    Args:
      score: any shape.
      family: {"A", "B", "E", "alpha", "beta"} of its loss, as `laws.chinchilla`.
      sigmoid: {"height", "chance", "middle", "steepness"} of score against loss, as `laws.score_loss`.
      tokens: D_0; the answer depends on it.
    """
    score = np.asarray(score, np.float64)
    share = (score - sigmoid["chance"]) / sigmoid["height"]
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.where((share > EDGE) & (share < 1 - EDGE), share, np.nan)
        loss = sigmoid["middle"] - np.log(share / (1 - share)) / sigmoid["steepness"]
        excess = loss - family["E"] - family["B"] * tokens ** -family["beta"]
        return np.where(excess > 0, (family["A"] / np.where(excess > 0, excess, 1.0)) ** (1 / family["alpha"]), np.nan)


def density(
    score: ArrayLike, parameters: ArrayLike, *, family: Mapping[str, float], sigmoid: Mapping[str, float], tokens: float
) -> np.ndarray:
    """Return effective over actual parameters; `family`, `sigmoid` and `tokens` as for `effective_parameters`."""
    return effective_parameters(score, family=family, sigmoid=sigmoid, tokens=tokens) / np.asarray(parameters, np.float64)


def records(time: ArrayLike, value: ArrayLike) -> np.ndarray:
    """Return indices of the running maxima in order of time: the law of the best is fitted to these, not to all models."""
    time, value = np.asarray(time, np.float64), np.asarray(value, np.float64)
    order = np.lexsort((-value, time))
    order = order[np.isfinite(value[order])]
    best = np.concatenate([[-np.inf], np.maximum.accumulate(value[order])[:-1]])
    return order[value[order] > best]
