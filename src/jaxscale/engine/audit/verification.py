"""Doubt, served: hash a store again, run some of it again bit for bit, look at one run step by step."""

import dataclasses
import json
import os
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxscale.engine.ask.grid import Grid, make_grid
from jaxscale.engine.ask.request import Request
from jaxscale.engine.events import said
from jaxscale.engine.keep.dataset import bucket_name
from jaxscale.engine.place.local import Bucket
from jaxscale.engine.run.cohort import run_cohort
from jaxscale.engine.store.disk import Store
from jaxscale.engine.store.files import StoreError
from jaxscale.engine.store.manifest import read_grid
from jaxscale.engine.sweeping import sweep

if TYPE_CHECKING:
    import xarray


@dataclasses.dataclass(frozen=True)
class Verified:
    """What `verify` found. Print it; true if nothing is wrong."""

    pieces: int
    damaged: tuple[str, ...]
    requested: int
    done: int
    failed: int  # diverged
    pending: int
    rerun: int
    differing: tuple[str, ...]

    def __bool__(self) -> bool:
        return not self.damaged and not self.differing

    def __str__(self) -> str:
        lines = [
            f"{self.pieces} pieces hashed, {len(self.damaged)} damaged; {self.requested:,} runs requested = {self.done:,} done "
            f"+ {self.failed:,} failed (diverged) + {self.pending:,} pending"
        ]
        lines += [f"  damaged: {text}" for text in self.damaged]
        lines.append(f"{self.rerun} runs made again, {len(self.differing)} differ" if self.rerun else "no run made again")
        return "\n".join([*lines, *(f"  differs: {text}" for text in self.differing)])


def verify(
    store: str | os.PathLike, experiment: Callable[..., Any] | None = None, *, cells: int = 16, root: int = 0
) -> Verified:
    """Hash every piece again, and make a random sample of runs again, comparing every bit.

    Args:
      store: folder of a sweep.
      experiment: what was swept; without it nothing is run.
      cells: runs to make again.
      root: seed of the sample.

    Raises:
      StoreError: no store, or of another experiment.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = Store.read(store)
        pieces = found.pieces()
    damaged = tuple(str(w.message) for w in caught if "left out" in str(w.message))
    record = Recorded.of(store)
    grid, reduced = record.grid, record.contract.get("reduce", False)
    request = dataclasses.replace(record.request(experiment or _unknown, record.contract["times"]), reduce=reduced)
    buckets = [Bucket(request, request.program(point), {}) for point in grid.buckets()]
    pending = sum(len(bucket.pending(pieces.get(bucket.name, []))) for bucket in buckets)
    differing: list[str] = []
    made = 0
    if experiment is not None and not reduced:
        random = np.random.default_rng(root)
        for bucket in buckets:
            if own := pieces.get(bucket.name):
                some, differ = _again(bucket, record.buckets[bucket.name], own, -(-cells // len(buckets)), random)
                made, differing = made + some, differing + differ
    requested, failed = len(buckets) * grid.lanes_per_bucket, sum(b.failed(pieces.get(b.name, [])) for b in buckets)
    done = requested - failed - pending
    return Verified(sum(map(len, pieces.values())), damaged, requested, done, failed, pending, made, tuple(differing))


def _again(bucket, settings, pieces, cells, random):
    """Run a sample of a bucket's finished runs; how many, and which differ from what is stored."""
    lanes = bucket.request.grid.lanes(bucket.program.static)
    ids = np.concatenate([piece["ids"] for piece in pieces])
    known = np.flatnonzero(np.isin(lanes.ids, ids))
    if not len(known):
        return 0, []
    _check_program(bucket, settings)
    chosen = lanes.take(np.sort(random.choice(known, min(cells, len(known)), replace=False)))
    executable = bucket.request.executable(bucket.program, settings["width"], chosen)
    with said(f"running {len(chosen)} runs of bucket {bucket.name} again ..."):
        records = run_cohort(executable, chosen, bucket.request.times)
    row = {lane: at for at, lane in enumerate(ids.tolist())}
    rows = [row[lane] for lane in chosen.ids.tolist()]
    differ = np.zeros(len(chosen), bool)
    for name, values in records.arrays.items():
        stored = np.concatenate([piece[name] for piece in pieces])[rows]
        same = (stored == values) | ((stored != stored) & (values != values))
        differ |= ~same.reshape(len(chosen), -1).all(1)
    return len(chosen), [f"{bucket.name} {_cell(chosen, i)}" for i in np.flatnonzero(differ)]


def replay(
    experiment: Callable[..., Any], runs: Any, cell: Mapping[str, Any], *, times: Sequence[int] | np.ndarray | None = None
) -> "xarray.Dataset":
    """Make one run again, at its recorded width, with every step observed.

    Args:
      experiment: what was swept.
      runs: the Dataset that `sweep` or `load` gave, or the store's folder.
      cell: one value for every axis, `seed` (or `data` and `init`) included; values of the grid, or nearest to them.
      times: steps to observe; every step if None.

    Returns:
      Dataset with dims ("time",) and the cell as scalar coordinates.

    Raises:
      ValueError: an axis is missing or unknown, or has no such value.
      StoreError: another experiment.
    """
    record = Recorded.of(runs)
    request = record.request(experiment, np.arange(record.contract["times"][-1] + 1) if times is None else times)
    static, index, labels = find_run(record.grid, cell)
    settings = record.buckets[bucket_name(static)]
    bucket = Bucket(request, request.program(static), settings)
    _check_program(bucket, settings)
    lanes = bucket.lanes(np.array([index]))
    with said(f"running {dict(cell)} again to step {int(request.times[-1]):,}, looking {len(request.times):,} times ..."):
        records = run_cohort(request.executable(bucket.program, bucket.width, lanes), lanes, request.times, reclaim=False)
    import xarray

    variables = {name: ("time", values[0]) for name, values in records.observed.items()}
    return xarray.Dataset(variables, labels | {"time": request.times}, {"diverged_at": int(records.diverged_at[0])})


