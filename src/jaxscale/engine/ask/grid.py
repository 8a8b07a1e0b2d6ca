"""What is asked for: named axes times seeds, every lane with an identity that depends on nothing but its own coordinates."""

import dataclasses
import inspect
import itertools
import json
import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from hashlib import blake2b
from typing import Any

import numpy as np

from jaxscale.records import check

Seeds = int | Mapping[str, int]
RESERVED = frozenset({"seed", "data", "init", "time", "diverged_at"})  # names of every result


@dataclasses.dataclass(frozen=True)
class Lanes:
    """Some lanes of one bucket: flat indices into grid x seeds, and what makes each lane itself."""

    index: np.ndarray  # (n,) int64, flat position in (*grid, *seeds)
    coords: dict[str, np.ndarray]  # {axis: (n,)}, the traced coordinates
    words: np.ndarray  # (n, 2) uint32, hash of the coordinates that enter the key
    seeds: np.ndarray  # (n, 1) or (n, 2) uint32, seed or (data seed, init seed)
    ids: np.ndarray  # (n,) uint64, hash of everything

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: Any) -> "Lanes":
        """Return the lanes at some rows."""
        coords = {name: values[rows] for name, values in self.coords.items()}
        return Lanes(self.index[rows], coords, self.words[rows], self.seeds[rows], self.ids[rows])


@dataclasses.dataclass(frozen=True)
class Grid:
    """All runs of a sweep: axes times seeds."""

    axes: dict[str, np.ndarray]  # traced axes: {name: values}
    static: dict[str, tuple]  # axes that fix the program: {name: values}
    seeds: dict[str, int]  # {"seed": n} or {"data": n, "init": m}
    share: frozenset[str]  # axes left out of the key, for common random numbers

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the traced axes, then of the seed axes."""
        return (*(len(v) for v in self.axes.values()), *self.seeds.values())

    @property
    def lanes_per_bucket(self) -> int:
        """How many runs one bucket has."""
        return math.prod(self.shape)

    @property
    def shared_disorder(self) -> bool:
        """Whether runs that differ in their init seed only share their data."""
        return "init" in self.seeds

    @property
    def cells(self) -> int:
        """Grid points in one bucket."""
        return math.prod(len(v) for v in self.axes.values())

    @property
    def seeds_per_cell(self) -> int:
        """How many runs one grid point has."""
        return math.prod(self.seeds.values())

    def cell_ids(self, static: Mapping[str, Any]) -> np.ndarray:
        """Return (cells,) uint64, the hash of the coordinates of every grid point of a bucket, in order."""
        whole = np.full(self.cells, _static_hash(static, frozenset()), np.uint64)
        places = np.unravel_index(np.arange(self.cells), [len(v) for v in self.axes.values()]) if self.axes else ()
        for name, place in zip(self.axes, places):
            whole += self._value_hashes[name][place]
        return whole

    @cached_property
    def _value_hashes(self) -> dict[str, np.ndarray]:
        return {name: _hashes(name, values) for name, values in self.axes.items()}

    def buckets(self) -> list[dict[str, Any]]:
        """Every static point: one compiled program each."""
        return [dict(zip(self.static, point)) for point in itertools.product(*self.static.values())]

    def lanes(self, static: Mapping[str, Any], index: Any = None) -> Lanes:
        """Return the lanes of one bucket, cell by cell: those with flat positions `index`, or all."""
        index = np.arange(self.lanes_per_bucket, dtype=np.int64) if index is None else np.asarray(index, np.int64)
        places = dict(zip([*self.axes, *self.seeds], np.unravel_index(index, self.shape)))
        keyed = np.full(len(index), _static_hash(static, self.share), np.uint64)
        whole = np.full(len(index), _static_hash(static, frozenset()), np.uint64)
        for name in self.axes:
            hashes = self._value_hashes[name][places[name]]
            whole += hashes
            if name not in self.share:
                keyed += hashes
        seeds = np.stack([places[name] for name in self.seeds], axis=1)
        for name in self.seeds:
            whole = _mix(whole + _mix(places[name].astype(np.uint64)) + _hashes("role", [name])[0])
        words = np.stack([keyed >> np.uint64(32), keyed & np.uint64(0xFFFFFFFF)], axis=1).astype(np.uint32)
        coords = {name: values[places[name]] for name, values in self.axes.items()}
        return Lanes(index, coords, words, seeds.astype(np.uint32), whole)


def bucket_name(static: Mapping[str, Any]) -> str:
    """Return a bucket's name in stores and messages."""
    return json.dumps(dict(sorted(static.items())))


