"""PassUntil samples until r successes come: tiny success probabilities, the task law, and how a task grows.

Hu et al. 2023, arXiv:2310.03262. Their estimate r / K is biased upwards, 4.6-fold at r = 1 and p = .01; the one here is not.
"""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

NAME = "PassUntil"


def unbiased(draws: ArrayLike, successes: ArrayLike) -> np.ndarray:
    """Return (r - 1) / (K - 1), without bias (Haldane 1945), elementwise; needs r >= 2.

    Args:
      draws: K, samples until the r-th success.
      successes: r.
    """
    draws, successes = np.asarray(draws, np.float64), np.asarray(successes, np.float64)
    if np.any(successes < 2):
        raise ValueError("an unbiased estimate needs r >= 2 successes; use `likelihood` for r = 1 or for a cap on the draws.")
    if np.any(draws < successes):
        raise ValueError("draws must be at least the number of successes.")
    return (successes - 1) / (draws - 1)


def likelihood(draws: ArrayLike, successes: ArrayLike, censored: ArrayLike = False) -> tuple[float, float]:
    """Return one probability shared by several items, and its standard error, when some hit the cap on draws.

    A finished item gives r ln p + (K - r) ln(1 - p), a censored one with s successes in the cap K the same with s: the
    likelihood does not care why sampling stopped, so censored items count in full. Its maximum is all successes over all
    draws; the bias that stopping leaves is of the order of one over all successes. Items of unlike difficulty must not share
    a probability: use `unbiased` for each and average.

    Args:
      draws: (items,) samples drawn.
      successes: (items,) successes among them: r, or fewer where the cap was hit.
      censored: (items,) whether the cap was hit; used to check the others.

    Returns:
      (p, standard error); p = 0 with the rule-of-three error where nothing ever succeeded.
    """
    draws, successes, censored = np.broadcast_arrays(
        np.asarray(draws, np.float64), np.asarray(successes, np.float64), np.asarray(censored, bool)
    )
    if np.any(successes > draws) or np.any(successes < 0) or np.any(draws < 1):
        raise ValueError("need 0 <= successes <= draws and draws >= 1 for every item.")
    if np.any(~censored & (successes < 1)):
        raise ValueError("an item that was not censored has at least one success.")
    p = successes.sum() / draws.sum()
    return (float(p), float(np.sqrt(p * (1 - p) / draws.sum()))) if p > 0 else (0.0, float(1.5 / draws.sum()))


@dataclasses.dataclass(frozen=True)
class Growth:
    """Say how a task grows with scale: as the task law has it, slower or faster.

    Attributes:
      alpha: exponent of the task law PU(N) = exp(-c N^-alpha).
      c: its constant.
      curvature: of F = ln(-ln PU) in ln N.
      z: curvature over its standard error.
      kind: "law" (linear F), "sub-scaling" (convex), "super-scaling" (concave: accelerated emergence), or "not decidable".
    """

    alpha: float
    c: float
    curvature: float
    z: float
    kind: str


def growth(sizes: ArrayLike, probability: ArrayLike, successes: ArrayLike, *, level: float = 1.96) -> Growth:
    """Fit the task law, and test whether F = ln(-ln PU) bends.

    Args:
      sizes: (n,) model sizes N, at least four distinct ones for the test.
      probability: (n,) PU at each, in (0, 1).
      successes: (n,) successes behind each; var F = 1 / (successes (ln PU)^2).
      level: z above which F bends.

    Raises:
      ValueError: probabilities outside (0, 1), or fewer than three sizes.
    """
    size, p, r = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in (sizes, probability, successes)))
    if np.any((p <= 0) | (p >= 1)):
        raise ValueError("probability must lie strictly between 0 and 1; sample longer where nothing succeeded.")
    if len(np.unique(size)) < 3:
        raise ValueError(f"a task law needs at least 3 sizes; got {len(np.unique(size))}.")
    f, weight = np.log(-np.log(p)), r * np.log(p) ** 2
    x = np.log(size) - np.average(np.log(size), weights=weight)

    def solved(degree: int) -> tuple[np.ndarray, np.ndarray]:
        columns = np.vander(x, degree + 1, increasing=True)
        gram = (columns.T * weight) @ columns
        return np.linalg.solve(gram, columns.T @ (weight * f)), np.linalg.inv(gram)

    (level_f, slope), _ = solved(1)
    mean = np.average(np.log(size), weights=weight)
    alpha, c = float(-slope), float(np.exp(level_f - slope * mean))
    if len(np.unique(size)) < 4:
        return Growth(alpha, c, float("nan"), float("nan"), "not decidable")
    bent, covariance = solved(2)
    z = float(bent[2] / np.sqrt(covariance[2, 2]))
    kind = "law" if abs(z) < level else "sub-scaling" if z > 0 else "super-scaling"
    return Growth(alpha, c, float(2 * bent[2]), z, kind)
