"""What a cohort says of itself between segments, against its runs: nobody is stepped after the end, none is lost."""

import ends
import numpy as np
import pytest

EVERY = np.arange(ends.LAST + 1)  # a record a step, so that lanes leave at the step they end at


def swept(**changes):
    heard = []
    runs = ends.run(**{"times": EVERY, "listeners": [heard.append], **changes})
    return runs, [e for e in heard if e.name == "segment"], [e for e in heard if e.name == "piece"]


def fates(runs):
    """(runs,) the step after which each is stepped no more, and whether it then has diverged or stopped."""
    at = runs.diverged_at.values.ravel()
    over = runs["over"].fillna(False).values.astype(bool).reshape(len(at), -1)
    end = np.where(at >= 0, at, np.where(over.any(1), np.argmax(over, axis=1), ends.LAST))
    return end, at >= 0, over.any(1) & (at < 0)


def test_every_segment_accounts_for_every_lane():
    runs, segments, _ = swept()
    end, diverged, stopped = fates(runs)
    assert min(diverged.sum(), stopped.sum(), (~diverged & ~stopped).sum()) >= 5  # or nothing is tested
    assert [e.step for e in segments] == EVERY.tolist()
    for e in segments:
        gone = end <= e.step
        counts = ((diverged & gone).sum(), (stopped & gone).sum(), (~(diverged | stopped) | ~gone).sum())
        assert (e.lanes, e.last) == (len(end), ends.LAST)
        assert (e.diverged, e.finished, e.live) == counts, f"at step {e.step}"


@pytest.mark.parametrize("reclaim", [True, False])
def test_a_step_is_paid_for_the_lanes_that_are_left_in_full_blocks(reclaim):
    runs, segments, (piece,) = swept(reclaim=reclaim)
    end, diverged, _ = fates(runs)
    until = end if reclaim else np.where(diverged, end, ends.LAST)  # stopped lanes idle to the end
    left = np.array([(until >= step).sum() for step in EVERY[1:]])
    assert piece.lane_steps == left.sum() == until.sum() and piece.segments == len(EVERY)
    assert piece.slot_steps == (4 * -(-left // 4)).sum()
    assert runs.attrs["useful_share"] == piece.lane_steps / piece.slot_steps


def test_what_ends_between_two_records_is_recorded_as_it_ended():
    often, _, _ = swept()
    for times in ([0, ends.LAST], [ends.LAST], [7, 8, 33, ends.LAST]):
        assert ends.run(times=times).equals(often.sel(time=times))
