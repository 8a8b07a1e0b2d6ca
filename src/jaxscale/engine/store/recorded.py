"""What a result or a store says of how it was made, and how to ask for it again."""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxscale.engine.ask.grid import Grid, make_grid
from jaxscale.engine.ask.request import Request
from jaxscale.engine.errors import StoreError
from jaxscale.engine.run.program import Program
from jaxscale.engine.store.disk import DiskStore
from jaxscale.engine.store.manifest import read_grid


@dataclasses.dataclass(frozen=True)
class Recorded:
    """How some runs were made.

    Attributes:
      contract: what had to agree, see `jaxscale.engine.store.identity`.
      grid: what was asked for last.
      buckets: {bucket: {"width", "program"}}.
    """

    contract: dict[str, Any]
    grid: Grid
    buckets: dict[str, dict[str, Any]]

    @classmethod
    def of(cls, runs: Any) -> "Recorded":
        """Read it from a store's folder, or from the Dataset that `sweep` gave.

        Raises:
          StoreError: neither.
        """
        if isinstance(runs, str | os.PathLike):
            manifest = DiskStore.read(runs).manifest
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

    @property
    def asked(self) -> dict[str, Any]:
        """The options that ask for the same runs."""
        grid, facts = self.grid, self.contract
        return {
            "grid": grid.axes, "static": grid.static, "seeds": grid.seeds, "share": tuple(grid.share), "root": facts["root"],
            "times": facts["times"], "precision": facts["precision"], "reduce": facts.get("reduce", False),
        }  # fmt: skip

    def request(self, experiment: Callable[..., Any], **changes: Any) -> Request:
        """Return the request that made it, with some options changed."""
        return Request.make(experiment, **self.asked | changes, checked=True)

    def check_program(self, bucket: str, program: Program) -> None:
        """Raise StoreError if a bucket was made by another program."""
        made_by = self.buckets[bucket].get("program")
        if made_by not in (None, program.fingerprint):
            raise StoreError(
                f"bucket {bucket} was made by program {made_by}, and the experiment given is {program.fingerprint}: its code "
                "has changed, or it is another experiment."
            )


def find_run(grid: Grid, cell: Mapping[str, Any]) -> tuple[dict[str, Any], int, dict[str, Any]]:
    """Return static point, flat position and labels of one run.

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
    for name, numbers in grid.axes.items():
        at = int(np.argmin(np.abs(numbers.astype(np.float64) - float(cell[name]))))
        if not np.isclose(numbers[at], cell[name], rtol=1e-4, atol=0):
            raise ValueError(f"cell['{name}'] must be one of {numbers.tolist()}; got {cell[name]!r}.")
        places.append(at)
    for name, count in grid.seeds.items():
        if not 0 <= cell[name] < count:
            raise ValueError(f"cell['{name}'] must be 0 to {count - 1}; got {cell[name]!r}.")
        places.append(int(cell[name]))
    labels = {name: grid.axes[name][at] if name in grid.axes else at for name, at in zip([*grid.axes, *grid.seeds], places)}
    return static, int(np.ravel_multi_index(places, grid.shape)), static | labels
