"""How far apart two samples are by optimal transport: Sinkhorn's iteration, with a certificate of how near it is to the end.

The distance that `ot_performance` asks for: of a mixture of sources to the target's data. Cuturi 2013, arXiv:1306.0895; plans
are rounded to feasible ones after Altschuler, Weed & Rigollet 2017, arXiv:1705.09634.
"""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

NAME = "optimal transport"
SWEEPS = 100  # between two looks at the gap


@dataclasses.dataclass(frozen=True)
class Transport:
    """An optimal transport and how far from optimal it may be.

    Attributes:
      cost: of the plan, which is feasible: never below the optimum.
      gap: cost less a feasible dual's: the optimum lies at most so far below.
      plan: (n, m), rows sum to the source's weights and columns to the target's.
    """

    cost: float
    gap: float
    plan: np.ndarray


def transport(
    cost: ArrayLike, source: ArrayLike | None = None, target: ArrayLike | None = None, *, tolerance: float = 1e-3,
    rounds: int = 400,
) -> Transport:  # fmt: skip
    """Return the cheapest way to carry one weighting into another.

    Args:
      cost: (n, m), not negative.
      source: (n,) weights, positive; even ones by default. For a mixture: each source's share over its number of points.
      target: (m,) weights.
      tolerance: of the gap, relative to the cost.
      rounds: at most; the regularisation is lowered from one to the next.

    Raises:
      ValueError: a negative or infinite cost, or weights of another length or not positive.
    """
    c = np.asarray(cost, np.float64)
    if c.ndim != 2 or not np.isfinite(c).all() or (c < 0).any():
        raise ValueError(f"cost must be a matrix of finite numbers that are not negative; got shape {c.shape}.")
    a, b = _weights(source, c.shape[0], "source"), _weights(target, c.shape[1], "target")
    scale = float(c.max()) or 1.0
    f, g, epsilon = np.zeros(len(a)), np.zeros(len(b)), scale / 10
    best = _rounded(np.outer(a, b), a, b)
    bound = 0.0
    for _ in range(rounds):
        for _ in range(SWEEPS):
            f = epsilon * np.log(a) - epsilon * _soft((g[None, :] - c) / epsilon, 1)
            g = epsilon * np.log(b) - epsilon * _soft((f[:, None] - c) / epsilon, 0)
        plan = _rounded(np.exp((f[:, None] + g[None, :] - c) / epsilon), a, b)
        if np.sum(plan * c) < np.sum(best * c):
            best = plan
        bound = max(bound, _dual(f, c, a, b))
        value = float(np.sum(best * c))
        if value - bound <= tolerance * max(value, 1e-12 * scale):
            break
        # the entropy of a plan is at most the logarithm of its size: below this it cannot keep the gap open
        epsilon = max(epsilon / 2, 0.5 * tolerance * value / np.log(c.size + 1), 1e-9 * scale)
    return Transport(float(np.sum(best * c)), float(np.sum(best * c) - bound), best)


def distance(
    x: ArrayLike, y: ArrayLike, *, shares: ArrayLike | None = None, power: float = 1.0, tolerance: float = 1e-3
) -> float:
    """Return the Wasserstein distance of two samples, (sum of |x - y|^power)^(1 / power) along the best plan.

    Args:
      x: (n, d) points.
      y: (m, d) points.
      shares: (n,) weights of the first; even ones by default.
      power: p.
      tolerance: relative, of the sum.
    """
    u, v = (np.asarray(points, np.float64) for points in (x, y))
    if u.ndim != 2 or v.ndim != 2 or u.shape[1] != v.shape[1]:
        raise ValueError(f"x and y must be (n, d) and (m, d); got {u.shape} and {v.shape}.")
    square = np.sum(u**2, 1)[:, None] + np.sum(v**2, 1)[None, :] - 2 * u @ v.T
    return transport(np.maximum(square, 0) ** (power / 2), shares, tolerance=tolerance).cost ** (1 / power)


def _weights(weights: ArrayLike | None, n: int, name: str) -> np.ndarray:
    found = np.full(n, 1 / n) if weights is None else np.asarray(weights, np.float64)
    if found.shape != (n,) or not np.isfinite(found).all() or (found <= 0).any():
        raise ValueError(f"{name} must be ({n},) positive weights; got shape {found.shape}. Leave out points without weight.")
    return found / found.sum()


def _soft(x: np.ndarray, axis: int) -> np.ndarray:
    most = x.max(axis=axis, keepdims=True)
    return np.squeeze(most, axis) + np.log(np.exp(x - most).sum(axis=axis))


def _rounded(plan: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the nearest feasible plan: rows and columns are cut to their weights, what is missing is spread."""
    plan = plan * np.minimum(1, a / np.maximum(plan.sum(1), 1e-300))[:, None]
    plan = plan * np.minimum(1, b / np.maximum(plan.sum(0), 1e-300))[None, :]
    row, column = a - plan.sum(1), b - plan.sum(0)
    missing = row.sum()
    return plan + np.outer(row, column) / missing if missing > 0 else plan


def _dual(f: np.ndarray, c: np.ndarray, a: np.ndarray, b: np.ndarray) -> float:
    """Return a lower bound of the optimum: the potentials are made feasible by two c-transforms."""
    g = np.min(c - f[:, None], axis=0)
    f = np.min(c - g[None, :], axis=1)
    return float(a @ f + b @ g)
