"""Does a score rise, fall, or turn with scale? Inverse scaling, U-shape, inverted U.

Mann 1945; McKenzie et al. 2023, arXiv:2306.09479.
"""

import dataclasses

import numpy as np
from numpy.typing import ArrayLike

NAME = "trend class"
KINDS = ("rising", "falling", "U", "inverted U", "flat")


@dataclasses.dataclass(frozen=True)
class Trend:
    """Hold the class of a curve, and what speaks for it.

    Attributes:
      kind: "rising", "falling" (inverse scaling), "U", "inverted U" or "flat".
      tau: Kendall's tau of score and scale.
      p: of the hypothesis that score and scale are exchangeable, by permutation.
      turn: (index) scale at which the best two-sided shape turns.
      gain: how much better the turning shape fits than the monotone one, in units of the noise variance.
    """

    kind: str
    tau: float
    p: float
    turn: int
    gain: float


def trend(score: ArrayLike, error: ArrayLike, *, level: float = 0.05, permutations: int = 2000, root: int = 0) -> Trend:
    """Classify a curve as rising, falling, turning or flat, with the evidence.

    Monotone shapes are fitted by isotonic regression, turning ones by an isotonic piece on either side of each turn. A turn
    must beat every monotone shape by more than noise alone would, of which 95 % of simulated monotone curves decide.

    Args:
      score: (n,) in order of scale, n >= 3.
      error: standard error of each, or of all.
      level: of both tests.
      permutations: and simulations.
      root: seed of them.
    """
    y = np.asarray(score, np.float64)
    if y.ndim != 1 or len(y) < 3 or not np.all(np.isfinite(y)):
        raise ValueError(f"score must be at least 3 finite numbers in order of scale; got shape {y.shape}.")
    s = np.broadcast_to(np.asarray(error, np.float64), y.shape)
    if not np.all(s > 0):
        raise ValueError("error must be positive: without it a turn cannot be told from noise.")
    rng = np.random.default_rng(root)
    monotone, turning, turn, kind, shape = _shapes(y, s)
    gains = []
    for noisy in shape + s * rng.normal(size=(min(permutations, 400), len(y))):
        a, b, *_ = _shapes(noisy, s)
        gains.append(a - b)
    gain = monotone - turning
    tau = _tau(y)
    shuffled = np.array([_tau(rng.permutation(y)) for _ in range(permutations)])
    p = float((1 + np.sum(np.abs(shuffled) >= abs(tau) - 1e-12)) / (permutations + 1))
    spread = np.sum(((y - np.average(y, weights=1 / s**2)) / s) ** 2)
    if gain > np.quantile(gains, 1 - level):
        verdict = kind
    elif spread < len(y) - 1 + 3 * np.sqrt(2 * (len(y) - 1)) and p > level:
        verdict = "flat"
    else:
        verdict = "rising" if _isotonic(y, s)[0] < _isotonic(-y, s)[0] else "falling"
    return Trend(verdict, float(tau), p, int(turn), float(gain))


def _shapes(y: np.ndarray, s: np.ndarray) -> tuple[float, float, int, str, np.ndarray]:
    """Return chi2 of the best monotone shape and of the best turning one, its turn and name, and the monotone shape."""
    (up, rising), (down, falling) = _isotonic(y, s), _isotonic(-y, s)
    best = min(((_turned(sign * y, s, t), t, name) for sign, name in ((1, "U"), (-1, "inverted U"))
                for t in range(1, len(y) - 1)), key=lambda shape: shape[0])  # fmt: skip
    return min(up, down), best[0], best[1], best[2], rising if up <= down else -falling


def _turned(y: np.ndarray, s: np.ndarray, turn: int) -> float:
    """Return chi2 of the best curve that falls up to `turn` and rises from it."""
    return _isotonic(-y[: turn + 1], s[: turn + 1])[0] + _isotonic(y[turn + 1 :], s[turn + 1 :])[0]


def _isotonic(y: np.ndarray, s: np.ndarray) -> tuple[float, np.ndarray]:
    """Return chi2 and shape of the best non-decreasing curve (pool adjacent violators)."""
    blocks: list[list[float]] = []  # value, weight, length
    for value, weight in zip(y, 1 / s**2):
        blocks.append([value, weight, 1])
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            value, weight, length = blocks.pop()
            low = blocks[-1]
            total = low[1] + weight
            blocks[-1] = [(low[0] * low[1] + value * weight) / total, total, low[2] + length]
    shape = np.concatenate([np.full(int(length), value) for value, _, length in blocks])
    return float(np.sum(((y - shape) / s) ** 2)), shape


def _tau(y: np.ndarray) -> float:
    """Return Kendall's tau of values in order of scale; 0 where all are equal."""
    i, j = np.triu_indices(len(y), 1)
    sign = np.sign(y[j] - y[i])
    untied = np.sqrt(np.sum(sign != 0) * len(sign))
    return np.sum(sign) / untied if untied else 0.0
