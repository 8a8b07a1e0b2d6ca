"""Controls: runs in which there is nothing to find, made of those that are there. A claim met by them says nothing.

Each is a function {experiment: Dataset} -> {experiment: Dataset}, which `Study(controls={name: ...})` holds.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from jaxscale.study.claims import Control, Runs

STATE = ("diverged_at",)  # what the engine says of runs, and no observable
KEY = 20240229


def scrambled() -> Control:
    """Noise in place of runs: every observable's values are dealt anew over all cells, seeds and records."""
    return _with_each(lambda data, rng: _dealt(data, list(data.dims), rng))


def shuffled(*dims: str) -> Control:
    """Take what depends on these dimensions away: along them values are dealt anew, for every place along the others."""
    return _with_each(lambda data, rng: _dealt(data, [d for d in data.dims if d in dims], rng))


def untrained(runs: Runs) -> Runs:
    """Put the first record in the place of every other: nothing was learned."""
    return {name: _everywhere(data, "time", 0) for name, data in runs.items()}


def switched_off(dim: str, value: Any) -> Control:
    """Put the runs of one value of an axis in the place of all others, their seeds dealt anew: it has no effect.

    Args:
      dim: the axis.
      value: the nearest is taken, or that of this name.
    """

    def control(runs: Runs) -> Runs:
        found = {}
        for name, data in runs.items():
            if dim in data.dims:
                at = data.indexes[dim].get_indexer([value], method=None if isinstance(value, str | bool) else "nearest")[0]
                data = shuffled("seed")({name: _everywhere(data, dim, int(at))})[name]  # the noise of independent runs
            found[name] = data
        return found

    return control


def instead(names: Mapping[str, str]) -> Control:
    """Put one experiment's runs in the place of another's: {experiment: the one whose runs it gets}."""
    return lambda runs: {name: runs[names.get(name, name)] for name in runs}


def _with_each(change: Any) -> Control:
    def control(runs: Runs) -> Runs:
        rng = np.random.default_rng(KEY)
        found = {}
        for name, data in runs.items():
            found[name] = data.assign({v: change(data[v], rng) for v in data.data_vars if v not in STATE})
        return found

    return control


def _dealt(data: Any, dims: Sequence[Any], rng: np.random.Generator) -> Any:
    """Return the array with its values exchanged over `dims`, for each place along the others anew."""
    if not dims:
        return data
    rest = [d for d in data.dims if d not in dims]
    turned = data.transpose(*rest, *dims)
    flat = turned.values.reshape(int(np.prod([turned.sizes[d] for d in rest])), -1)
    return turned.copy(data=rng.permuted(flat, axis=1).reshape(turned.shape)).transpose(*data.dims)


def _everywhere(data: Any, dim: str, at: int) -> Any:
    """Return the dataset with the values at one place of a dimension at all of them."""
    return data.isel({dim: [at] * data.sizes[dim]}).assign_coords({dim: data[dim]})
