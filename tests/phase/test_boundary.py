"""Boundaries: exact crossings, bands that cover, and nothing invented where there is no crossing."""

import numpy as np
import pytest
import xarray
from assertions import assert_mean

from jaxscale.phase.boundaries import boundary, crossing

X = np.array([1.0, 2.0, 4.0, 8.0, 16.0])
SLOPES = np.array([0.5, 1.0, 2.0])


def line(values, x=X):
    return xarray.DataArray(np.asarray(values, np.float64), {"alpha": x}, "alpha")


def noisy(sets, *, seeds=40, noise=0.5, root=0):
    """(set, alpha, seed) around the line y = alpha, which passes 5 at alpha = 5."""
    draws = np.random.default_rng(root).normal(size=(sets, len(X), seeds))
    return xarray.DataArray(X[None, :, None] + noise * draws, {"alpha": X, "set": range(sets)}, ("set", "alpha", "seed"))


def test_crossing_of_straight_lines_is_exact_and_labelled():
    lines = xarray.DataArray(SLOPES[:, None] * X, {"slope": SLOPES, "alpha": X}, ("slope", "alpha"))
    found = crossing(lines, along="alpha", level=3.0)
    assert found.dims == ("slope",) and found["slope"].values.tolist() == SLOPES.tolist()
    np.testing.assert_allclose(found, 3 / SLOPES, rtol=1e-12)
    np.testing.assert_allclose(crossing(lines.T, along="alpha", level=3.0), 3 / SLOPES, rtol=1e-12)


def test_crossing_of_a_power_law_is_exact_in_logarithms_only():
    curve = line(X**-1.5)
    assert float(crossing(curve, along="alpha", level=0.2, scale="log")) == pytest.approx(0.2 ** (-1 / 1.5), rel=1e-12)
    assert float(crossing(curve, along="alpha", level=0.2)) != pytest.approx(0.2 ** (-1 / 1.5), rel=1e-3)


def test_crossing_takes_the_first_passage_in_either_direction():
    assert float(crossing(line([0, 2, 0, 2, 0]), along="alpha", level=1.0)) == 1.5
    assert float(crossing(line([2, 2, 0, 2, 0]), along="alpha", level=1.0)) == 3.0


@pytest.mark.parametrize("values", [X, -X, np.full(5, np.nan)], ids=["above", "below", "nan"])
def test_never_crossed_is_nan(values):
    assert np.isnan(crossing(line(values), along="alpha", level=0.5))


def test_a_hole_is_not_a_crossing():
    assert float(crossing(line([0, np.nan, 2, 0, 0]), along="alpha", level=1.0)) == 6.0


@pytest.mark.parametrize(
    "data, options, message",
    [
        (line(X, x=X[::-1]), {}, r"the coordinate 'alpha' must increase.*\.sortby\('alpha'\)"),
        (line(X, x=np.ones(5)), {}, "must increase"),
        (line(X), {"along": "beta"}, r"along='beta' is no axis of the data; choose from \[.*'alpha'\]"),
        (line(X), {"scale": "lgo"}, "scale must be 'linear' or 'log'; got 'lgo'"),
        (line(X, x=X - 1), {"scale": "log"}, r"scale='log' needs a positive 'alpha'; got 0\.0"),
        (line(X - 3), {"scale": "log", "level": -1.5}, "level"),
    ],
)
def test_refusals(data, options, message):
    options = {"along": "alpha", "level": 3.0} | options
    with pytest.raises(ValueError, match=message):
        crossing(data, **options)
    with pytest.raises(ValueError, match=message):
        boundary(data.expand_dims(seed=2), **options)


def test_boundary_without_noise_has_no_width():
    found = boundary(noisy(2, noise=0.0), along="alpha", level=5.0)
    for name in ("position", "low", "high"):
        np.testing.assert_allclose(found[name], 5, rtol=1e-12)
    assert np.all(found["error"] == 0) and np.all(found["crossed"] == 1)
    assert found.position.dims == ("set",)


