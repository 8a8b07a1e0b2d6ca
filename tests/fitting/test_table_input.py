"""Bad input to fits: a clear refusal or a reason on the fit, never a silent drop, never a fit on garbage."""

import csv
import datetime
import importlib.util
import io
import json
import os
import pickle
import re

import numpy as np
import pandas as pd
import pytest
import xarray

from jaxscale.cli import main
from jaxscale.cli.codes import BAD_INPUT, OK
from jaxscale.fitting import files
from jaxscale.fitting.curve_fit import FitError, fit
from jaxscale.fitting.laws import power
from jaxscale.fitting.table import read_table

N = np.geomspace(1e3, 1e9, 12)  # every fit here keeps twelve rows, so that they share their programs
LOSS = 3 * N**-0.3
SUFFIXES = ("csv", "tsv", "jsonl")
REFUSED = ["0x10", "1,000", "$3", "5%", "True", "abc", "1e", "--1", "½", "1 000", "2024-01-01", "[1]", "\u22125", "3\u200b"]
LEFT_OUT = ["", "  ", "nan", "NaN", "-nan", "NA", "null", "inf", "-Infinity", "1e400", "-1e400", "9" * 5000]
READ = {" 3 ": 3, "+3": 3, "3.": 3, ".5": 0.5, "3e0": 3, "1_000": 1000, "\u0663": 3, "\uff13": 3, "\u00a03": 3}
MAY_BE_REFUSED = ("1_000", "\u0663", "\uff13", "\u00a03")


def quick(data, **options):
    return fit(power.LAW, data, **{"x": "n", "y": "loss", "resamples": 20} | options)


def rows_with(**cells):
    """The twelve good rows and, as fifth, one more: its cells as given."""
    rows = [{"n": repr(float(n)), "loss": repr(float(y)), "w": "1"} for n, y in zip(N, LOSS)]
    return [*rows[:4], {"n": "5e4", "loss": "0.1", "w": "1"} | cells, *rows[4:]]


def columns_with(**cells):
    rows = rows_with(**cells)
    return {name: [row[name] for row in rows] for name in rows[0]}


