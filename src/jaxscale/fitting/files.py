"""Read the cells of table files, with the lines they stand on. What is not a table is refused, never repaired."""

import csv
import io
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

from jaxscale.fitting.result import FitError

MAX_BYTES = 512 * 2**20


class Columns(NamedTuple):
    """Hold {name: cells} of a table, and the line of each row; None for columns in memory."""

    cells: dict[str, list[Any]]
    rows: list[int] | None


def read_columns(path: Path) -> Columns:
    """Read all cells of a .csv, .tsv, .txt, .jsonl, .ndjson, .json or .parquet file.

    Raises:
      FitError: no such file, too large, another kind, or malformed.
    """
    try:
        size = path.stat().st_size
    except (OSError, ValueError) as error:
        raise FitError(f"{str(path)!r} cannot be read: {getattr(error, 'strerror', None) or error}.") from error
    if size > MAX_BYTES:
        raise FitError(
            f"'{path}' has {size / 1e9:.2g} GB; fits take tables of runs, up to {MAX_BYTES / 1e9:.2g} GB. Select rows first."
        )
    kind = path.suffix.lower()
    if kind in (".parquet", ".pq"):
        return _parquet(path)
    if kind not in (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json"):
        raise FitError(f"'{path}' must be a .csv, .tsv, .jsonl or .parquet file.")
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (UnicodeDecodeError, OSError) as error:
        raise FitError(f"'{path}' is not UTF-8 text ({error}).") from error
    return _json_lines(text, path) if kind in (".jsonl", ".ndjson", ".json") else _csv(text, path, kind)


def _csv(text: str, path: Path, kind: str) -> Columns:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if kind == ".tsv" else ",", strict=True)
    rows, lines, line = [], [], 1
    try:
        for row in reader:
            if row:
                rows.append(row)
                lines.append(line)
            line = reader.line_num + 1
    except csv.Error as error:
        raise FitError(f"'{path}' is not a table: line {line}: {error}.") from error
    if not rows:
        raise FitError(f"'{path}' is empty.")
    header = [name.strip() for name in rows[0]]
    if repeated := sorted(name for name, count in Counter(header).items() if count > 1 and name):
        raise FitError(f"'{path}' has two columns called {repeated[0][:40]!r}.")
    for number, row in zip(lines[1:], rows[1:]):
        if len(row) != len(header):
            raise FitError(f"'{path}' row {number} has {len(row)} cells and the header {len(header)}.")
    return Columns(dict(zip(header, map(list, zip(*rows[1:])))) if rows[1:] else {name: [] for name in header}, lines[1:])


def _json_lines(text: str, path: Path) -> Columns:
    rows: list[dict[str, Any]] = []
    lines = []
    for number, line in enumerate(re.split("\r\n|\n|\r", text), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, object_pairs_hook=_once)
        except (ValueError, RecursionError) as error:
            raise FitError(f"'{path}' line {number} is not JSON ({str(error)[:200]}).") from error
        if not isinstance(row, dict):
            raise FitError(f"'{path}' line {number} must be an object of columns; got {type(row).__name__}.")
        rows.append(row)
        lines.append(number)
    if not rows:
        raise FitError(f"'{path}' is empty.")
    names = dict.fromkeys(key for row in rows for key in row)
    return Columns({name: [row.get(name) for row in rows] for name in names}, lines)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return the dictionary of a JSON object, or raise ValueError where a name stands twice."""
    cells = dict(pairs)
    if len(cells) != len(pairs):
        name = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise ValueError(f"{name[:40]!r} stands twice")
    return cells


def _parquet(path: Path) -> Columns:
    try:
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise ModuleNotFoundError("reading parquet needs pyarrow: pip install 'jaxscale[parquet]'.") from None
    try:
        cells = pyarrow.parquet.read_table(path).to_pydict()
    except Exception as error:  # pyarrow's own errors are of many kinds
        raise FitError(f"'{path}' is not a parquet file ({error}).") from error
    return Columns(cells, list(range(1, 1 + len(next(iter(cells.values()), ())))))
