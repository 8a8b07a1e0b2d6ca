"""Many fits at a time are those of `fit`, their intervals hold, and their verdicts can say no."""

import numpy as np
import pytest
import xarray

from jaxscale.fitting.curve_fit import fit
from jaxscale.fitting.each import fit_each
from jaxscale.fitting.laws import power, power_floor
from jaxscale.fitting.result import FitError

X = np.geomspace(10, 1e4, 12)


def many(curve, sets=400, seeds=3, noise=0.02, key=0):
    draws = np.random.default_rng(key).normal(size=(sets, 12, seeds))
    return xarray.DataArray(curve[None, :, None] * np.exp(noise * draws), {"x": X}, ("task", "x", "seed"), "loss")


def test_values_are_those_of_single_fits_and_intervals_hold():
    data = many(2 * X**-0.5)
    found = fit_each(power, data, x="x", progress=False)
    assert found["exponent"].dims == ("task",)
    held = (found["exponent_low"] <= 0.5) & (found["exponent_high"] >= 0.5)
    assert abs(float(held.mean()) - 0.95) < 4 * 0.011
    pulls = (found["exponent"] - 0.5) / found["exponent_error"]
    assert 0.9 < float(pulls.std()) < 1.1 and float((found["status"] == "ok").mean()) > 0.94
    for task in (0, 7):
        one = fit(power, data.isel(task=task), x="x", progress=False)
        assert float(found["exponent"][task]) == pytest.approx(one["exponent"].value, abs=0.3 * one["exponent"].seeds)
        assert float(found["exponent_error"][task]) == pytest.approx(one["exponent"].seeds, rel=0.4)


@pytest.mark.parametrize("seeds", [1, 4])
def test_wrong_laws_are_not_ok(seeds):
    bent = fit_each(power, many(2 * X**-0.5 + 0.05, sets=50, seeds=seeds), x="x", progress=False)
    assert float((bent["status"] == "ok").mean()) < 0.05 and "bend" in str(bent["reason"].values[0])
    right = fit_each(power_floor, many(2 * X**-0.5 + 0.3, sets=50, seeds=seeds, noise=0.003), x="x", progress=False)
    assert float((right["status"] == "ok").mean()) > 0.85
    assert np.median(np.abs(right["exponent"] - 0.5)) < 0.05
    flat = fit_each(power, many(np.ones(12), sets=20, seeds=seeds), x="x", progress=False)
    assert np.all(flat["status"] == "failed")


def test_grids_of_curves_and_refusals():
    data = many(2 * X**-0.5, sets=6).expand_dims(rate=[0.1, 0.2]).transpose("x", "rate", "seed", "task")
    found = fit_each(power, data, x="x", progress=False)
    assert set(found["exponent"].dims) == {"rate", "task"} and found["rate"].values.tolist() == [0.1, 0.2]
    np.testing.assert_array_equal(found["exponent"].sel(rate=0.1), found["exponent"].sel(rate=0.2))
    with pytest.raises(FitError, match="x='n' is no dimension"):
        fit_each(power, data, x="n")
    with pytest.raises(FitError, match="needs finite values, positive"):
        fit_each(power, -data, x="x")
    with pytest.raises(FitError, match="3 points cannot fit the 2 parameters"):
        fit_each(power, data.isel(x=slice(3)), x="x")
