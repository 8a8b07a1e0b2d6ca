"""Whatever is read as a table: finite numbers and an account of every row, or a FitError. An oracle counts the rows."""

import csv
import importlib.util
import io
import json
import math
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jaxscale.fitting.result import FitError
from jaxscale.fitting.table import read_table

SUFFIXES = [".csv", ".tsv", ".txt", ".jsonl", ".json", ".parquet"]
NAMES = ["n", "loss"]
CELLS = st.sampled_from(
    ["1", "2.5", " 3 ", "-1e-3", "", "nan", "inf", "-inf", "1e400", "1e-400", "0x10", "1_000", "1,000", "abc"]
    + ["\u0663", "\u00bd", "None", "-", "--", "+", ".", "'", '"', 'a"b', "a\nb", "\r", "\t", "\u2028", "\x85", "\x0c", "\x00"]
    + ["\ufeff", "9" * 400, "9" * 5000]
) | st.floats().map(repr)  # fmt: skip
PLAIN = st.sampled_from(["1", "2.5", " 3 ", "-1e-3", "007"]) | st.floats(-1e100, 1e100).map(repr)
SNIPPETS = st.sampled_from(
    ["n,loss\n", "n\tloss\n", '"n","loss"\r\n', "\ufeffn,loss\n", '{"n": 1, "loss": 2}\n', "1,2\n", "1\t2\n", '"', "\n"]
    + ["\r", ",", "\t", "{", "}", "[", "]", ":", '"n"', "1", "-", ".", "e", "NaN", "Infinity", "null", "true", " "]
    + ["\\", "\x00", "\x0c", "\u2028", "é", "n", "loss", "\x1e", "1e999", "# ", ";"]
)  # fmt: skip

pytestmark = pytest.mark.slow


def fuzz(examples):
    quiet = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture]
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=quiet)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("fuzz")


def number(cell):
    """A finite float, or NaN for anything else."""
    try:
        value = math.nan if isinstance(cell, bool | list | dict | complex) else float(cell)
    except (ValueError, TypeError, OverflowError):
        value = math.nan
    return value if math.isfinite(value) else math.nan


def rows_of(content, suffix):
    """The rows of a file by the letter of its format, as pairs of numbers; None where it has no such rows."""
    try:
        text = content.decode("utf-8-sig")
        if suffix in (".jsonl", ".json"):
            found = [json.loads(line) for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
            return [tuple(number(row.get(name)) for name in NAMES) for row in found]
        reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if suffix == ".tsv" else ",", strict=True)
        header, *rows = [row for row in reader if len(row) > 1 or "".join(row).strip()]
        at = [[name.strip() for name in header].index(name) for name in NAMES]
        return [tuple(number(row[i]) for i in at) if len(row) == len(header) else None for row in rows]
    except (ValueError, csv.Error, RecursionError, AttributeError, IndexError):
        return None


def read(source):
    """The table, or None where it is refused in words."""
    try:
        return read_table(source, NAMES)
    except FitError as error:
        assert str(error).strip() and len(str(error)) < 5000
    except ModuleNotFoundError as error:
        assert str(source).endswith(".parquet") and not importlib.util.find_spec("pyarrow"), error
    return None


def assert_accounted(table, rows):
    """Finite columns, in order, made of rows of the source; the notes say how many are missing."""
    assert rows is not None, "a malformed source was read as a table"
    assert list(table.columns) == NAMES
    values = np.stack([table.columns[name] for name in NAMES], axis=1)
    assert values.dtype == np.float64 and np.all(np.isfinite(values))
    left_out = sum(int(re.search(r"\d+", note)[0]) for note in table.notes if "left out" in note)
    assert len(values) + left_out == len(rows), f"{len(rows)} rows, {len(values)} read, {left_out} said to be left out"
    remaining = iter(rows)
    assert all(tuple(row) in remaining for row in values.tolist()), "a row that the source does not have"


def check_file(folder, content, suffix):
    path = folder / f"t{suffix}"
    path.write_bytes(content)
    table = read(path)
    if table is not None:
        assert_accounted(table, rows_of(content, suffix))
    return table


@fuzz(500)
@given(
    content=st.binary(max_size=300),
    start=st.sampled_from([b"", b"n,loss\n", b"n\tloss\n", b'{"n":', b"PAR1"]),
    suffix=st.sampled_from(SUFFIXES),
)
def test_random_bytes(folder, content, start, suffix):
    check_file(folder, start + content, suffix)


@fuzz(900)
@given(parts=st.lists(SNIPPETS | st.text(max_size=5), max_size=25), suffix=st.sampled_from(SUFFIXES))
def test_random_text(folder, parts, suffix):
    check_file(folder, "".join(parts).encode("utf-8", "surrogatepass"), suffix)


