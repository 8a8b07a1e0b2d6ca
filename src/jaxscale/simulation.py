"""One run: a system, a key, and the steps at which to look."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.protocol import Observables, System, advance
from jaxscale.records import check


def simulate(system: System, key: jax.Array, times: Any, *, precision: str | None = "highest") -> Observables:
    """Run one system and observe it. Pure and jittable; memory is O(len(times)).

    A system whose numbers are plain is checked as a sweep checks it: a NaN or a value out of range is refused on the host.

    Args:
      system: what moves; see `jaxscale.protocol`.
      key: one typed PRNG key. It is split into disorder, initialisation and steps; step t uses `fold_in(key_step, t)`.
      times: (n,) increasing step numbers, 0 being the initial state. Shared by a batch under vmap, so the loop bounds
        stay scalars and the loop stays a loop.

      precision: `jax.default_matmul_precision`, as of `jaxscale.sweep`; None for whatever is set around the call.

    Returns:
      {observable: (n,)}.

    Raises:
      ValueError: `times` are plain numbers and do not increase from 0 or more.
    """
    if not isinstance(times, jax.core.Tracer):
        times = check_times(times)
    if not any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(system)):
        check(system)
    with jax.default_matmul_precision(precision):
        return _simulated(system, key, times)


def _simulated(system: System, key: jax.Array, times: Any) -> Observables:
    """Return what `simulate` does, at whatever precision is set."""
    key_data, key_init, key_step = jax.random.split(key, 3)
    data = system.sample(key_data)
    state = system.init(key_init, data)

    def segment(state: Any, span: Any) -> tuple[Any, Observables]:
        state = advance(system, key_step, state, data, span)
        return state, system.observe(state, data)

    stops = jnp.asarray(times, jnp.int32)
    starts = jnp.concatenate([jnp.zeros(1, stops.dtype), stops[:-1]])
    return jax.lax.scan(segment, state, (starts, stops))[1]


def log_times(last: int, *, per_decade: int = 10, first: int = 1) -> np.ndarray:
    """Return steps 0, `first`, ..., `last`, evenly spaced in the logarithm, whole and without repeats.

    Args:
      last: final step, at least 1.
      per_decade: recorded steps per factor of ten.
      first: first step after 0.

    >>> log_times(100, per_decade=2).tolist()
    [0, 1, 3, 10, 32, 100]
    """
    if not 0 < first <= last:
        raise ValueError(f"log_times needs 0 < first <= last; got first={first}, last={last}.")
    n = int(np.ceil(per_decade * np.log10(last / first))) + 1
    steps = np.geomspace(first, last, max(n, 1)).round().astype(np.int64)
    return np.unique(np.concatenate([[0], steps, [last]]))


def check_times(times: Any) -> np.ndarray:
    """Return `times` as an int64 array, or raise the ValueError that says what is wrong with them."""
    steps = np.atleast_1d(np.asarray(times))
    if steps.ndim != 1 or steps.size == 0:
        raise ValueError(f"times must be a non-empty list of step numbers; got shape {steps.shape}. Try js.log_times(1000).")
    if steps.dtype.kind not in "iuf":
        raise ValueError(f"times must be step numbers; got {times!r}. Try js.log_times(1000).")
    if not np.all(steps == np.round(steps)):
        raise ValueError(f"times must be whole step numbers; got {steps[steps != np.round(steps)][0]}.")
    steps = steps.astype(np.int64)
    if steps[0] < 0 or np.any(np.diff(steps) <= 0):
        raise ValueError(f"times must increase from 0 or more; got {steps.tolist()}. Sort them and drop repeats.")
    if steps[-1] >= 2**31:
        raise ValueError(f"times must stay below 2**31 steps; got {steps[-1]}. Use an event-driven system for longer runs.")
    return steps
