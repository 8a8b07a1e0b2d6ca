"""Cover's function: the share of the labellings of P points in N dimensions that a perceptron can realise. Capacity 2, nu 2.

Cover 1965, IEEE Trans. Electron. Comput. EC-14, 326.
"""

import math

import numpy as np


def separable(points: np.ndarray, dimension: int) -> np.ndarray:
    """Return the share of labellings of P points that are separable, 2^(1-P) sum_{k<N} C(P-1, k), elementwise in P. It is 1 for
    P <= N and exactly 1/2 at P = 2 N.
    """
    shares = []
    for p in np.ravel(np.asarray(points)).astype(int):
        p = int(p)
        total, term = 0, 1
        for k in range(min(dimension, p)):
            total += term
            term = term * (p - 1 - k) // (k + 1)
        shares.append(total / (1 << (p - 1)) if p > 0 else 1.0)
    return np.array(shares).reshape(np.shape(points))


def limit(u: np.ndarray) -> np.ndarray:
    """Return the master curve for N to infinity, of u = sqrt(N) (P / N - 2): (1 - erf(u / 2)) / 2.

    Of P coins, heads have mean P / 2 and variance P / 4: they stay below N with probability Phi((2 N - P) / sqrt(P)), where
    P = 2 N + u sqrt(N).
    """
    return np.array([0.5 * math.erfc(value / 2) for value in np.ravel(u)]).reshape(np.shape(u))
