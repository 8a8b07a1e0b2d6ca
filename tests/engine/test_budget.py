"""A sweep that may take so long and no longer: what has ended by then is there; what has not is pending, saved and resumed."""

import time

import ends
import numpy as np
import pytest

import jaxscale as js

ONE_COHORT = {"grid": {"rate": [3.9]}, "seeds": 16}  # four blocks of four: as many as the first piece of a store has


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still at 0 until a segment has come to a step; its budget of 10 s is over then."""

    class Clock:
        now, step = 0.0, None

        def __call__(self):
            return self.now

        def hear(self, event):
            if event.name == "segment" and self.step is not None and event.step >= self.step:
                self.now = 1000.0

        def stop_at(self, step):
            self.now, self.step = 0.0, step
            return {"budget": 10.0, "listeners": [self.hear]}

    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


@pytest.fixture(scope="module")
def whole():
    return ends.run()


def account(runs):
    return [runs.attrs[name] for name in ("requested", "done", "failed", "pending")]


def ended_by(runs, step):
    """(rate, seed) bool: diverged or stopped at a step up to this one."""
    last = runs.isel(time=-1)
    stopped, gone = (last["over"] == 1) & (last.diverged_at < 0), last.diverged_at >= 0
    return ((stopped & (last.steps <= step)) | (gone & (last.diverged_at <= step))).values


def assert_only(found, whole, there):
    """The runs of `there` (rate, seed) have their bits, and all others are missing."""
    for name in ("x", "steps", "over"):
        np.testing.assert_array_equal(found[name].values[there], whole[name].values[there])
        assert np.isnan(found[name].values[~there]).all()
    np.testing.assert_array_equal(found.diverged_at.values[there], whole.diverged_at.values[there])
    assert np.isnan(found.diverged_at.values[~there]).all()
    failed = int((whole.diverged_at.values[there] >= 0).sum())
    assert account(found) == [there.size, there.sum() - failed, failed, (~there).sum()]


def test_without_a_store_what_has_ended_is_there_and_the_rest_is_pending(clock, whole):
    heard = []
    found = ends.run(**clock.stop_at(5) | {"listeners": [clock.hear, heard.append]})
    (late,) = [event for event in heard if event.name == "out of time"]
    there = ended_by(whole, late.step)
    assert 5 <= late.step < ends.LAST and late.live == (~there).sum() > 0 and there.sum() > 3
    assert_only(found, whole, there)


def test_with_a_store_the_same_call_goes_on_and_gives_the_same_bits(clock, tmp_path):
    how = ONE_COHORT | {
        "checkpoint": 1e6,
        "store": (store := tmp_path / "store"),
    }  # it is not yet time to save for its own sake
    whole, heard = ends.run(**ONE_COHORT), []
    first = ends.run(**how, **clock.stop_at(5) | {"listeners": [clock.hear, heard.append]})
    (late,) = [event for event in heard if event.name == "out of time" and event.step]
    (saved,) = [event for event in heard if event.name == "checkpoint"]
    assert 5 <= saved.step == late.step < ends.LAST and saved.live == late.live > 0
    assert account(first) == [16, 0, 0, 16] and len(list((store / "checkpoints").iterdir())) == 1
    assert account(js.load(store)) == account(first)
    heard.clear()
    again = ends.run(**how, **clock.stop_at(None) | {"listeners": [heard.append]})
    (resumed,) = [event for event in heard if event.name == "resumed"]
    assert resumed.step == saved.step < min(event.step for event in heard if event.name == "segment")
    assert again.equals(whole) and account(again)[3] == 0 and js.load(store).equals(whole)
    assert not list((store / "checkpoints").iterdir())


def test_a_little_time_again_and_again_gets_there(clock, whole, tmp_path):
    """Three cohorts, and in every call the time of a few segments."""
    found, calls = None, 0
    while found is None or account(found)[3] and calls < 40:
        calls += 1
        seen = []

        def hear(event, seen=seen):
            seen.extend([event.step] if event.name == "segment" else [])
            clock.now = 1000.0 if len(seen) == 3 else clock.now

        found = ends.run(**clock.stop_at(None) | {"listeners": [hear]}, store=tmp_path)
    assert 1 < calls < 40 and found.equals(whole)  # how many follows from how fast segments were


def test_pieces_of_cohorts_before_are_kept(clock, whole, tmp_path):
    def hear(event):
        clock.now = 1000.0 if event.name == "piece" else clock.now

    first = ends.run(**clock.stop_at(None) | {"listeners": [hear]}, store=tmp_path)
    there = ~np.isnan(first.diverged_at.values)
    assert there.sum() == 16
    assert_only(first, whole, there)
    again = ends.run(**clock.stop_at(None), store=tmp_path)
    assert again.attrs["runs_computed"] == 36 - 16 and again.equals(whole)


def test_without_checkpoints_what_has_ended_is_stored(clock, whole, tmp_path):
    found = ends.run(**clock.stop_at(5), store=tmp_path, checkpoint=None)
    there = ~np.isnan(found.diverged_at.values)
    assert 0 < there.sum() < 16
    assert_only(found, whole, there)
    again = ends.run(**clock.stop_at(None), store=tmp_path, checkpoint=None)
    assert again.attrs["runs_computed"] == (~there).sum() and again.equals(whole)


@pytest.mark.parametrize("stored", [False, True])
def test_moments_are_of_whole_cohorts_or_of_nothing(clock, tmp_path, stored):
    how = ONE_COHORT | {"reduce": True} | ({"store": tmp_path / "store"} if stored else {})
    found = ends.run(**how, **clock.stop_at(5))
    assert account(found) == [16, 0, 0, 16] and not js.load(tmp_path / "store").runs.any() if stored else True
    again = ends.run(**how, **clock.stop_at(None))
    assert again.equals(ends.run(**ONE_COHORT, reduce=True)) and account(again)[3] == 0


def test_no_time_at_all_is_a_plan_and_enough_is_no_limit(whole, tmp_path):
    nothing = ends.run(budget=0, store=tmp_path)
    assert account(nothing) == [36, 0, 0, 36]
    assert ends.run(budget=1e6, store=tmp_path).equals(whole)


@pytest.mark.parametrize("budget", [-1, True, "long", float("nan")])
def test_a_budget_that_is_none(budget):
    with pytest.raises(ValueError, match="budget must be a number of seconds, at least 0"):
        ends.run(budget=budget)


def test_workers_have_the_time_of_their_scheduler(tmp_path):
    with pytest.raises(ValueError, match="budget is of one process's time"):
        ends.run(budget=1.0, executor=object(), devices=None, store=tmp_path)
