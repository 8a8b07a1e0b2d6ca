"""Tables of runs from anywhere: CSV, TSV, JSON lines, parquet, or columns in memory. Nothing is dropped without being said."""

import csv
import dataclasses
import difflib
import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from jaxscale.fit.result import FitError

MOST_BYTES = 512 * 2**20
EMPTY = ("", "nan", "na", "n/a", "null", "none", "-")


@dataclasses.dataclass(frozen=True)
class Table:
    """Numeric columns of equal length, and what was left out on the way."""

    columns: dict[str, np.ndarray]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def take(self, rows: np.ndarray, note: str = "") -> "Table":
        """Some of the rows, with a note."""
        notes = (*self.notes, note) if note else self.notes
        return Table({name: values[rows] for name, values in self.columns.items()}, notes)


def read_table(source: Any, names: Sequence[str], *, labels: Sequence[str] = ()) -> Table:
    """The named columns of a table, as floats.

    Args:
      source: path of a .csv, .tsv, .jsonl, .ndjson or .parquet file, or a mapping of columns (a DataFrame is one).
      names: columns that must be numbers. Rows in which one is empty or NaN are left out, and said so.
      labels: columns that may be text (run names); they come back as whole numbers, one for each text.

    Raises:
      FitError: no such file, a malformed file, a missing column (with the nearest name), text where a number must be (with
        the rows), columns of different lengths.
    """
    rows, offset = (
        (_of_mapping(source), 0) if isinstance(source, Mapping) or hasattr(source, "columns") else _of_file(Path(source))
    )
    if not rows:
        raise FitError(f"{_name(source)} has no columns.")
    for name in (*names, *labels):
        if name not in rows:
            near = difflib.get_close_matches(name, list(rows), n=1, cutoff=0.4)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise FitError(f"{_name(source)} has no column '{name}'; it has {sorted(rows)[:20]}.{hint}")
    if len(lengths := {len(rows[name]) for name in (*names, *labels)}) != 1:
        raise FitError(f"the columns of {_name(source)} have different lengths: {sorted(lengths)}.")
    columns = {name: _numbers(rows[name], name, source, offset) for name in names}
    columns |= {name: np.unique([str(v) for v in rows[name]], return_inverse=True)[1].astype(float) for name in labels}
    table = Table(columns)
    bad = ~np.all([np.isfinite(columns[name]) for name in names], axis=0) if names else np.zeros(len(table), bool)
    if bad.any():
        table = table.take(~bad, f"{int(bad.sum())} of {len(bad)} rows have an empty or infinite cell and are left out")
    return table


def _of_mapping(source):
    return {
        str(name): np.asarray(source[name]).reshape(-1).tolist()
        for name in (source if isinstance(source, Mapping) else source.columns)
    }


def _of_file(path):
    """({column: cells}, number of the first data row in the file)."""
    try:
        size = path.stat().st_size
    except OSError as error:
        raise FitError(f"'{path}' cannot be read: {error.strerror}.") from error
    if size > MOST_BYTES:
        raise FitError(
            f"'{path}' has {size / 1e9:.2g} GB; fits take tables of runs, up to {MOST_BYTES / 1e9:.2g} GB. Select rows first."
        )
    kind = path.suffix.lower()
    if kind in (".parquet", ".pq"):
        return _parquet(path), 1
    if kind not in (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json"):
        raise FitError(f"'{path}' must be a .csv, .tsv, .jsonl or .parquet file.")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise FitError(f"'{path}' is not UTF-8 text ({error}).") from error
    return (_json_lines(text, path), 1) if kind in (".jsonl", ".ndjson", ".json") else (_csv(text, path, kind), 2)


def _csv(text, path, kind):
    try:
        rows = [row for row in csv.reader(text.splitlines(), delimiter="\t" if kind == ".tsv" else ",") if row]
    except csv.Error as error:
        raise FitError(f"'{path}' is not a table: {error}.") from error
    if not rows:
        raise FitError(f"'{path}' is empty.")
    header = [name.strip() for name in rows[0]]
    if repeated := sorted({name for name in header if header.count(name) > 1 and name}):
        raise FitError(f"'{path}' has two columns called '{repeated[0]}'.")
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header):
            raise FitError(f"'{path}' row {number} has {len(row)} cells and the header {len(header)}.")
    return {name: [row[i] for row in rows[1:]] for i, name in enumerate(header)}


def _json_lines(text, path):
    found: list[dict[str, Any]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise FitError(f"'{path}' line {number} is not JSON ({error}).") from error
        if not isinstance(row, dict):
            raise FitError(f"'{path}' line {number} must be an object of columns; got {type(row).__name__}.")
        found.append(row)
    if not found:
        raise FitError(f"'{path}' is empty.")
    return {name: [row.get(name) for row in found] for name in dict.fromkeys(key for row in found for key in row)}


def _parquet(path):
    try:
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise ModuleNotFoundError("reading parquet needs pyarrow: pip install 'jaxscale[parquet]'.") from None
    try:
        return pyarrow.parquet.read_table(path).to_pydict()
    except Exception as error:  # pyarrow's own errors are of many kinds
        raise FitError(f"'{path}' is not a parquet file ({error}).") from error


def _numbers(cells, name, source, offset):
    out, wrong = np.full(len(cells), np.nan), []
    for i, cell in enumerate(cells):
        if cell is None or (isinstance(cell, str) and cell.strip().lower() in EMPTY):
            continue
        try:
            if isinstance(cell, bool | complex | list | dict):
                raise ValueError
            out[i] = float(cell)
        except (ValueError, TypeError, OverflowError):
            wrong.append(i)
    if wrong:
        shown = ", ".join(f"row {i + offset}: {str(cells[i])[:30]!r}" for i in wrong[:5])
        raise FitError(f"column '{name}' of {_name(source)} must hold numbers; {len(wrong)} cells do not ({shown}).")
    return np.where(np.abs(out) < math.sqrt(np.finfo(float).max), out, np.inf)


def _name(source):
    return f"'{source}'" if isinstance(source, str | os.PathLike) else "the table"
