"""What some runs gave, as a file and back; and a file that is none is refused with what is wrong."""

import dataclasses

import numpy as np
import pytest

from jaxscale.engine.errors import StoreError
from jaxscale.engine.keep.arrays import pack
from jaxscale.engine.keep.pieces import CellsPiece, RunsPiece, piece_name
from jaxscale.engine.keep.sums import BINS, SUMS

TIMES = 4
RNG = np.random.default_rng(0)
RUNS = RunsPiece(
    np.array([7, 2**63, 3], np.uint64), np.array([-1, 5, -1], np.int32),
    {"loss": RNG.normal(size=(3, TIMES)).astype(np.float32), "done": RNG.random((3, TIMES)) < 0.5},
)  # fmt: skip
CELLS = CellsPiece(
    np.array([1, 2], np.uint64), np.array([11, 12], np.uint64), np.array([0, 4]), np.array([4, 9]),
    RNG.integers(0, 3, (2, TIMES)), RNG.integers(0, 3, (2, TIMES)), {"loss": RNG.normal(size=(2, TIMES, SUMS))},
    {"loss": RNG.integers(0, 9, (2, TIMES, BINS)).astype(np.uint32)},
)  # fmt: skip


def same(one, other):
    mine, theirs = one.arrays(), other.arrays()
    return list(mine) == list(theirs) and all(
        mine[name].dtype == theirs[name].dtype and np.array_equal(mine[name], theirs[name]) for name in mine
    )


@pytest.mark.parametrize("piece", [RUNS, CELLS], ids=["runs", "cells"])
def test_a_file_and_back(piece):
    bucket, read = type(piece).from_npz(piece.to_npz('{"d": 3}'), TIMES, {"seed"})
    assert bucket == '{"d": 3}' and type(read) is type(piece) and same(read, piece)
    assert read.nbytes == piece.nbytes > 0 and len(read) == len(piece.ids)


@pytest.mark.parametrize("piece", [RUNS, CELLS], ids=["runs", "cells"])
def test_some_rows(piece):
    rows = np.array([len(piece) - 1, 0])
    some = piece.take(rows)
    assert all(np.array_equal(some.arrays()[name], values[rows]) for name, values in piece.arrays().items())
    assert same(piece.take(np.ones(len(piece), bool)), piece) and len(piece.take(np.zeros(len(piece), bool))) == 0


def changed(piece, **new):
    return pack({"bucket": np.array("{}"), "sweep": np.array(""), **piece.arrays(), **new})


@pytest.mark.parametrize(
    "content, message",
    [
        (RUNS.to_npz("{}")[:-30], "not a file of plain arrays"),
        (changed(RUNS, bucket=np.array(3)), "it holds no runs"),
        (changed(RUNS, ids=RUNS.ids.astype(np.int64)), "it holds no runs"),
        (changed(RUNS, extra=np.zeros(3)), "it has a 'extra', which this sweep has not"),
        (changed(RUNS, **{"observed/seed": np.zeros((3, TIMES))}), "its 'observed/seed' is no observable"),
        (changed(RUNS, diverged_at=RUNS.diverged_at[:2]), r"its 'diverged_at' is int32 of shape \(2,\), not of shape \(3,\)"),
        (changed(RUNS, diverged_at=np.zeros(3)), "its 'diverged_at' is float64"),
        (changed(RUNS, **{"observed/loss": np.zeros((3, TIMES + 1))}), r"shape \(3, 5\), not of shape \(3, 4\)"),
    ],
)  # fmt: skip
def test_a_file_that_is_none_of_runs(content, message):
    with pytest.raises(StoreError, match=message):
        RunsPiece.from_npz(content, TIMES, {"seed"})


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"high": CELLS.low}, "it has cells without seeds"),
        ({"low": CELLS.low - 1}, "it has cells without seeds"),
        ({"sketch": {"other": CELLS.sketch["loss"]}}, "its 'sketch/other' is no observable"),
        ({"moments": {"loss": CELLS.moments["loss"][..., 1:]}}, "its 'moments/loss' is"),
        ({"censored": CELLS.censored[:, 1:]}, "its 'censored' is"),
    ],
)
def test_a_file_that_is_none_of_moments(changes, message):
    with pytest.raises(StoreError, match=message):
        CellsPiece.from_npz(dataclasses.replace(CELLS, **changes).to_npz("{}"), TIMES, {"seed"})


def test_one_kind_is_not_the_other():
    with pytest.raises(StoreError, match="it has no 'cell'"):
        CellsPiece.from_npz(RUNS.to_npz("{}"), TIMES, set())
    with pytest.raises(StoreError, match="which this sweep has not"):
        RunsPiece.from_npz(changed(CELLS, diverged_at=np.zeros(2, np.int32)), TIMES, set())


def test_a_name_is_that_of_exactly_these_runs_of_this_bucket():
    names = [piece_name("{}", RUNS.ids), piece_name("[]", RUNS.ids), piece_name("{}", RUNS.ids[:2])]
    assert len(set(names)) == 3 and names[0] == piece_name("{}", RUNS.ids.copy()) and len(names[0]) == 20