def check_reproducible(experiment: Callable[..., Any], **arguments: Any) -> None:
    """Assert that a sweep gives the same bits whatever happens around a run: neighbours, order, devices, memory, interruption.

    Args:
      experiment: as for `jaxscale.sweep`.
      **arguments: as for `jaxscale.sweep`; keep it small, it is run several times.

    Raises:
      AssertionError: naming what a run depends on.
    """
    quiet = arguments | {"progress": False}
    whole = sweep(experiment, **quiet)
    ways: dict[str, Callable[[], Any]] = {
        "the memory: one block at a time": lambda: sweep(experiment, **quiet | {"memory": 1}),
        "reclaiming stopped runs": lambda: sweep(experiment, **quiet | {"reclaim": False}),
        "the number of devices": lambda: sweep(experiment, **quiet | {"devices": jax.local_devices()[:1]}),
        "the order of the grid": lambda: sweep(experiment, **quiet | {"grid": _turned(arguments.get("grid") or {})}),
        "being stored in parts": lambda: _in_parts(experiment, quiet),
    }
    for name, way in ways.items():
        other = way().reindex_like(whole)
        for variable in whole:
            same = np.array_equal(whole[variable].values, other[variable].values, equal_nan=whole[variable].dtype.kind == "f")
            assert same, f"'{variable}' depends on {name}; does the experiment use anything but its arguments and keys?"


@dataclasses.dataclass(frozen=True)
class Recorded:
    """What a result or a store says of how it was made."""

    contract: dict[str, Any]
    grid: Grid
    buckets: dict[str, dict[str, Any]]  # {bucket: {"width", "program"}}

    @classmethod
    def of(cls, runs: Any) -> "Recorded":
        """From a store's folder, or from the Dataset that `sweep` gave.

        Raises:
          StoreError: neither.
        """
        if isinstance(runs, str | os.PathLike):
            manifest = Store.read(runs).manifest
            return cls(manifest["contract"], read_grid(manifest), manifest["buckets"])
        try:
            facts = {k: json.loads(v) if isinstance(v, str) and v[:1] in "[{" else v for k, v in runs.attrs.items()}
            axes = {name: np.atleast_1d(runs[name].values) for name in facts["axes"]}
            static = {name: np.atleast_1d(runs[name].values).tolist() for name in facts["static"]}
            seeds = {name: int(runs[name].max()) + 1 if name in runs.coords else 1 for name in facts["seeds"]}
            grid = make_grid(axes, static, seeds, facts["share"])
            buckets = {name: {"width": width, "program": facts["program"][name]} for name, width in facts["width"].items()}
        except (KeyError, AttributeError) as error:
            raise StoreError(
                f"runs must be a store's folder or the Dataset that sweep or load gave; {error} is missing."
            ) from error
        return cls(facts, grid, buckets)

    def request(self, experiment: Callable[..., Any], times: Any) -> Request:
        """The request that made it, at `times`."""
        grid, facts = self.grid, self.contract
        return Request.make(
            experiment, grid=grid.axes, static=grid.static, seeds=grid.seeds, share=tuple(grid.share), root=facts["root"],
            precision=facts["precision"], times=times, checked=True,
        )  # fmt: skip


def find_run(grid: Any, cell: Mapping[str, Any]) -> tuple[dict[str, Any], int, dict[str, Any]]:
    """Static point, flat position and labels of one run.

    Raises:
      ValueError: an axis is missing or unknown, or has no such value.
    """
    names = [*grid.static, *grid.axes, *grid.seeds]
    if set(cell) != set(names):
        raise ValueError(f"cell must give one value for each of {names}; got {sorted(cell)}.")
    static, places = {}, []
    for name, values in grid.static.items():
        if cell[name] not in values:
            raise ValueError(f"cell['{name}'] must be one of {list(values)}; got {cell[name]!r}.")
        static[name] = cell[name]
    for name, values in grid.axes.items():
        at = int(np.argmin(np.abs(values.astype(np.float64) - float(cell[name]))))
        if not np.isclose(values[at], cell[name], rtol=1e-4, atol=0):
            raise ValueError(f"cell['{name}'] must be one of {values.tolist()}; got {cell[name]!r}.")
        places.append(at)
    for name, count in grid.seeds.items():
        if not 0 <= cell[name] < count:
            raise ValueError(f"cell['{name}'] must be 0 to {count - 1}; got {cell[name]!r}.")
        places.append(int(cell[name]))
    labels = {name: grid.axes[name][at] if name in grid.axes else at for name, at in zip([*grid.axes, *grid.seeds], places)}
    return static, int(np.ravel_multi_index(places, grid.shape)), static | labels


def _unknown(**coordinates: Any) -> None:
    """Stands for an experiment that is not at hand."""


def _check_program(bucket, settings):
    if settings.get("program") not in (None, bucket.program.fingerprint):
        raise StoreError(
            f"bucket {bucket.name} was made by program {settings['program']}, and the experiment given is "
            f"{bucket.program.fingerprint}: its code has changed, or it is another experiment."
        )


def _cell(lanes, i):
    return {name: values[i].item() for name, values in lanes.coords.items()} | {"seed": lanes.seeds[i].tolist()}


def _turned(grid):
    return {name: np.atleast_1d(values)[::-1] for name, values in grid.items()}


def _in_parts(experiment, arguments):
    with tempfile.TemporaryDirectory() as folder:
        for i in range(3):
            runs = sweep(experiment, **arguments | {"store": folder, "part": (i, 3)})
        return runs.load()
