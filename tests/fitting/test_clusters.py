"""Runs that are not independent are resampled together: crossed seeds, and points that share their random numbers."""

import numpy as np
import pytest
import xarray

import jaxscale as js
from jaxscale.fitting.laws import power
from jaxscale.models.perceptron import TeacherStudent
from jaxscale.resampling import resample

X = np.geomspace(10, 1000, 60)


def exponents(make, **how):
    """Spread of the fitted exponent over data sets, and the mean of its stated errors."""
    found = [js.fit(power.LAW, make(seed), x="n", resamples=100, progress=False, **how)["exponent"] for seed in range(40)]
    return np.std([e.value for e in found]), np.mean([e.seeds for e in found])


def crossed(seed):
    """Draws of the disorder tilt the curve; repeats add little."""
    rng = np.random.default_rng(seed)
    tilt = 0.2 * rng.normal(size=(6, 1))
    noise = 0.02 * rng.normal(size=(60, 6, 8))
    y = X[:, None, None] ** -(0.5 + tilt[None]) * np.exp(noise)
    return xarray.DataArray(y, {"n": X}, ("n", "data", "init"), name="loss")


def shared(seed):
    """The same tilt for a seed at every point."""
    rng = np.random.default_rng(seed)
    y = X[:, None] ** -(0.5 + 0.2 * rng.normal(size=8))[None] * np.exp(0.02 * rng.normal(size=(60, 8)))
    return xarray.DataArray(y, {"n": X}, ("n", "seed"), name="loss", attrs={"shared": "n"})


def test_shared_numbers_are_resampled_together():
    spread, error = exponents(shared, statistic="log mean")
    assert 0.6 < error / spread < 1.4
    _, wrong = exponents(lambda seed: shared(seed).assign_attrs(shared=""), statistic="log mean")
    assert wrong < 0.6 * error


def test_draws_of_crossed_seeds_are_resampled_and_not_runs():
    values = crossed(0).values.reshape(60, -1)
    _, replicas = resample(values, 200, crossed=(6, 8))
    _, runs = resample(values, 200)
    assert np.median(replicas.std(0)) > 2 * np.median(runs.std(0))
    alone = js.fit(power.LAW, crossed(0), x="n", statistic="log mean", progress=False)  # data and init are found by themselves
    named = js.fit(power.LAW, crossed(0), x="n", over=("data", "init"), statistic="log mean", progress=False)
    assert alone["exponent"] == named["exponent"]


@pytest.mark.parametrize("draws, repeats", [(5, 40), (23, 3)])
@pytest.mark.parametrize("tilt, wobble", [(1.0, 0.0), (0.0, 1.0), (0.3, 2.0)])
def test_a_mean_over_crossed_seeds_has_the_variance_of_its_rows_and_columns(draws, repeats, tilt, wobble):
    """A mean of resampled rows has variance var / rows; rows and columns are resampled apart, so their variances add."""
    rng = np.random.default_rng(1)
    rows, columns = tilt * rng.normal(size=draws), wobble * rng.normal(size=repeats)
    _, replicas = resample((rows[:, None] + columns).reshape(1, -1), 4000, crossed=(draws, repeats))
    assert replicas.std() == pytest.approx(np.sqrt(rows.var() / draws + columns.var() / repeats), rel=0.05)


def test_a_sweep_says_what_it_shares():
    def experiment(alpha, rate):
        return js.Descent(TeacherStudent(d=4, alpha=alpha), learning_rate=rate)

    grid = {"alpha": [1.0, 2.0], "rate": [0.5, 1.0]}
    runs = js.sweep(experiment, grid=grid, seeds=4, times=[0, 2], share=("alpha",), progress=False)
    assert runs["error"].attrs["shared"] == "alpha"
    assert "shared" not in js.sweep(experiment, grid=grid, seeds=4, times=[0, 2], progress=False)["error"].attrs
