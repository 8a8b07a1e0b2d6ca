"""Resampling against an imperfect verifier: the value of a budget of samples, and the best budget.

Stroebl, Kapoor & Narayanan 2024, arXiv:2411.17501.
"""

from typing import Any

import numpy as np

NAME = "imperfect verifier"


def value(budget: int, rate: Any, prior: Any, *, soundness: float, completeness: float = 1.0, right: float = 1.0,
          wrong: float = -1.0) -> np.ndarray:  # fmt: skip
    """Expected value of at most K samples, for K = 0 ... budget; the first accepted one is submitted, nothing is worth 0.

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


def best_budget(*arguments: Any, **how: Any) -> tuple[int, float]:
    """The K of the largest value, and that value; arguments as for `value`. 0 means: do not try."""
    curve = value(*arguments, **how)
    return int(np.argmax(curve)), float(curve.max())


def accuracy(rate: Any, prior: Any, *, soundness: float, completeness: float = 1.0) -> float:
    """Share of right answers among the submitted ones after as many samples as it takes."""
    rate, prior = _tasks(rate, prior)
    accept_right, accept_wrong = completeness * rate, (1 - soundness) * (1 - rate)
    return float(np.sum(prior * accept_right / (accept_right + accept_wrong)))


def _tasks(rate, prior):
    rate, prior = np.atleast_1d(np.asarray(rate, np.float64)), np.atleast_1d(np.asarray(prior, np.float64))
    if np.any((rate < 0) | (rate > 1)) or np.any(prior < 0) or not np.isclose(prior.sum(), 1):
        raise ValueError("rates must lie in [0, 1] and priors sum to one.")
    return rate, prior
