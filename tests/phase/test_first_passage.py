"""Times to a threshold by hand: censored, diverged, lasting, from below and from above."""

import numpy as np
import pytest
import xarray as xr

from jaxscale.phase.first_passage import survival, time_to

CURVES = xr.DataArray(
    [[3, 2, 1, 0.5], [3, 1, 2, 1], [3, 2.5, 2, 1.5], [3, np.nan, np.nan, np.nan], [1, 0, np.nan, np.nan]],
    dims=("seed", "time"), coords={"time": [0, 10, 100, 1000]}, name="loss",
)  # fmt: skip


def test_the_first_record_at_or_below():
    found = time_to(CURVES, 1.0, above=False)
    np.testing.assert_array_equal(found, [100, 10, np.inf, np.nan, 0])
    assert found.attrs["units"] == "steps" and found.name == "time to loss <= 1" and "time" not in found.coords


def test_the_first_record_at_or_above():
    np.testing.assert_array_equal(time_to(-CURVES, -1.0), [100, 10, np.inf, np.nan, 0])
    np.testing.assert_array_equal(time_to(CURVES, 3.0), [0, 0, 0, 0, np.nan])


def test_lasting_passages_do_not_come_back():
    np.testing.assert_array_equal(time_to(CURVES, 1.0, above=False, lasting=True), [100, 1000, np.inf, np.nan, np.nan])


def test_any_order_of_dimensions():
    np.testing.assert_array_equal(time_to(CURVES.T, 1.0, above=False), time_to(CURVES, 1.0, above=False))


def test_refusals():
    with pytest.raises(ValueError, match="no dimension 'time'; got .'seed'.. Pass curves"):
        time_to(CURVES.isel(time=-1), 1.0)
    with pytest.raises(ValueError, match="a threshold to pass; got nan"):
        time_to(CURVES, np.nan)
    with pytest.raises(ValueError, match=r"takes one observable, e.g. runs\['loss'\]; got a Dataset"):
        time_to(CURVES.to_dataset(name="loss"), 1.0)


def test_a_censored_point_is_not_drawn():
    """Its mean over seeds is infinite; the others stay."""
    figures = pytest.importorskip("jaxscale.plot.figures")
    times = xr.DataArray([[1.0, 3.0], [2.0, np.inf]], dims=("width", "seed"), coords={"width": [1, 2]}, name="time")
    (drawn, *_), *_ = figures.curves(times, x="width").containers
    np.testing.assert_array_equal(np.asarray(drawn.get_ydata(), float), [2.0, np.nan])


def test_times_are_read_between_records():
    """A curve that is linear in the logarithm of the step passes exactly where it does; a flag half-way between its records."""
    steps = np.geomspace(1, 1000, 13)
    line = xr.DataArray(np.log(steps)[None], {"time": steps}, ("seed", "time"))
    assert float(time_to(line, np.log(50.0)).item()) == pytest.approx(50, rel=1e-9)
    assert float(time_to(line, np.log(50.0), interpolate=False).item()) in steps
    near = xr.DataArray([[0.0, 1.0]], {"time": [100.0, 110.0]}, ("seed", "time"))
    assert float(time_to(near, 0.5).item()) == 105.0


@pytest.mark.parametrize("per_decade, lost", [(4, 0.0), (10, 3000.0)])
def test_the_median_of_censored_runs_is_that_of_all(per_decade, lost):
    """T = 200 + exponential of mean 3000, median 2279.4; four records a decade, or half of the runs lost on the way."""
    rng, steps = np.random.default_rng(0), np.unique(np.round(np.geomspace(1, 10_000, 4 * per_decade + 1)))
    steps = steps if not lost else np.arange(0, 10_001, 100.0)
    count = 16_000
    times, gone = 200 + rng.exponential(3000, count), rng.exponential(lost, count) if lost else np.full(count, np.inf)
    curves = np.where(steps >= gone[:, None], np.nan, (steps >= times[:, None]).astype(float))
    data = xr.DataArray(curves, {"time": steps}, ("seed", "time"))
    found = survival(data, 0.5)
    assert float(found["median"]) == pytest.approx(200 + 3000 * np.log(2), rel=0.03)
    assert found["median_low"] < 200 + 3000 * np.log(2) < found["median_high"]
    assert int(found["events"] + found["lost"]) == int(np.sum(gone > 0))
    late = data["time"].values > 300
    exact = np.exp(-(steps[late] - 200) / 3000)
    inside = (found["low"].values[late] <= exact) & (exact <= found["high"].values[late])
    assert inside.mean() > 0.7 and np.all(np.diff(found["survival"]) <= 0)


def test_a_median_that_no_one_reached_is_infinite():
    data = xr.DataArray(np.zeros((2, 5, 3)), {"time": [1.0, 2, 3]}, ("set", "seed", "time"))
    found = survival(data, 0.5)
    assert found["median"].dims == ("set",) and np.isinf(found["median"]).all() and np.all(found["events"] == 0)