def test_band_covers_the_truth():
    """95 % bands from 40 seeds; five binomial standard errors of 400 sets are 5 %."""
    found = boundary(noisy(400), along="alpha", level=5.0)
    assert np.all(found["crossed"] == 1)
    covered = float(np.mean((found["low"] <= 5) & (5 <= found["high"])))
    assert 0.88 < covered < 0.995
    pulls = (found["position"] - 5) / found["error"]
    assert 0.85 < float(pulls.std()) < 1.2 and abs(float(pulls.mean())) < 5 / 20


def test_the_band_of_a_mean_is_its_position_and_196_errors():
    """Means of forty seeds are normal, and so is a crossing that moves little: percentiles are then known."""
    found = boundary(noisy(40, noise=0.05), along="alpha", level=5.0, resamples=1000)
    reach = (found["high"] - found["low"]) / (2 * found["error"])
    assert_mean(reach.values, 1.96, precision=0.01)
    assert_mean(((found["high"] + found["low"]) / 2 - found["position"]).values / found["error"].values, 0.0, precision=0.02)


def test_band_narrows_with_the_square_root_of_the_seeds():
    few, many = (float(boundary(noisy(50, seeds=n), along="alpha", level=5.0)["error"].mean()) for n in (10, 160))
    assert 3.2 < few / many < 4.8


def test_no_band_where_the_level_is_hardly_passed():
    """The last mean sits at the level, so half of the resamples never pass it."""
    data = noisy(1).isel(set=0)
    level = float(data.mean("seed").max())
    found = boundary(data, along="alpha", level=level)
    assert 0.2 < found["crossed"] < 0.8
    assert np.isnan(found["low"]) and np.isnan(found["high"]) and np.isnan(found["error"])


def test_censored_times_bound_the_crossing_through_the_median():
    """Beyond alpha = 4 most runs never finish: the median passes any level there, whatever the finished ones say."""
    data = noisy(3, noise=0.01)
    data[:, 3:, :30] = np.inf
    found = boundary(data, along="alpha", level=100.0, statistic="median")
    np.testing.assert_allclose(found["position"], 6.0)  # half-way into a cell without a finite median
    assert np.all(found["crossed"] == 1) and np.all(found["low"] <= 6) and np.all(found["high"] >= 6)
    assert np.all(boundary(data[:, :3], along="alpha", level=100.0, statistic="median")["position"].isnull())


def test_a_minority_of_censored_runs_moves_the_median_little():
    data = noisy(3, noise=0.01)
    data[:, :, :10] = np.inf
    found = boundary(data, along="alpha", level=5.0, statistic="median")
    np.testing.assert_allclose(found["position"], 5, atol=0.02)


def test_unknown_statistic_is_refused():
    with pytest.raises(ValueError, match="statistic must be one of"):
        boundary(noisy(1), along="alpha", level=5.0, statistic="mode")


def test_shared_random_numbers_and_crossed_seeds_are_resampled_as_they_were_drawn():
    """A shift that all points of a seed share moves the whole curve: points resampled one by one would average it away."""
    shift = 0.5 * np.random.default_rng(0).normal(size=400)
    data = xarray.DataArray(X[:, None] + shift, {"alpha": X}, ("alpha", "seed"), attrs={"shared": "alpha"})
    together, apart = (
        float(boundary(d, along="alpha", level=5.0)["error"]) for d in (data, data.copy().assign_attrs(shared=""))
    )
    assert together == pytest.approx(0.5 / 20, rel=0.15) and together > 1.2 * apart
    crossed = xarray.DataArray(
        X[:, None, None] + np.repeat(shift[:16, None], 25, axis=1), {"alpha": X}, ("alpha", "data", "init"),
        attrs={"shared": "alpha"},
    )  # fmt: skip
    found = float(boundary(crossed, along="alpha", level=5.0)["error"])
    assert found == pytest.approx(shift[:16].std() / 4, rel=0.2)  # sixteen draws, not four hundred runs
    with pytest.raises(ValueError, match="over='draw' is no axis"):
        boundary(data, along="alpha", level=5.0, over="draw")