def valid(suffix):
    """Six rows with one text column and one empty cell."""
    rows = [{"run": f"a{i}", "n": 10**i, "loss": 1 / (1 + i)} for i in range(6)]
    rows[3]["loss"] = None
    if suffix in (".jsonl", ".json"):
        return "".join(json.dumps(row) + "\n" for row in rows).encode()
    text = io.StringIO()
    writer = csv.DictWriter(
        text, ["n", "run", "loss"], delimiter="\t" if suffix == ".tsv" else ",", quoting=csv.QUOTE_NONNUMERIC
    )
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


@pytest.mark.parametrize("suffix", SUFFIXES[:-1])
def test_the_unchanged_file_is_read(folder, suffix):
    table = check_file(folder, valid(suffix), suffix)
    assert len(table) == 5 and table.columns["n"].tolist() == [1, 10, 100, 1e4, 1e5]


@st.composite
def mutated(draw):
    """A valid file with a few bytes or lines gone, doubled, moved or replaced."""
    suffix = draw(st.sampled_from(SUFFIXES[:-1]))
    content = valid(suffix)
    for _ in range(draw(st.integers(1, 4))):
        unit = draw(st.sampled_from([b"", b"\n", b"\t", b",", b'"']))
        pieces = content.split(unit) if unit else [content[i : i + 1] for i in range(len(content))]
        first, last = sorted(draw(st.tuples(*[st.integers(0, len(pieces))] * 2)))
        last = min(last, first + draw(st.integers(0, 3)))
        put = draw(st.sampled_from(["gone", "twice", "reversed", "new", "cut"]))
        middle = {"gone": [], "twice": pieces[first:last] * 2, "reversed": pieces[first:last][::-1], "cut": []}.get(put)
        if middle is None:
            middle = [draw(SNIPPETS | CELLS).encode() or b"0"]
        content = unit.join(pieces[:first] + middle + ([] if put == "cut" else pieces[last:]))
    return content, suffix


@fuzz(900)
@given(case=mutated())
def test_mutated_files(folder, case):
    check_file(folder, *case)


@fuzz(500)
@given(
    cells=st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=8) | st.lists(st.tuples(PLAIN, CELLS, PLAIN), max_size=8),
    suffix=st.sampled_from(SUFFIXES[:-1]),
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_well_formed_files_of_any_cells(folder, cells, suffix, ending):
    """Rows that are numbers throughout must be read, whatever the text beside them."""
    if suffix in (".jsonl", ".json"):
        content = "".join(json.dumps(dict(zip(["n", "run", "loss"], row)), ensure_ascii=False) + ending for row in cells)
    else:
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter="\t" if suffix == ".tsv" else ",", lineterminator=ending, quoting=csv.QUOTE_ALL)
        writer.writerows([["n", "run", "loss"], *cells])
        content = text.getvalue()
    table = check_file(folder, content.encode(), suffix)
    numbers = [cell for n, _, loss in cells for cell in (n, loss)]
    if cells and all(math.isfinite(number(cell)) and cell.isascii() and "_" not in cell for cell in numbers):
        assert table is not None, "a good table was refused"


VALUES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4) | CELLS | st.binary(max_size=3)
    | st.complex_numbers() | st.dates() | st.datetimes() | st.decimals() | st.fractions() | st.lists(st.integers(), max_size=2)
    | st.dictionaries(st.text(max_size=1), st.integers(), max_size=1)
    | st.sampled_from([10**400, -(10**5000), 2**63, 2**64, -(2**63) - 1, object(), float, np.float32(1e30), np.int8(3)])
)  # fmt: skip
COLUMNS = (
    st.lists(st.floats() | st.integers(), max_size=6)
    | st.lists(VALUES, max_size=6)
    | st.lists(CELLS, max_size=6)
    | st.lists(st.floats(width=32), max_size=6).map(lambda c: np.array(c, np.float32))
    | st.lists(st.integers(0, 2**64 - 1), max_size=6).map(lambda c: np.array(c, np.uint64))
    | st.lists(VALUES, max_size=6).map(tuple)
)


@fuzz(700)
@given(length=st.integers(0, 6), columns=st.tuples(COLUMNS, COLUMNS), extra=COLUMNS, key=st.sampled_from(["x", "n ", 0, None]))
def test_random_mappings(length, columns, extra, key):
    """Mostly columns of equal lengths."""
    n, loss = (column[:length] for column in columns)
    table = read({"n": n, key: extra, "loss": loss})
    if table is not None:
        assert len(n) == len(loss), "columns of different lengths were read"
        assert_accounted(table, [(number(a), number(b)) for a, b in zip(n, loss)])