def written(path, rows):
    """A list of rows as CSV, TSV or JSON lines, by the suffix."""
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".jsonl":
            file.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            writer = csv.DictWriter(file, list(rows[4]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path


def text(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def numbers(message):
    return [int(found) for found in re.findall(r"\d+", message)]


def left_out(notes):
    return sum(numbers(note)[0] for note in notes if "left out" in note)


def command(path, *more, x="n", y="loss"):
    return main(["fit", str(path), "--law", "power", "--x", x, "--y", y, "--bootstrap", "20", *more])


def assert_right(found):
    """The power law of the twelve good rows, and nothing else."""
    np.testing.assert_allclose(np.sort(found.x), N)
    np.testing.assert_allclose(np.sort(found.y)[::-1], LOSS)
    assert found["exponent"].value == pytest.approx(0.3, abs=1e-6)


# columns


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("asked, meant", [("los", "loss"), ("Loss", "loss"), ("n_param", "n_params"), ("nparams", "n_params")])
def test_a_misspelt_column_is_refused_with_the_nearest_name(tmp_path, suffix, asked, meant):
    path = written(tmp_path / f"t.{suffix}", rows_with(n_params="1"))
    with pytest.raises(FitError, match=f"no column '{asked}'.*'{meant}'\\?"):
        read_table(path, ["n", asked])
    with pytest.raises(FitError, match=f"no column '{asked}'.*'{meant}'\\?"):
        quick(path, cluster=asked)


def test_a_missing_column_is_refused_with_what_there_is():
    with pytest.raises(FitError, match=r"no column 'tokens'.*'loss'.*'n'"):
        quick({"n": N, "loss": LOSS}, weight="tokens")
    with pytest.raises(FitError, match="no columns"):
        read_table({}, ["n"])


WEIRD = ["loss (nats/token)", "n,params", "Größe", "%s{0}", "__class__", 'the "n"', "损失", "a b\tc", "'", "line\nbreak"]


@pytest.mark.parametrize("name", WEIRD)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_any_name_is_a_column(tmp_path, suffix, name):
    path = written(tmp_path / f"t.{suffix}", rows_with(**{name: "7"})[4:5] * 5)
    assert read_table(path, ["n", name]).columns[name].tolist() == [7] * 5


@pytest.mark.parametrize("content", ["n,loss,n\n1,2,3\n", "n,loss, n \n1,2,3\n"])
def test_two_columns_of_one_name_are_refused(tmp_path, content):
    with pytest.raises(FitError, match="'n'"):
        read_table(text(tmp_path / "t.csv", content), ["n", "loss"])


def test_two_values_of_one_name_in_a_json_row_are_refused(tmp_path):
    with pytest.raises(FitError, match="'n'"):
        read_table(text(tmp_path / "t.jsonl", '{"n": 1, "n": 2}\n'), ["n"])


def test_keys_that_read_alike_are_refused():
    with pytest.raises(FitError, match="'0'"):
        read_table({0: [1.0], "0": [2.0]}, ["0"])


def test_columns_of_different_lengths_or_shapes_are_refused():
    with pytest.raises(FitError, match=r"different lengths: \[11, 12\]"):
        quick({"n": N, "loss": LOSS[1:]})
    with pytest.raises(FitError):
        read_table({"n": N.reshape(3, 4), "loss": LOSS.reshape(4, 3)}, ["n", "loss"])


@pytest.mark.parametrize("x", [["n", "loss"], [], {"y": "n"}, {}])
def test_a_wrong_number_of_inputs_is_refused(x):
    with pytest.raises(FitError, match="'power' takes"):
        quick({"n": N, "loss": LOSS}, x=x)


def test_a_table_needs_y():
    with pytest.raises(FitError, match="y="):
        quick({"n": N, "loss": LOSS}, y=None)


# cells


@pytest.mark.parametrize("cell", REFUSED)
@pytest.mark.parametrize("suffix, row", [("csv", 6), ("tsv", 6), ("jsonl", 5)])
def test_text_is_refused_with_its_row(tmp_path, suffix, row, cell):
    path = written(tmp_path / f"t.{suffix}", rows_with(loss=cell))
    with pytest.raises(FitError, match=f"column 'loss'.*1 cells.*row {row}\\b") as error:
        quick(path)
    assert repr(cell) in str(error.value)


@pytest.mark.parametrize("cell", [True, [1.0], {"a": 1}, "1+2j"])
def test_json_that_is_no_number_is_refused_with_its_row(tmp_path, cell):
    with pytest.raises(FitError, match="column 'loss'.*row 5"):
        read_table(written(tmp_path / "t.jsonl", rows_with(loss=cell)), ["n", "loss"])


@pytest.mark.parametrize(
    "cells",
    [
        [1.0, "x", 3.0], [1.0, 1j, 3.0], [1.0, True, 3.0], [1.0, [2.0], 3.0], [1.0, {}, 3.0], [b"1", "x", b"\xff"],
        [1.0, datetime.date(2024, 1, 1), 3.0], np.array(["2024-01-01"] * 3, "datetime64[ns]"),
        np.array([1, 2, 3], "timedelta64[ns]"), [1, 10**5000, 3], [1, 10**400, 3], [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]],
    ],
    ids=lambda cells: f"{type(cells).__name__} of {type(cells[1]).__name__}",
)  # fmt: skip
def test_what_is_no_number_in_memory_is_refused(cells):
    with pytest.raises(FitError, match="'loss'"):
        read_table({"n": np.arange(3.0) + 1, "loss": cells}, ["n", "loss"])


@pytest.mark.parametrize("cell", LEFT_OUT)
@pytest.mark.parametrize("column", ["n", "loss", "w"])
def test_a_cell_without_a_finite_number_leaves_its_row_out_and_is_said(cell, column):
    found = quick(columns_with(**{column: cell}), weight="w")
    assert_right(found)
    assert left_out(found.reasons) == 1 and all(np.isfinite(e.value) for e in found.estimates.values())


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("cell", LEFT_OUT)
def test_a_row_of_a_file_is_left_out_and_said(tmp_path, suffix, cell):
    read = read_table(written(tmp_path / f"t.{suffix}", rows_with(loss=cell)), ["n", "loss"])
    assert len(read) == 12 and left_out(read.notes) == 1
    np.testing.assert_allclose(read.columns["loss"], LOSS)


@pytest.mark.parametrize("cell", READ)
def test_a_number_however_written_is_that_number_or_refused(tmp_path, cell):
    path = written(tmp_path / "t.csv", rows_with(loss=cell))
    try:
        assert read_table(path, ["loss"]).columns["loss"][4] == READ[cell]
    except FitError as error:
        assert "row 6" in str(error) and cell in MAY_BE_REFUSED


@pytest.mark.parametrize("missing", [None, float("nan"), np.nan, pd.NaT, pd.NA, float("inf")])
def test_missing_values_in_memory_are_left_out_or_refused(missing):
    try:
        read = read_table({"n": [*N, 1.0], "loss": [*LOSS, missing]}, ["n", "loss"])
    except FitError as error:
        assert "'loss'" in str(error)
    else:
        assert len(read) == 12 and left_out(read.notes) == 1


def test_masked_values_never_enter():
    masked = np.ma.masked_array([*LOSS, 999.0], [False] * 12 + [True])
    found = quick({"n": [*N, 5e4], "loss": masked})
    assert_right(found)
    assert left_out(found.reasons) == 1


def test_a_missing_json_cell_is_left_out_and_said(tmp_path):
    rows = rows_with()
    del rows[4]["loss"]
    rows[0]["extra"] = None
    found = quick(text(tmp_path / "t.jsonl", "\n".join(map(json.dumps, rows))))
    assert_right(found)
    assert left_out(found.reasons) == 1


@pytest.mark.parametrize("suffix, row", [("csv", 6), ("jsonl", 5)])
def test_the_rows_left_out_are_numbered(tmp_path, suffix, row):
    read = read_table(written(tmp_path / f"t.{suffix}", rows_with(loss="")), ["n", "loss"])
    assert row in numbers(read.notes[0]), read.notes


def test_many_bad_cells_are_counted_and_the_message_stays_short():
    with pytest.raises(FitError, match="12 cells") as error:
        read_table({"n": ["x" * 100_000] * 12}, ["n"])
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("content", ["x" * 100_000 + "\n1\n", ",".join(f"column{i}" for i in range(20_000)) + "\n"])
def test_a_file_that_is_one_long_line_is_refused_in_short(tmp_path, content):
    with pytest.raises(FitError) as error:
        read_table(text(tmp_path / "t.csv", content), ["loss"])
    assert len(str(error.value)) < 3000


def test_a_very_long_cell_is_refused(tmp_path):
    with pytest.raises(FitError) as error:
        read_table(text(tmp_path / "t.csv", "n,loss\n1," + "7x" * 200_000 + "\n"), ["n", "loss"])
    assert len(str(error.value)) < 1000


@pytest.mark.parametrize("blank", ["\n", "\n\n\n"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_blank_lines_are_skipped_and_rows_still_numbered_as_in_the_file(tmp_path, suffix, blank):
    body = written(tmp_path / f"good.{suffix}", rows_with(loss="oops")).read_text().splitlines()
    path = text(tmp_path / f"t.{suffix}", body[0] + "\n" + blank + "\n".join(body[1:]) + "\n\n")
    line = next(i for i, row in enumerate(path.read_text().splitlines(), 1) if "oops" in row)
    with pytest.raises(FitError, match=rf"row {line}\b"):
        read_table(path, ["n", "loss"])


# values a law cannot take


@pytest.mark.parametrize("column, cell", [("n", "-5e4"), ("n", "0"), ("n", "-0.0"), ("loss", "-1e-3"), ("loss", "-1e-320")])
def test_no_logarithm_of_what_is_not_positive(tmp_path, column, cell):
    path = written(tmp_path / "t.csv", rows_with(**{column: cell}))
    with pytest.raises(FitError, match=f"'{column}'.*positive") as error:
        quick(path)
    assert 6 in numbers(str(error.value)), f"the file has it in row 6: {error.value}"


def test_rows_are_numbered_as_in_the_file_also_after_others_are_left_out(tmp_path):
    rows = rows_with(loss="-1")
    rows[1]["loss"] = ""
    with pytest.raises(FitError) as error:
        quick(written(tmp_path / "t.csv", rows))
    assert 6 in numbers(str(error.value)), f"the file has it in row 6: {error.value}"


def test_the_way_out_offered_for_an_x_that_is_not_positive_is_one():
    """space='raw' does not help a scale of zero, so it must not be offered."""
    with pytest.raises(FitError, match="'n'") as error:
        quick(columns_with(n="0"), space="raw")
    assert "space='raw'" not in str(error.value)


def test_failed_runs_of_zero_loss_are_left_out_and_said():
    found = quick(columns_with(loss="0"))
    assert_right(found)
    assert left_out(found.reasons) == 1 and any("loss = 0" in reason for reason in found.reasons)
    with pytest.raises(FitError, match="'loss'.*positive"):
        quick({"n": N, "loss": np.zeros(12)})


def test_repeated_rows_are_said():
    twice = quick({"n": [*N[:-1], N[0]], "loss": [*LOSS[:-1], LOSS[0]]})
    assert any("repeat" in reason and 1 in numbers(reason) for reason in twice.reasons) and len(twice.y) == 12
    again = quick({"n": [*N[:-1], N[0]], "loss": [*LOSS[:-1], 1.01 * LOSS[0]]})
    assert not any("repeat" in reason for reason in again.reasons)


@pytest.mark.parametrize("keep", [0, 1, 2])
def test_fewer_points_than_parameters_are_refused(keep):
    with pytest.raises(FitError, match="point|single"):
        quick({"n": N[:keep], "loss": LOSS[:keep]})
    with pytest.raises(FitError, match="point|single"):
        quick({"n": np.repeat(N[:keep], 6), "loss": np.repeat(LOSS[:keep], 6)})


def test_points_without_weight_are_no_points():
    for count in (1, 2):
        with pytest.raises(FitError, match="point|single|weight"):
            quick({"n": N, "loss": LOSS, "w": [0.0] * (12 - count) + [1.0] * count}, weight="w")


@pytest.mark.parametrize("weights", [np.zeros(12), -np.ones(12), np.r_[-1e-9, np.ones(11)]])
def test_bad_weights_are_refused(weights):
    with pytest.raises(FitError, match="'w'"):
        quick({"n": N, "loss": LOSS, "w": weights}, weight="w")


def test_a_refusal_says_that_rows_were_left_out():
    with pytest.raises(FitError, match="loss|left out"):
        quick({"n": N, "loss": [None] * 10 + [1.0, 2.0]})


def test_a_single_x_is_refused():
    with pytest.raises(FitError, match="'n' has a single value, 7"):
        quick({"n": [7] * 12, "loss": LOSS})


@pytest.mark.parametrize("root", range(8))
def test_a_loss_that_does_not_vary_is_a_failure(root):
    found = quick({"n": N, "loss": [np.random.default_rng(root).uniform(0.1, 10)] * 12})
    assert found.status == "failed", f"r2 = {found.goodness['r2']} of a constant"


@pytest.mark.parametrize("suffix", [*SUFFIXES, "memory", "array"])
def test_whole_numbers_beyond_64_bits_are_floats(tmp_path, suffix):
    n = [10 ** (7 + i // 3) * (1, 2, 5)[i % 3] for i in range(12)]
    flops = [6 * k * 20 * k for k in n]
    assert max(flops) > 2**64
    rows = [{"n": c, "loss": 3 * float(c) ** -0.3} for c in flops]
    data = {name: [row[name] for row in rows] for name in ("n", "loss")}
    if suffix == "array":
        data["n"] = np.array(flops, dtype=object)
    found = quick(data if suffix in ("memory", "array") else written(tmp_path / f"t.{suffix}", rows))
    assert found.x.tolist() == [float(c) for c in flops]
    assert found["exponent"].value == pytest.approx(0.3, abs=1e-6) and found.status == "ok"


def test_order_does_not_matter():
    noisy = LOSS * np.exp(0.05 * np.random.default_rng(1).normal(size=12))
    order = np.random.default_rng(0).permutation(12)
    found, shuffled = quick({"n": N, "loss": noisy}), quick({"n": N[order], "loss": noisy[order]})
    assert shuffled.status == found.status and shuffled.reasons == found.reasons
    for name in found.estimates:
        assert shuffled[name].value == pytest.approx(found[name].value, rel=1e-8)
        assert shuffled[name].window == pytest.approx(found[name].window, rel=1e-6)
    assert shuffled.goodness == pytest.approx(found.goodness, rel=1e-6)


# runs


def test_clusters_are_counted_after_rows_are_left_out(tmp_path):
    rows = rows_with(loss="nan", run="gone")
    for i, row in enumerate(row for row in rows if "run" not in row):
        row["run"] = "abcdef"[i // 2]
    found = quick(written(tmp_path / "t.csv", rows), cluster="run")
    assert found.how["units"] == 6 and left_out(found.reasons) == 1
    assert_right(found)


@pytest.mark.parametrize("column", ["n", "loss", "w"])
def test_a_cluster_column_that_is_also_fitted_keeps_its_numbers(column):
    found = quick({"n": N, "loss": LOSS, "w": np.ones(12) + np.arange(12) % 3}, cluster=column, weight="w")
    assert_right(found)
    assert np.all(found.weight >= 1)


def test_rows_without_a_run_are_not_silently_one_run(tmp_path):
    rows = [row | {"run": "" if i < 6 else str(i)} for i, row in enumerate(rows_with())]
    try:
        found = quick(written(tmp_path / "t.csv", rows), cluster="run")
    except FitError as error:
        assert "'run'" in str(error)
    else:
        assert any("run" in reason for reason in found.reasons)


def test_one_run_cannot_be_resampled():
    with pytest.raises(FitError, match="'run'"):
        quick({"n": N, "loss": LOSS, "run": ["a"] * 12}, cluster="run")


# files


def good_csv(newline="\n", separator=",", quote=""):
    lines = [["n", "loss"], *([repr(float(a)), repr(float(b))] for a, b in zip(N, LOSS))]
    return newline.join(separator.join(f"{quote}{cell}{quote}" for cell in line) for line in lines) + newline


@pytest.mark.parametrize(
    "file, content",
    [
        ("bom.csv", "\ufeff" + good_csv()),
        ("crlf.csv", good_csv("\r\n")),
        ("cr.csv", good_csv("\r")),
        ("quoted.csv", good_csv(quote='"')),
        ("bom, crlf, quoted.csv", "\ufeff" + good_csv("\r\n", quote='"')),
        ("spaced.csv", good_csv(separator=" , ")),
        ("no last newline.csv", good_csv().rstrip("\n")),
        ("blank lines.csv", good_csv("\n\n")),
        ("tabs.tsv", good_csv(separator="\t")),
        ("tabs.TSV", "\ufeff" + good_csv("\r\n", "\t", '"')),
        ("commas.txt", good_csv()),
        ("trailing.csv", good_csv(",\n")),
    ],
)
def test_dialects(tmp_path, file, content):
    path = text(tmp_path / file, content)
    for source in (path, str(path)):
        read = read_table(source, ["n", "loss"])
        assert read.notes == ()
        np.testing.assert_allclose([read.columns["n"], read.columns["loss"]], [N, LOSS], rtol=1e-15)


@pytest.mark.parametrize("line", ["\r\n", "\n\n"])
@pytest.mark.parametrize("start", ["", "\ufeff"])
def test_json_lines_dialects(tmp_path, line, start):
    rows = [{"n": float(n), "loss": float(y)} for n, y in zip(N, LOSS)]
    read = read_table(text(tmp_path / "t.ndjson", start + line.join(map(json.dumps, rows))), ["n", "loss"])
    assert read.columns["n"].tolist() == N.tolist() and read.notes == ()


@pytest.mark.parametrize("mark", ["\u2028", "\x85", "\x0c", "\x1e"])
def test_only_line_ends_end_lines(tmp_path, mark):
    """Some characters are line ends to Python alone; in a name of a run they are text."""
    rows = [{"n": "1", "run": f"a{mark}b"}] * 6
    for suffix in SUFFIXES:
        path = written(tmp_path / f"t.{suffix}", rows)
        if suffix == "jsonl":
            text(path, "\n".join(json.dumps(row, ensure_ascii=mark < " ") for row in rows))
        assert len(read_table(path, ["n"], labels=["run"])) == 6, suffix


@pytest.mark.parametrize(
    "file, content, message",
    [
        ("t.csv", "", "empty"),
        ("t.csv", "\n\n", "empty"),
        ("t.csv", "\ufeff", "empty"),
        ("t.jsonl", "\n", "empty"),
        ("t.csv", "n,loss\n1,2\n3\n", "row 3 has 1 cells and the header 2"),
        ("t.csv", "n,loss\n1,2,3\n", "row 2 has 3 cells"),
        ("t.csv", "n;loss\n1;2\n", "no column 'n'"),
        ("t.csv", "n\tloss\n1\t2\n", "no column 'n'"),
        ("t.csv", "# made by hand\nn,loss\n1,2\n", "no column 'n'|row"),
        ("t.csv", good_csv().encode("utf-16"), "UTF-8"),
        ("t.csv", b"n,loss\n\xff,2\n", "UTF-8"),
        ("t.csv", b"n,loss\n1\x00,2\n", "t.csv"),
        ("t.csv", b"\x89PNG\r\n\x1a\n\x00\x00", "t.csv"),
        ("t.jsonl", '{"n": 1, "loss": 2}\n{"n": 1, "loss"', "line 2 is not JSON"),
        ("t.jsonl", '{"n": 1, "loss": 2} {"n": 1, "loss": 2}\n', "line 1 is not JSON"),
        ("t.jsonl", "n,loss\n1,2\n", "line 1 is not JSON"),
        ("t.jsonl", "[1, 2]\n", "line 1 must be an object.*list"),
        ("t.jsonl", "null\n", "line 1 must be an object"),
        ("t.jsonl", "{}\n", "no columns|no column 'n'"),
        ("t.jsonl", '{"n": ' + "[" * 100_000, "line 1 is not JSON"),
        ("t.jsonl", '{"n": ' + "9" * 5000 + "}", "t.jsonl"),
        ("t.json", '{"n": [1, 2], "loss": [1, 2]}', "'n'"),
        ("t.json", '[\n{"n": 1, "loss": 2}\n]\n', "line 1"),
        ("t.xlsx", b"PK\x03\x04", ".csv"),
        ("t", "n,loss\n1,2\n", ".csv"),
        ("t.csv.gz", b"\x1f\x8b", ".csv"),
    ],
)
def test_malformed_files_are_refused(tmp_path, file, content, message):
    with pytest.raises(FitError, match=message) as error:
        read_table(text(tmp_path / file, content), ["n", "loss"])
    assert file in str(error.value)


@pytest.mark.parametrize(
    "content",
    [
        'n,loss,run\n1,2,"a\n3,4,b\n5,6,c\n',
        'n,loss,run\n1,2,a\n3,4,"b\n5,6,c',
        'n,loss,run\n1,2,"a"b\n3,4,c\n',
        'n,loss\n"1"5,2\n3,4\n',
        'n,loss\n"1,2\n3",4\n',
    ],
    ids=["quote never closed", "quote never closed at the end", "text after a quote", "digits after a quote", "two lines"],
)
@pytest.mark.parametrize("suffix", ["csv", "tsv"])
def test_broken_quotes_swallow_no_rows(tmp_path, suffix, content):
    content = content.replace(",", "\t") if suffix == "tsv" else content
    with pytest.raises(FitError):
        read_table(text(tmp_path / f"t.{suffix}", content), ["n", "loss"])


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(64) + b"PAR1", good_csv().encode()])
def test_bad_parquet(tmp_path, content):
    error = FitError if importlib.util.find_spec("pyarrow") else ModuleNotFoundError
    with pytest.raises(error, match="parquet"):
        read_table(text(tmp_path / "t.parquet", content), ["n", "loss"])


def test_good_parquet(tmp_path):
    pytest.importorskip("pyarrow")
    from pyarrow import parquet, table

    rows = rows_with(loss=None)
    parquet.write_table(table({name: [row[name] for row in rows] for name in ("n", "loss")}), tmp_path / "t.parquet")
    read = read_table(tmp_path / "t.parquet", ["n", "loss"])
    assert len(read) == 12 and left_out(read.notes) == 1
    np.testing.assert_allclose(read.columns["loss"], LOSS)


@pytest.mark.parametrize("suffix", [*SUFFIXES, "parquet"])
def test_a_huge_file_is_refused_unread(tmp_path, monkeypatch, suffix):
    path = text(tmp_path / f"t.{suffix}", good_csv())
    monkeypatch.setattr(files, "MAX_BYTES", path.stat().st_size - 1)
    with pytest.raises(FitError, match="GB.*[Ss]elect"):
        read_table(path, ["n", "loss"])


@pytest.mark.parametrize("name", ["absent.csv", "", "no/such/folder.csv", "a" * 5000 + ".csv", "nul\0.csv"])
def test_a_file_that_is_not_there_is_refused(tmp_path, name):
    with pytest.raises(FitError):
        read_table(os.path.join(tmp_path, name), ["n"])


def test_a_folder_is_refused(tmp_path):
    (tmp_path / "t.csv").mkdir()
    with pytest.raises(FitError, match="t.csv"):
        read_table(tmp_path / "t.csv", ["n"])


@pytest.mark.parametrize(
    "source",
    [None, 5, [{"n": 1.0, "loss": 2.0}], np.ones((12, 2)), io.StringIO("n,loss\n1,2\n"), b"t.csv"],
    ids=lambda source: type(source).__name__,
)
def test_a_source_that_is_no_table_is_refused(source):
    with pytest.raises(FitError):
        read_table(source, ["n", "loss"])


def test_a_dataset_is_refused_or_fitted():
    """Results of sweeps are Datasets; a variable of one is what can be fitted."""
    try:
        assert_right(quick(xarray.Dataset({"loss": ("n", LOSS)}, {"n": N})))
    except FitError as error:
        assert "Dataset" in str(error) or "loss" in str(error)


class Bomb:
    """Unpickled, it leaves a folder behind."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("suffix", ["pkl", "pickle", "npy", "npz", "pt", "joblib", "csv", "jsonl", "parquet", "pkl.csv", "txt"])
def test_no_pickle_is_ever_loaded(tmp_path, suffix):
    path, bomb = tmp_path / f"t.{suffix}", Bomb(tmp_path / "exploded")
    if suffix in ("npy", "npz"):
        with path.open("wb") as file:
            (np.save if suffix == "npy" else np.savez)(file, np.array([bomb, bomb], dtype=object), allow_pickle=True)
    else:
        path.write_bytes(pickle.dumps(bomb))
    parquet = suffix == "parquet" and not importlib.util.find_spec("pyarrow")
    with pytest.raises(ModuleNotFoundError if parquet else FitError):
        read_table(path, ["n"])
    assert not bomb.path.exists()


def test_a_frame_is_a_table():
    frame = pd.DataFrame({"n": [*N, 1.0], "loss": pd.array([*LOSS, None], dtype="Float64"), "run": [*"abcdefabcdef", "g"]})
    found = quick(frame, cluster="run")
    assert_right(found)
    assert found.how["units"] == 6 and left_out(found.reasons) == 1


# command line


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_the_command_fits_and_says_what_was_left_out(tmp_path, capsys, suffix):
    assert command(written(tmp_path / f"t.{suffix}", rows_with(loss="")), "--no-figures") == OK
    out = capsys.readouterr().out
    assert "exponent 0.3" in out and "1 of 13 rows" in out and "left out" in out


def test_the_report_is_plain_json_with_its_reasons(tmp_path, capsys):
    path = written(tmp_path / "t.csv", rows_with(loss="0"))
    assert command(path, "--no-figures", "--out", str(tmp_path / "out")) == OK

    def refuse(token):
        raise AssertionError(f"{token} is not JSON")

    report = json.loads((tmp_path / "out" / "fit.json").read_text(), parse_constant=refuse)
    assert any("left out" in reason for reason in report["reasons"]) and len(report["y"]) == 12
    assert "left out" in (tmp_path / "out" / "checklist.txt").read_text()


@pytest.mark.parametrize(
    "file, content, options, message",
    [
        ("t.csv", good_csv(), {"y": "los"}, "Did you mean 'loss'"),
        ("t.csv", good_csv(), {"x": "n,loss"}, "'power' takes"),
        ("t.csv", good_csv() + "abc,1\n", {}, "row 14: 'abc'"),
        ("t.csv", good_csv() + "-5,1\n", {}, "must be positive"),
        ("t.csv", good_csv() + "5\n", {}, "row 14 has 1 cells"),
        ("t.csv", "n,loss\n1,1\n2,0.5\n", {}, "2 distinct points"),
        ("t.csv", "n,loss\n1,1\n1,0.5\n", {}, "single value"),
        ("t.csv", "n,loss\n", {}, "points"),
        ("t.csv", "", {}, "empty"),
        ("t.jsonl", "{", {}, "line 1 is not JSON"),
        ("t.jsonl", '{"n": 1, "lo\\nss": 2}\n', {}, "no column 'loss'"),
        ("t.jsonl", '{"n": 1, "lo\\u001b[2Jss": 2}\n', {}, "no column 'loss'"),
        ("t.pkl", pickle.dumps({"n": N, "loss": LOSS}), {}, ".csv"),
        ("t.npy", b"\x93NUMPY", {}, ".csv"),
        ("t.parquet", b"PAR1", {}, "parquet"),
        (None, None, {}, "cannot be read"),
    ],
)
def test_the_command_refuses_with_one_line(tmp_path, capsys, file, content, options, message):
    path = text(tmp_path / file, content) if file else tmp_path / "absent.csv"
    assert command(path, "--no-figures", **options) == BAD_INPUT
    out, err = capsys.readouterr()
    assert out == "" and len(err.splitlines()) == 1 and err.startswith("jaxscale: ") and "Traceback" not in err
    assert message in err and "\x1b" not in err


def test_the_command_refuses_an_empty_folder(tmp_path, capsys):
    assert command(tmp_path, "--no-figures") == BAD_INPUT
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_counts_and_limits_are_not_taken_at_face_value():
    """Zeros of counts are no failed runs; values that stop at one number are a cap."""
    n = np.geomspace(10, 1e4, 12)
    with pytest.raises(FitError, match="holds counts, 3 of them 0"):
        quick({"n": n, "loss": [40, 31, 18, 11, 9, 5, 3, 2, 1, 0, 0, 0]})
    noisy = 2 * n**-0.5 * np.exp(0.01 * np.random.default_rng(0).normal(size=12))
    with pytest.raises(FitError, match="3 rows have the same smallest 'loss', 0.05, .*limit of detection"):
        quick({"n": n, "loss": np.maximum(noisy, 0.05)})
    with pytest.raises(FitError, match="same largest 'loss'"):
        quick({"n": n, "loss": np.minimum(noisy, 0.4)})
    assert quick({"n": n, "loss": noisy}).status == "ok"
