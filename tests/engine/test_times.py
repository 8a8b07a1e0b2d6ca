"""The steps at which to look."""

import numpy as np
import pytest

from jaxscale.simulation import check_times, log_times


@pytest.mark.parametrize("last, first, per_decade", [(1, 1, 10), (7, 7, 3), (1000, 1, 10), (10**6, 50, 4), (2**31 - 1, 1, 20)])
def test_log_times(last, first, per_decade):
    times = log_times(last, first=first, per_decade=per_decade)
    assert times[0] == 0 and times[1] == first and times[-1] == last
    assert np.array_equal(check_times(times), times)
    ratios = times[2:-1] / times[1:-2]
    large = times[1:-2] > 100 * per_decade  # below, rounding to whole steps shows
    np.testing.assert_allclose(ratios[large], 10 ** (1 / per_decade), rtol=0.1)


def test_log_times_has_whole_decades():
    assert set(10 ** np.arange(7)) <= set(log_times(10**6, per_decade=7).tolist())


@pytest.mark.parametrize("first, last", [(0, 10), (11, 10), (-1, 10)])
def test_log_times_refuses(first, last):
    with pytest.raises(ValueError, match=f"0 < first <= last; got first={first}, last={last}"):
        log_times(last, first=first)


@pytest.mark.parametrize(
    "times", [5, [5], (0, 5), range(0, 6, 5), np.array([0.0, 5.0], np.float32), np.uint8([0, 5])], ids=repr
)
def test_check_times_takes(times):
    steps = check_times(times)
    assert steps.dtype == np.int64 and steps.ndim == 1 and steps[-1] == 5


def test_check_times_says_what_is_wrong():
    with pytest.raises(ValueError, match="whole step numbers; got 0.5"):
        check_times([0, 0.5, 1])
    with pytest.raises(ValueError, match="increase from 0 or more"):
        check_times([3, 2])
