"""Several processes, one script: who this one is under `jax.distributed`, and what all of them agree in."""

import jax
import numpy as np


def own_part() -> tuple[int, int] | None:
    """Return the part of this process of a sweep, (index, count); None when it is alone."""
    return (jax.process_index(), jax.process_count()) if jax.process_count() > 1 else None


def agree(number: int) -> int:
    """Return the first process's number, in every process."""
    if jax.process_count() == 1:
        return number
    from jax.experimental import multihost_utils

    return int(multihost_utils.broadcast_one_to_all(np.int32(number)))
