"""The Pareto frontier holds the runs that no cheaper run beats."""

import numpy as np
from numpy.typing import ArrayLike

NAME = "Pareto frontier"


def frontier(cost: ArrayLike, performance: ArrayLike, *, larger_is_better: bool = True) -> np.ndarray:
    """Return indices of the runs that no other run beats at no more cost, cheapest first.

    Args:
      cost: (n,).
      performance: (n,).
      larger_is_better: False for losses.
    """
    cost, performance = np.asarray(cost, np.float64), np.asarray(performance, np.float64)
    if cost.shape != performance.shape or cost.ndim != 1:
        raise ValueError(f"cost and performance must be two lists of the same runs; got {cost.shape} and {performance.shape}.")
    if not np.all(np.isfinite(cost) & np.isfinite(performance)):
        raise ValueError("cost and performance must be finite; leave failed runs out.")
    gain = performance if larger_is_better else -performance
    order = np.lexsort((-gain, cost))
    before = np.concatenate([[-np.inf], np.maximum.accumulate(gain[order])[:-1]])
    return order[gain[order] > before]
