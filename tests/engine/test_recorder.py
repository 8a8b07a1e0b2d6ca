"""What is kept of a cohort, without one: segments are told by hand, and every record has to be where it belongs."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscale.engine.keep.rows import Rows, stored_type
from jaxscale.engine.run.executable import Report
from jaxscale.engine.run.recorder import Records

TIMES = np.array([0, 4, 10, 20])
SLOT = np.array([3, 0, 2])  # where the three lanes sit among four rows
TYPES = {"x": jnp.float32, "count": jnp.int32, "flag": jnp.bool_}


def recorder():
    shapes = {name: jax.ShapeDtypeStruct((), dtype) for name, dtype in TYPES.items()}
    executable = SimpleNamespace(program=SimpleNamespace(shapes=(None, None, shapes)))
    return Rows(executable, ThreeLanes(), TIMES, SimpleNamespace(slot=SLOT))


class ThreeLanes:
    ids = np.array([5, 6, 7], np.uint64)

    def __len__(self):
        return 3


def at(step):
    """What a segment to `step` reports: 100 lane + step, in the lanes' rows; the row that nobody has is spoilt."""
    value = np.full(4, -999.0, np.float32)
    value[SLOT] = 100 * np.arange(3) + step
    observed = {"x": jnp.asarray(value), "count": jnp.asarray(value, jnp.int32), "flag": jnp.asarray(value > 0)}
    none = jnp.zeros(4, bool)
    return Report(observed, none, jnp.full(4, -1), none)


def told(*segments, diverged_at=(-1, -1, -1), ended=(True, True, True)):
    """The piece after segments (step, live lanes, lanes that end there)."""
    kept = recorder()
    for step, live, gone in segments:
        kept.see(at(step), np.isin(range(3), live), np.isin(range(3), gone), step, np.array(diverged_at))
    return kept.close(np.array(diverged_at, np.int32), np.array(ended))


ALL = [(0, (0, 1, 2), ()), (4, (0, 1, 2), ()), (10, (0, 1, 2), ()), (20, (0, 1, 2), (0, 1, 2))]


def test_every_record_has_the_values_of_its_step():
    piece = told(*ALL)
    assert piece.ids.tolist() == [5, 6, 7] and piece.observed["x"].tolist() == [[100 * i + t for t in TIMES] for i in range(3)]
    assert {name: values.dtype for name, values in piece.observed.items()} == {k: np.dtype(v) for k, v in TYPES.items()}


@pytest.mark.parametrize("cut, row", [(4, [0, 4, 4, 4]), (7, [0, 4, 7, 7]), (10, [0, 4, 10, 10])])
def test_a_lane_that_ends_keeps_its_last_values_for_all_later_records(cut, row):
    """At a recorded step, or between two of them; and what is in its row afterwards is not its own."""
    before = [segment for segment in ALL if segment[0] < cut]
    after = [(t, (1, 2), ()) for t in TIMES.tolist() if t > cut]
    piece = told(*before, (cut, (0, 1, 2), (0,)), *after)
    assert piece.observed["x"][0].tolist() == row
    assert piece.observed["x"][1:].tolist() == [[100 * i + t for t in TIMES] for i in (1, 2)]


def test_a_cut_between_two_records_is_not_recorded():
    assert told(*ALL[:2], (7, (0, 1, 2), ()), *ALL[2:]).observed["x"].tolist() == told(*ALL).observed["x"].tolist()


@pytest.mark.parametrize("first_bad, gone", [(0, 4), (1, 3), (4, 3), (5, 2), (20, 1), (21, 0), (-1, 0)])
def test_from_its_first_bad_step_on_a_lane_is_nothing(first_bad, gone):
    piece = told(*ALL, diverged_at=(-1, first_bad, -1))
    x, count, flag = (piece.observed[name] for name in TYPES)
    assert np.isnan(x).sum(1).tolist() == [0, gone, 0] and (count[1] == -1).sum() == gone and not flag[1][4 - gone :].any()
    assert np.isnan(x[1]).tolist() == [first_bad >= 0 and t >= first_bad for t in TIMES]
    assert piece.diverged_at.tolist() == [-1, first_bad, -1]


def test_lanes_that_have_not_ended_are_in_no_piece():
    piece = told(*ALL[:3], ended=(True, False, True))
    assert piece.ids.tolist() == [5, 7] and piece.observed["x"][:, 1].tolist() == [4, 204]


def test_a_recorder_goes_on_from_what_was_saved():
    whole, first, second = recorder(), recorder(), recorder()
    for step, live, gone in ALL[:2]:
        for kept in (whole, first):
            kept.see(at(step), np.isin(range(3), live), np.isin(range(3), gone), step, np.full(3, -1))
    second.restore(first.arrays())
    for step, live, gone in ALL[2:]:
        for kept in (whole, second):
            kept.see(at(step), np.isin(range(3), live), np.isin(range(3), gone), step, np.full(3, -1))
    one, other = (kept.close(np.full(3, -1, np.int32), np.ones(3, bool)) for kept in (whole, second))
    assert all(np.array_equal(one.observed[name], other.observed[name]) for name in TYPES)


def test_records_count_what_was_paid_and_what_was_of_use():
    records = Records.empty(5)
    assert records.diverged_at.tolist() == [-1] * 5 and not records.why.any()
    records.paid(5, 8, 10)
    records.paid(3, 4, 7)
    assert (records.lane_steps, records.slot_steps, records.segments) == (5 * 10 + 3 * 7, 8 * 10 + 4 * 7, 2)


def test_types_that_files_do_not_know_become_floats():
    assert [stored_type(t) for t in (jnp.bfloat16, np.float16, np.float32, np.int8, bool)] == [
        np.float32, np.float32, np.float32, np.int8, np.bool_
    ]  # fmt: skip