def make_grid(
    grid: Mapping[str, Any] | None, static: Mapping[str, Any] | None, seeds: Seeds, share: str | Sequence[str]
) -> Grid:
    """Check and normalise what the user asked for.

    Raises:
      ValueError, TypeError: an empty axis, a repeated value, a reserved or doubled name, text on a traced axis, seeds
        that are not positive whole numbers, or `share` of an unknown axis.
    """
    axes = {str(name): _traced_values(name, values) for name, values in (grid or {}).items()}
    fixed = {str(name): _static_values(name, values) for name, values in (static or {}).items()}
    for name in [*axes, *fixed]:
        if name in RESERVED:
            raise ValueError(f"'{name}' is part of every result and cannot name a grid axis; rename the parameter.")
    if both := sorted(set(axes) & set(fixed)):
        raise ValueError(f"'{both[0]}' stands in grid= and in static=; keep one. static= costs a compile per value.")
    share = (share,) if isinstance(share, str) else share
    if unknown := sorted(set(share) - set(axes) - set(fixed)):
        raise ValueError(f"share names '{unknown[0]}', which is no axis of this sweep; choose from {[*axes, *fixed]}.")
    return Grid(axes, fixed, _seed_counts(seeds), frozenset(share))


def check_grid(grid: Grid, experiment: Callable[..., Any]) -> None:
    """Build every grid point once with plain numbers, so that a bad corner fails before anything compiles.

    Raises:
      whatever the experiment or a `check()` raises, with the coordinates of the corner added.
    """
    _check_names(grid, experiment)
    for static in grid.buckets():
        for point in itertools.product(*(_as_given(values) for values in grid.axes.values())):
            coords = dict(zip(grid.axes, point))
            try:
                system = experiment(**coords, **static)
                _check_system(system)
                check(system)
            except Exception as error:
                error.add_note(f"(while building the grid point {coords | static})")
                raise


def _as_given(values: np.ndarray) -> list[Any]:
    """Return values as a user would write them: 0.1 and not the float64 of its nearest float32."""
    return [float(str(value)) for value in values] if values.dtype.kind == "f" else values.tolist()


def _check_system(system: Any) -> None:
    missing = [name for name in ("sample", "init", "step", "observe") if not hasattr(system, name)]
    if missing:
        hint = " It looks like a model: wrap it, e.g. js.Descent(model, learning_rate=0.1)." if hasattr(system, "loss") else ""
        raise TypeError(f"the experiment must return a system; it returned {type(system).__name__}, without {missing}.{hint}")


def _check_names(grid: Grid, experiment: Any) -> None:
    if not callable(experiment):
        raise TypeError(f"the experiment must be a function of the axes returning a system; got {type(experiment).__name__}.")
    axes = [*grid.axes, *grid.static]
    parameters = inspect.signature(experiment).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return
    taken = [p.name for p in parameters if p.kind is not p.VAR_POSITIONAL]
    needed = [p.name for p in parameters if p.default is p.empty and p.name in taken]
    if unknown := [name for name in axes if name not in taken]:
        raise TypeError(f"the experiment takes {taken}, not '{unknown[0]}'; rename the axis, or add the parameter.")
    if missing := [name for name in needed if name not in axes]:
        raise TypeError(f"the experiment needs '{missing[0]}', which is no axis of this sweep; add it to grid= or static=.")


