"""Closed forms of over-parameterised matrix factorisation (the population limit of sensing)."""

import math


def symmetric_limit(k: int, rank: int) -> int:
    """Return the limit of L(T) (2 eta T)^2 for X X^T with k > r, which is k - r: the surplus directions obey s' = s (1 - eta
    s^2), so each adds 1.
    """
    return k - rank


def one_step_rate(learning_rate: float, beta: float, *, seen: float = 1.0) -> float:
    """Return the loss's decay rate per step after one-step rebalancing, -2 ln(1 - eta beta^2 seen), for any initialisation.

    Args:
      learning_rate: eta.
      beta: singular value of F after the rebalancing.
      seen: by which the slowest direction is seen, see `least_seen`; 1 in the population limit.

    References:
      Xiong, Ding & Du, ICLR 2024, arXiv:2310.01769, section 5; with measurements derived here.
    """
    return -2 * math.log(1 - learning_rate * beta**2 * seen)


def least_seen(directions: int, m: int) -> float:
    """Return the least eigenvalue of A*A on a subspace for m Gaussian measurements, (1 - sqrt(directions / m))^2.

    After the rebalancing F is fixed but for the signal, and G moves in k n2 directions, each seen through F with the weight
    beta^2. On them A*A is a Wishart matrix, whose spectrum ends at Marchenko and Pastur's edge: its slowest direction rules.
    """
    return (1 - math.sqrt(directions / m)) ** 2 if m > directions else 0.0


def asymmetric_rate(learning_rate: float, factor_min: float) -> float:
    """Return the loss's decay rate per step for F G^T, 2 eta sigma_min(F)^2: surplus parts of G decay along F's weakest
    direction.
    """
    return 2 * learning_rate * factor_min**2


def degrees_of_freedom(n: int, rank: int, other: int | None = None) -> int:
    """Count the numbers that fix a matrix of this rank, the fewest measurements that can. A symmetric one has n r - r (r - 1) /
    2.

    Args:
      n: side of the matrix.
      rank: r.
      other: its other side, where it is not symmetric: r (n + other - r).
    """
    return n * rank - rank * (rank - 1) // 2 if other is None else rank * (n + other - rank)
