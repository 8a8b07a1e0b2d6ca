"""Lines of steepest change and regions on planted truths."""

import numpy as np
import pytest
import xarray

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
