"""Spend runs where the boundary is uncertain: rounds of a sweep, each asked for by a `Refinement`, until the band is narrow."""

from collections.abc import Callable, Mapping
from typing import Any, Unpack

import numpy as np

from jaxscale.engine.ask.options import Inner
from jaxscale.engine.store.files import folder_of
from jaxscale.phase.refinement import Refinement


def refine(
    experiment: Callable[..., Any], *, axes: Mapping[str, np.ndarray], observable: str, level: float, times: Any,
    log: tuple[str, ...] = (), cells: int = 16, runs: int = 8, budget: int = 4000, band: float = 0.0, root: int = 0,
    store: Any = None, tell: Callable[[Refinement], None] = lambda state: None, **how: Unpack[Inner],
) -> Refinement:  # fmt: skip
    """Run until the boundary's widest band is `band` of its axis, or the budget is spent; return the state.

    Every round is a sweep of the same shape: one compilation serves them all. With a store, a refinement that was stopped
    takes up its finished rounds and goes on; they are asked for in the same order.

    Args:
      experiment: as for `jaxscale.sweep`, of the two axes.
      axes: {name: increasing values}, the lattice of candidates; the boundary is sought along the second.
      observable: at the last of `times`.
      level: of its mean over runs.
      times: recorded steps.
      log: axes that are even in their logarithm.
      cells: asked for in a round.
      runs: of each.
      budget: runs in all.
      band: share of the second axis.
      root: of the runs' keys.
      store: folder of the rounds.
      tell: called after each round.
      **how: further arguments of `jaxscale.sweep`.

    Raises:
      ValueError: axes, counts or names that make no refinement.
    """
    from jaxscale.engine.sweeping import sweep

    state, rounds = Refinement(axes, level, log, root=root), _rounds(cells, runs, budget)
    names, values = list(axes), [np.asarray(v) for v in axes.values()]

    def at(slot: Any, turn: Any) -> Any:
        del turn  # part of every run's key: a cell that is asked again draws anew
        cell = slot // cells
        return experiment(**{n: _pick(v, cell, k, state.shape) for k, (n, v) in enumerate(zip(names, values))})

    for turn in range(rounds):
        asked = np.sort(state.ask(cells, runs))
        again = np.arange(cells) - np.searchsorted(asked, asked)  # 0, 1, ... within equal cells: each slot draws its own runs
        round_runs = sweep(
            at, grid={"slot": (asked * cells + again).astype(np.int32), "turn": [turn]}, seeds=runs, times=times, root=root,
            store=None if store is None else folder_of(store) / f"round-{turn:04d}", progress=False, **how,
        )  # fmt: skip
        last = round_runs.isel(time=-1, turn=0).transpose("slot", "seed")
        everything = {str(name): values.values.ravel() for name, values in last.items() if values.ndim == 2}
        _check_there(observable, everything)
        state.tell(np.repeat(last["slot"].values // cells, runs), everything[observable], everything)
        tell(state)
        if band and np.all(state.boundary()["width"].values <= band):  # a row without a band is not narrow: NaN
            break
    return state


def _rounds(cells: int, runs: int, budget: int) -> int:
    """Return how many rounds the budget pays for, or raise ValueError where it pays for none."""
    if cells < 1 or runs < 1 or budget < cells * runs:
        raise ValueError(
            f"refine needs cells >= 1, runs >= 1 and a budget of at least cells x runs; got cells={cells}, runs={runs}, "
            f"budget={budget}."
        )
    return budget // (cells * runs)


def _check_there(observable: str, everything: Mapping[str, np.ndarray]) -> None:
    """Raise ValueError unless the runs have the observable."""
    if observable not in everything:
        raise ValueError(f"no observable '{observable}' in the runs; choose from {sorted(everything)}.")


def _pick(values: np.ndarray, cell: Any, axis: int, shape: tuple[int, ...]) -> Any:
    """Return one coordinate of a cell, whether its index is a number or traced."""
    import jax
    import jax.numpy as jnp

    index = cell // shape[1] if axis == 0 else cell % shape[1]
    return jnp.asarray(values)[index] if isinstance(cell, jax.core.Tracer) else values[int(index)]