def _traced_values(name: Any, values: Any) -> np.ndarray:
    array = np.atleast_1d(np.asarray(values))
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"grid['{name}'] must be a non-empty list of numbers; got shape {array.shape}.")
    if array.dtype.kind not in "iufb":
        raise TypeError(
            f"grid['{name}'] must hold numbers, which are traced; got {array.dtype}. Put it in static={{'{name}': ...}}."
        )
    if array.dtype.kind == "f" and not np.all(np.isfinite(array)):
        raise ValueError(f"grid['{name}'] must be finite; got {array[~np.isfinite(array)][0]}.")
    # the run sees 32 bits: two values that agree there are one value
    narrow = {"i": np.int32, "u": np.int32, "f": np.float32, "b": np.bool_}[array.dtype.kind]
    limit = np.inf if narrow is np.bool_ else (np.finfo if narrow is np.float32 else np.iinfo)(narrow).max
    if np.any(np.abs(array.astype(np.float64)) > limit):
        raise ValueError(
            f"grid['{name}'] must fit {np.dtype(narrow)}, which the runs see; got {array.tolist()}. Rescale the axis."
        )
    array = array.astype(narrow)
    if len(np.unique(array)) != len(array):
        raise ValueError(f"grid['{name}'] repeats a value; drop repeats, and ask for more seeds instead: {array.tolist()}.")
    return array


def _static_values(name: Any, values: Any) -> tuple:
    points = tuple(values) if isinstance(values, tuple | list | range) else tuple(np.atleast_1d(values).tolist())
    points = tuple(v.item() if isinstance(v, np.generic) else v for v in points)
    if not points:
        raise ValueError(f"static['{name}'] must hold at least one value; got none.")
    for value in points:
        if not isinstance(value, int | float | str | bool | None):
            raise TypeError(
                f"static['{name}'] must hold plain numbers or text, so that results can be labelled and stored; "
                f"got {type(value).__name__}. Pass a name and look it up in the experiment."
            )
    if len(set(points)) != len(points):
        raise ValueError(f"static['{name}'] repeats a value: {list(points)}.")
    return points


def _seed_counts(seeds: Seeds) -> dict[str, int]:
    counts = dict(seeds) if isinstance(seeds, Mapping) else {"seed": seeds}
    if set(counts) not in ({"seed"}, {"data", "init"}):
        raise ValueError(f"seeds must be a number or {{'data': ..., 'init': ...}}; got keys {sorted(counts)}.")
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            raise ValueError(f"seeds['{name}'] must be a whole number, at least 1; got {count!r}.")
    return {name: int(counts[name]) for name in sorted(counts)}  # data before init


def _canonical(value: Any) -> str:
    """One text per value: 1, 1.0 and np.float32(1) agree; floats are read as the run reads them, in 32 bits."""
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, float | np.floating):
        return str(int(value)) if float(value).is_integer() else float(np.float32(value)).hex()
    return repr(value) if isinstance(value, str) else str(value)


def _hashes(name: str, values: Any) -> np.ndarray:
    """(n,) uint64, one per value. Sums of these over axes do not depend on the order of the axes."""
    texts = (f"{name}={_canonical(v)}".encode() for v in values)
    return np.array([int.from_bytes(blake2b(t, digest_size=8).digest(), "little") for t in texts], np.uint64)


def _static_hash(static: Mapping[str, Any], share: frozenset[str]) -> np.uint64:
    kept = [_hashes(name, [value])[0] for name, value in static.items() if name not in share]
    return np.sum(np.array(kept, np.uint64), dtype=np.uint64)


def _mix(x: np.ndarray) -> np.ndarray:
    """The splitmix64 finaliser: spreads every input bit over the whole word."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
