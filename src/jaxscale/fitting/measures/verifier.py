"""Resampling against an imperfect verifier has a value that depends on the budget of samples, and a best budget.

Stroebl, Kapoor & Narayanan 2024, arXiv:2411.17501.
"""

import numpy as np
from numpy.typing import ArrayLike

NAME = "imperfect verifier"


def value(
    budget: int, rate: ArrayLike, prior: ArrayLike, *, soundness: float, completeness: float = 1.0, right: float = 1.0,
    wrong: float = -1.0,
) -> np.ndarray:  # fmt: skip
    """Return the expected value of at most K samples, for K = 0 ... budget.

    The first accepted sample is submitted; nothing submitted is worth 0.

    Args:
      budget: largest K.
      rate: (tasks,) chance that one sample of each type of task is right.
      prior: (tasks,) share of each type; sums to one.
      soundness: chance that a wrong sample is rejected.
      completeness: chance that a right sample is accepted.
      right: value of a right submission.
      wrong: value of a wrong one.

    Returns:
      (budget + 1,).
    """
    rate, prior = _tasks(rate, prior)
    accept_right, accept_wrong = completeness * rate, (1 - soundness) * (1 - rate)
    gain = prior * (right * accept_right + wrong * accept_wrong)
    rejected = 1 - accept_right - accept_wrong
    steps = gain[None, :] * rejected[None, :] ** np.arange(budget)[:, None]
    return np.concatenate([[0.0], np.cumsum(steps.sum(axis=1))])


def best_budget(
    budget: int, rate: ArrayLike, prior: ArrayLike, *, soundness: float, completeness: float = 1.0, right: float = 1.0,
    wrong: float = -1.0,
) -> tuple[int, float]:  # fmt: skip
    """Return the K of the largest value, and that value; arguments as for `value`. A K of 0 means: do not try."""
    curve = value(budget, rate, prior, soundness=soundness, completeness=completeness, right=right, wrong=wrong)
    return int(np.argmax(curve)), float(curve.max())


def accuracy(rate: ArrayLike, prior: ArrayLike, *, soundness: float, completeness: float = 1.0) -> float:
    """Return the share of right answers among the submitted ones after as many samples as it takes."""
    rate, prior = _tasks(rate, prior)
    accept_right, accept_wrong = completeness * rate, (1 - soundness) * (1 - rate)
    return float(np.sum(prior * accept_right / (accept_right + accept_wrong)))


def _tasks(rate: ArrayLike, prior: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Return the types of tasks as floats, or raise ValueError where they are no chances and shares."""
    rate, prior = np.atleast_1d(np.asarray(rate, np.float64)), np.atleast_1d(np.asarray(prior, np.float64))
    if np.any((rate < 0) | (rate > 1)) or np.any(prior < 0) or not np.isclose(prior.sum(), 1):
        raise ValueError("rates must lie in [0, 1] and priors sum to one.")
    return rate, prior
