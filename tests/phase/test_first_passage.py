"""Times to a threshold by hand: censored, diverged, lasting, from below and from above."""

import numpy as np
import pytest
import xarray as xr

from jaxscale.phase.first_passage import time_to

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
