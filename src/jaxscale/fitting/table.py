"""Read tables of runs from anywhere: CSV, TSV, JSON lines, parquet, or columns in memory. Nothing is dropped silently."""

import dataclasses
import difflib
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxscale.fitting.files import Columns, read_columns
from jaxscale.fitting.result import FitError

EMPTY = ("", "nan", "na", "n/a", "null", "none", "-")
SHOWN = 5  # rows named in a message
MAX_NAME = 40  # characters of a name in a message


@dataclasses.dataclass(frozen=True)
class Table:
    """Hold numeric columns of equal length, and what was left out on the way.

    Attributes:
      columns: {name: (n,) floats}.
      labels: {name: (n,) whole numbers, one for each text}.
      rows: (n,) where each row stands: the line of a file, counted from 1, or the position in memory, from 0.
      notes: what was left out.
    """

    columns: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    rows: np.ndarray
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    def keep(self, use: np.ndarray, why: str) -> "Table":
        """Return the rows in use; if that is not all of them, with a note: how many were left out, why, and which."""
        if use.all():
            return self
        columns, labels = ({k: v[use] for k, v in group.items()} for group in (self.columns, self.labels))
        note = f"{int((~use).sum())} of {len(use)} rows {why} and are left out ({shown(self.rows[~use])})"
        return Table(columns, labels, self.rows[use], (*self.notes, note))


def shown(rows: np.ndarray) -> str:
    """Return row numbers as words for a message, the first few of them."""
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    return f"row{'s' if len(rows) > 1 else ''} {', '.join(str(int(r)) for r in rows[:SHOWN])}{more}"


def read_table(source: Any, names: Sequence[str], *, labels: Sequence[str] = ()) -> Table:
    """Read the named columns of a table, as floats.

    Args:
      source: path of a .csv, .tsv, .jsonl, .ndjson or .parquet file, or a mapping of columns (a DataFrame is one).
      names: columns that must be numbers. Rows in which one is empty or not finite are left out, and said so.
      labels: columns that may be text (run names).

    Raises:
      FitError: no such file, a malformed file, a missing column (with the nearest name), text where a number must be (with
        the rows), columns of different lengths.
    """
    table = columns_of(source)
    where = _name(source)
    for name in (*names, *labels):
        if name not in table.cells:
            known = sorted(_short(other) for other in list(table.cells)[:20])
            near = difflib.get_close_matches(name, [n for n in table.cells if len(n) < 200], n=1, cutoff=0.4)
            hint = f" Did you mean '{_short(near[0])}'?" if near else ""
            raise FitError(f"{where} has no column '{_short(name)}'; it has {known}.{hint}")
    wanted = {name: table.cells[name] for name in (*names, *labels)}
    if len(lengths := {len(cells) for cells in wanted.values()}) != 1:
        raise FitError(f"the columns of {where} have different lengths: {sorted(lengths)}.")
    rows = np.asarray(table.rows if table.rows is not None else np.arange(lengths.pop()))
    columns = {name: _numbers(wanted[name], name, where, rows) for name in names}
    texts = {name: [_text(cell) for cell in wanted[name]] for name in labels}
    numbered = {name: np.unique(cells, return_inverse=True)[1].astype(float) for name, cells in texts.items()}
    known_cells = {name: np.isfinite(values) for name, values in columns.items()}
    for name, cells in texts.items():
        full = np.array([cell.strip().lower() not in EMPTY for cell in cells], bool)
        known_cells[name] = full & known_cells.get(name, True)
    use = np.all(list(known_cells.values()), axis=0)
    lacking = ", ".join(f"'{_short(name)}'" for name, full in known_cells.items() if not full.all())
    return Table(columns, numbered, rows).keep(use, f"have an empty or infinite cell in {lacking}")


def columns_of(source: Any) -> Columns:
    """Return the cells of a table as they are: a path, or a mapping of columns."""
    return _of_memory(source) if isinstance(source, Mapping) or hasattr(source, "columns") else _of_path(source)


def _of_path(source: object) -> Columns:
    if not isinstance(source, str | os.PathLike):
        raise FitError(
            f"a table must be the path of a file or a mapping of columns; got {type(source).__name__}. "
            "Of a sweep's Dataset, take one observable: runs['loss']."
        )
    return read_columns(Path(source))


def _of_memory(source: Any) -> Columns:
    cells: dict[str, list[Any]] = {}
    if hasattr(source, "data_vars"):
        raise FitError("got a Dataset; take one of its observables: runs['loss'].")
    for name in source if isinstance(source, Mapping) else source.columns:
        if str(name) in cells:
            raise FitError(f"the table has two columns called '{_short(str(name))}'.")
        cells[str(name)] = _column(source[name], str(name))
    if not cells:
        raise FitError("the table has no columns.")
    return Columns(cells, None)


def _column(values: Any, name: str) -> list[Any]:
    if isinstance(values, np.ma.MaskedArray):
        values = [None if hidden else value for value, hidden in zip(values.data.tolist(), np.ma.getmaskarray(values).tolist())]
    try:
        array = np.asarray(values)
    except (ValueError, TypeError) as error:
        raise FitError(f"column '{_short(name)}' must be a list of numbers; its entries differ in shape.") from error
    if array.ndim != 1:
        raise FitError(f"column '{_short(name)}' must have one dimension; got shape {array.shape}.")
    if array.dtype.kind in "mM":
        raise FitError(f"column '{_short(name)}' holds dates; turn them into numbers, e.g. days since the first.")
    return list(values) if array.dtype.kind in "SU" or isinstance(values, list | tuple) else array.tolist()


def _numbers(cells: Sequence[Any], name: str, where: str, rows: np.ndarray) -> np.ndarray:
    """Return cells as floats, NaN where they are empty, or raise FitError that names the rows that hold something else."""
    out, wrong = np.full(len(cells), np.nan), []
    for i, cell in enumerate(cells):
        if cell is None or (isinstance(cell, str) and cell.strip().lower() in EMPTY):
            continue
        try:
            if isinstance(cell, bool | np.bool_ | complex | list | dict | bytes):
                raise ValueError
            out[i] = float(cell)
        except (ValueError, TypeError, OverflowError):
            wrong.append(i)
    if wrong:
        some = ", ".join(f"row {int(rows[i])}: {_cell(cells[i])}" for i in wrong[:SHOWN])
        raise FitError(f"column '{_short(name)}' of {where} must hold numbers; {len(wrong)} cells do not ({some}).")
    return np.where(np.abs(out) < math.sqrt(np.finfo(float).max), out, np.inf)


def _text(cell: Any) -> str:
    return "" if cell is None or (isinstance(cell, float) and math.isnan(cell)) else str(cell)


def _cell(cell: Any) -> str:
    return repr(cell[:30]) if isinstance(cell, str | bytes) else f"a {type(cell).__name__}"


def _short(name: str) -> str:
    """Return a name for a message: on one line, without control characters, not longer than a line."""
    plain = repr(str(name))[1:-1]
    return plain if len(plain) <= MAX_NAME else plain[:MAX_NAME] + "..."


def _name(source: object) -> str:
    return f"'{source}'" if isinstance(source, str | os.PathLike) else "the table"
