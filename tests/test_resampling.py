"""The band of every interval: identities of normal replicas, which a wrong percentile cannot pass."""

import numpy as np
import pytest
from scipy import stats

from jaxscale.resampling import band

COUNT = 200_000


def normal(*shape, mean=0.0, error=1.0, root=0):
    return mean + error * np.random.default_rng(root).normal(size=shape)


def monte_carlo(level, error, count=COUNT):
    """Standard error of the ends of a band of `count` normal replicas: sqrt(p (1 - p) / count) over the density there."""
    p = 0.5 + level / 2
    return error * np.sqrt(p * (1 - p) / count) / stats.norm.pdf(stats.norm.ppf(p))


@pytest.mark.parametrize("level, reach", [(0.95, 1.959964), (0.9, 1.644854), (0.5, 0.674490)])
def test_the_band_of_a_normal_is_its_mean_and_so_many_standard_errors(level, reach):
    low, high = band(normal(COUNT, mean=7.0, error=3.0), level=level)
    room = 3 * monte_carlo(level, 3.0)
    assert room < 0.1  # the ends of 90 % and 95 % are .95 apart
    assert abs(low - (7.0 - 3.0 * reach)) < room and abs(high - (7.0 + 3.0 * reach)) < room


def test_a_band_is_95_percent_unless_told_otherwise():
    replicas = normal(1000)
    assert band(replicas) == band(replicas, level=0.95) != band(replicas, level=0.9)
    assert band(replicas) == tuple(np.percentile(replicas, [2.5, 97.5]))


def test_replicas_may_stand_along_any_axis():
    replicas = normal(500, 3, 4)
    expected = np.percentile(replicas, [2.5, 97.5], axis=0)
    for axis in (0, 1, 2, -1):
        low, high = band(np.moveaxis(replicas, 0, axis), axis=axis)
        np.testing.assert_array_equal((low, high), expected)


def test_missing_replicas_are_left_out_and_nothing_else_is_touched():
    replicas = normal(400, 3)
    holes = replicas.copy()
    holes[::4, 1] = np.nan
    low, high = band(holes)
    np.testing.assert_array_equal((low[[0, 2]], high[[0, 2]]), np.percentile(replicas[:, [0, 2]], [2.5, 97.5], axis=0))
    present = np.delete(replicas[:, 1], np.s_[::4])
    np.testing.assert_array_equal((low[1], high[1]), np.percentile(present, [2.5, 97.5]))


def test_nothing_known_is_nan_without_a_warning():
    replicas = normal(50, 2)
    replicas[:, 0] = np.nan
    low, high = band(replicas)
    assert np.isnan(low[0]) and np.isnan(high[0]) and np.isfinite(low[1]) and np.isfinite(high[1])
    assert np.isnan(band(np.full(10, np.nan))).all() and np.isnan(band(np.zeros((0, 3)))).all()


@pytest.mark.parametrize("seeds", [4, 7, 30])
@pytest.mark.parametrize("level", [0.95, 0.8])
def test_expanded_percentiles_are_students_interval_of_a_normal(seeds, level):
    """Bootstrap means spread by s sqrt((n - 1) / n) / sqrt(n), and the interval is to be mean +- t s / sqrt(n)."""
    s = 2.0
    replicas = normal(COUNT, mean=-1.0, error=s * np.sqrt((seeds - 1) / seeds) / np.sqrt(seeds))
    low, high = band(replicas, level=level, seeds=seeds)
    t = stats.t.ppf(0.5 + level / 2, seeds - 1)
    reach = t * np.sqrt(seeds / (seeds - 1))  # in standard deviations of the replicas
    inside = 1 - 2 * stats.norm.sf(reach)
    room = 4 * monte_carlo(inside, replicas.std())
    assert room < 0.25 * t * s / np.sqrt(seeds)
    assert abs(high - (-1.0 + t * s / np.sqrt(seeds))) < room and abs(low - (-1.0 - t * s / np.sqrt(seeds))) < room


def test_fitted_parameters_take_degrees_of_freedom():
    replicas = normal(COUNT)
    widths = [np.ptp(band(replicas, seeds=12, freedom=freedom)) for freedom in (11, 9, 6)]
    assert widths == sorted(widths) and widths[0] == np.ptp(band(replicas, seeds=12)) > np.ptp(band(replicas))
    np.testing.assert_allclose(np.ptp(band(replicas, seeds=10**8)), np.ptp(band(replicas)), rtol=1e-6)


@pytest.mark.parametrize("level", [0, 1, 95, -0.1])
def test_a_level_is_a_share(level):
    with pytest.raises(ValueError, match=f"level must lie between 0 and 1.*got {level}"):
        band(normal(10), level=level)
