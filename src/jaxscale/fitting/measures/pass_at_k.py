"""pass@k is the chance that one of k samples is right, from n samples of which c are.

Chen et al. 2021, arXiv:2107.03374, eq. 1.
"""

import numpy as np
from numpy.typing import ArrayLike

NAME = "pass@k"


def pass_at_k(n: ArrayLike, c: ArrayLike, k: ArrayLike) -> np.ndarray:
    """Return 1 - C(n - c, k) / C(n, k), without bias, elementwise.

    Args:
      n: samples drawn, at least k.
      c: of them right, 0 to n.
      k: samples allowed.

    Returns:
      Probabilities of the broadcast shape.

    Raises:
      ValueError: not 0 <= c <= n, or not 1 <= k <= n.

    >>> float(pass_at_k(10, 3, 1))
    0.3
    """
    n, c, k = np.broadcast_arrays(*(np.asarray(a, np.float64) for a in (n, c, k)))
    if np.any((c < 0) | (c > n)):
        raise ValueError("c, the number of right samples, must lie between 0 and n.")
    if np.any((k < 1) | (k > n)):
        raise ValueError("k must lie between 1 and n: more samples than were drawn cannot be judged without a model.")
    from scipy.special import gammaln

    left = n - c - k
    safe = np.maximum(left, 0)
    fail = gammaln(n - c + 1) - gammaln(safe + 1) - gammaln(n + 1) + gammaln(n - k + 1)
    return np.where(left < 0, 1.0, np.where(k == 1, c / n, -np.expm1(fail)))
