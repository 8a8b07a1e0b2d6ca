"""Lines of steepest change and regions on planted truths."""

import numpy as np
import pytest
import xarray
from assertions import assert_mean

from jaxscale.phase.region_labels import UNDECIDED, regions, steepest


def steps(where, noise=0.05, seeds=64):
    x, rng = np.linspace(0, 1, 15), np.random.default_rng(0)
    exact = np.tanh((x[None, :] - np.asarray(where)[:, None]) / 0.15)
    values = exact[..., None] + noise * rng.normal(size=(*exact.shape, seeds))
    return xarray.DataArray(values, {"d": np.arange(len(where)), "x": x}, ("d", "x", "seed"), name="order")


def test_the_steepest_place_is_found():
    where = [0.3, 0.42, 0.61]
    found = steepest(steps(where), along="x")
    np.testing.assert_allclose(found["position"], where, atol=0.02)
    assert np.all((found["low"] <= found["position"]) & (found["position"] <= found["high"]))
    assert np.all(np.abs(found["position"] - where) < 4 * found["error"] + 0.01) and np.all(found["slope"] > 0)
    falling = steepest(-steps(where), along="x")
    assert np.all(falling["slope"] < 0)
    log = steps(where).assign_coords(x=np.exp(np.linspace(0, 1, 15)))
    np.testing.assert_allclose(np.log(steepest(log, along="x", scale="log")["position"]), where, atol=0.02)


def test_the_band_of_the_steepest_place_is_its_position_and_196_errors():
    data = steps(np.full(40, 0.47), noise=0.01)
    found = steepest(data.assign_coords(x=3 + 8 * data["x"]), along="x", resamples=1000)  # no unit interval
    assert_mean(found["position"].values, 3 + 8 * 0.47, precision=0.01, sigmas=10)  # a parabola's bias
    assert_mean(((found["high"] - found["low"]) / (2 * found["error"])).values, 1.96, precision=0.02)


@pytest.mark.parametrize("errors, undecided", [(1.8, True), (2.15, False)])
def test_a_level_within_196_errors_is_undecided(errors, undecided):
    seeds, cells = 100, 60
    values = np.random.default_rng(0).normal(size=(cells, seeds))
    values = (values - values.mean(axis=1, keepdims=True)) / values.std(axis=1, keepdims=True)  # of each cell: mean 0, std 1
    data = xarray.DataArray(values, {"x": np.arange(cells)}, ("x", "seed"))
    for level in (errors / seeds**0.5, -errors / seeds**0.5):
        share = float((regions(data, levels=[level], resamples=2000) == UNDECIDED).mean())
        assert share > 0.9 if undecided else share < 0.1


def test_holes_are_no_transition():
    data = steps([0.3, 0.6])
    data[1, 4] = np.nan
    found = steepest(data, along="x")
    assert np.isfinite(found["position"][0]) and np.isnan(found["position"][1])


def test_regions_are_told_only_where_the_seeds_can_tell():
    found = regions(steps([0.5]), levels=[-0.5, 0.5], names=["below", "critical", "above"])
    assert found.attrs["names"] == ["below", "critical", "above"] and found[0, 0] == 0 and found[0, -1] == 2
    assert found[0, 7] == 1  # the middle, 0
    noisy = regions(steps([0.5], noise=20.0), levels=[0.0])
    assert UNDECIDED in noisy
    empty = regions(steps([0.5]) * np.nan, levels=[0.0])
    assert np.all(empty == UNDECIDED)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda d: steepest(d, along="y"), "'y' is no dimension"),
        (lambda d: steepest(d.isel(x=slice(0, 3)), along="x"), "at least 4 increasing"),
        (lambda d: steepest(d.isel(x=slice(None, None, -1)), along="x"), "at least 4 increasing"),
        (lambda d: regions(d, levels=[1, 0]), "increasing numbers"),
        (lambda d: regions(d, levels=[0], names=["one"]), "2 regions; got 1 names"),
        (lambda d: regions(d, levels=[0], over="run"), "is no dimension"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call(steps([0.5]))
