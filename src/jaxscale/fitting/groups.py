"""Fit one law to every group of a table's rows: a model family, a task, an optimiser each."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxscale.fitting.curve_fit import fit
from jaxscale.fitting.law import Law
from jaxscale.fitting.result import Fit, FitError
from jaxscale.fitting.table import columns_of, read_table

if TYPE_CHECKING:
    import xarray


@dataclasses.dataclass(frozen=True)
class Groups:
    """Hold a fit for every group. Print it, select one, or take all as a Dataset.

    Attributes:
      by: columns that name a group.
      fits: {values of these columns: its fit}.
      refused: {values: why there is none}.
    """

    by: tuple[str, ...]
    fits: dict[tuple[str, ...], Fit]
    refused: dict[tuple[str, ...], str]

    def sel(self, **labels: Any) -> Fit:
        """Return the fit of one group, named by a value of every column, e.g. task="copy".

        Raises:
          KeyError: no such group; the message lists those there are.
          FitError: its rows could not be fitted.
        """
        if set(labels) != set(self.by):
            raise KeyError(f"groups are named by {list(self.by)}; got {sorted(labels)}.")
        key = tuple(str(labels[name]) for name in self.by)
        if key in self.refused:
            raise FitError(f"{_named(self.by, key)}: {self.refused[key]}")
        if key not in self.fits:
            raise KeyError(f"no group {_named(self.by, key)}; choose from {sorted(self.fits)[:20]}.")
        return self.fits[key]

    def dataset(self) -> "xarray.Dataset":
        """Return value, error and 95 % interval of every quantity, status and reasons over the columns that name groups."""
        import xarray

        keys = [*self.fits, *self.refused]
        places = [sorted({key[i] for key in keys}) for i in range(len(self.by))]
        shape = tuple(len(names) for names in places)
        names = list(next(iter(self.fits.values())).estimates) if self.fits else []
        columns = [name + ending for name in names for ending in ("", "_error", "_low", "_high")]
        table: dict[str, Any] = {name: np.full(shape, np.nan) for name in columns}
        table |= {"status": np.full(shape, "missing", dtype=object), "reason": np.full(shape, "", dtype=object)}
        for key in keys:
            at = tuple(names.index(value) for names, value in zip(places, key))
            if key in self.refused:
                table["status"][at], table["reason"][at] = "failed", self.refused[key]
                continue
            one = self.fits[key]
            table["status"][at], table["reason"][at] = one.status, "; ".join(one.reasons)
            for name, e in one.estimates.items():
                for ending, value in (("", e.value), ("_error", e.seeds), ("_low", e.low), ("_high", e.high)):
                    table[name + ending][at] = value
        made = {name: values.astype(str) if values.dtype == object else values for name, values in table.items()}
        return xarray.Dataset({name: (self.by, values) for name, values in made.items()}, dict(zip(self.by, places)))

    def __str__(self) -> str:
        lines = [f"{_named(self.by, key)}: {_shown(one)}" for key, one in self.fits.items()]
        return "\n".join([*lines, *(f"{_named(self.by, key)}: {why}" for key, why in self.refused.items())])


def fit_groups(
    law: Law, table: Any, *, x: str | Sequence[str] | Mapping[str, str], y: str, by: str | Sequence[str], **how: Any
) -> Groups:
    """Fit a law to every group of a table's rows, as `fit` does one at a time; programs are shared between groups.

    Args:
      law: see `jaxscale.fitting.laws`.
      table: a .csv, .tsv, .jsonl or .parquet file, or a mapping of columns (a DataFrame is one).
      x: columns of the law's inputs, as for `fit`.
      y: column to explain.
      by: columns whose values name a group, numbers or text.
      **how: further arguments of `fit`.

    Raises:
      FitError: a bad table, or no group that can be fitted; the message has the first one's reason.
    """
    names = (by,) if isinstance(by, str) else tuple(by)
    inputs = list(x.values()) if isinstance(x, Mapping) else [x] if isinstance(x, str) else list(x)
    read_table(table, [*inputs, y], labels=names)  # says what is wrong with it
    cells = columns_of(table).cells
    keys = list(zip(*([str(cell) for cell in cells[name]] for name in names)))
    fits, refused = {}, {}
    for key in dict.fromkeys(keys):
        rows = [i for i, other in enumerate(keys) if other == key]
        part = {name: [column[i] for i in rows] for name, column in cells.items()}
        try:
            fits[key] = fit(law, part, x=x, y=y, **{"progress": False, **how})
        except FitError as refusal:
            refused[key] = str(refusal)
    if not fits:
        key, why = next(iter(refused.items()))
        raise FitError(f"no group can be fitted; {_named(names, key)}: {why}")
    return Groups(names, fits, refused)


def _named(by: Sequence[str], key: Sequence[str]) -> str:
    return ", ".join(f"{name} = {value}" for name, value in zip(by, key))


def _shown(one: Fit) -> str:
    reasons = f" ({'; '.join(one.reasons)})" if one.reasons else ""
    return ", ".join(f"{name} {estimate}" for name, estimate in one.estimates.items()) + f" [{one.status}]{reasons}"
