"""What a newcomer's review found: numbers that looked right and were not, options that did nothing."""

import numpy as np
import pytest
import xarray
from assertions import assert_mean

from jaxscale.fitting import checks, isoflop
from jaxscale.fitting.crossovers import crossover
from jaxscale.fitting.curve_fit import FitError, fit
from jaxscale.fitting.laws import mixture, multi_power, power, score_loss
from jaxscale.fitting.level_trends import levels
from jaxscale.fitting.profiles import profile
from jaxscale.fitting.simulated_coverage import simulated

N = np.geomspace(1e6, 1e10, 30)


def drawn(y, noise=0.02, seed=0, x=N):
    return {"n": x, "loss": y * np.exp(noise * np.random.default_rng(seed).normal(size=len(x)))}


HOW = dict(x="n", y="loss", resamples=100)


def test_nearly_parallel_laws_cross_where_they_do():
    first = fit(power, drawn(3 * N**-0.1, 1e-6, 0), **HOW)
    second = fit(power, drawn(3 * 1e8**1e-5 * N**-0.10001, 1e-6, 1), **HOW)
    found = crossover(first, second, to=1e12)
    assert found.none < 0.05 and found.first_lower == 0.0


def test_a_missing_observation_is_no_reason_to_stop():
    with pytest.raises(ValueError, match="must be finite"):
        levels(np.arange(1.0, 9), np.array([50, 60, 65, np.nan, 70, 72, 73, 74.0]), tolerance=1.0)


def test_small_losses_are_the_large_scales():
    loss = np.linspace(1, 3, 20)
    held = checks.largest_scales(checks.scale_of(score_loss.LAW, loss[None]))
    assert loss[held].max() < 1.5


@pytest.mark.slow
def test_bands_cover_as_parameters_do():
    held = []
    for seed in range(60):
        x = np.geomspace(1e6, 1e10, 8)
        found = fit(power, drawn(30 * x**-0.2, 0.02, seed, x), **HOW)
        _, low, high = found.predict([1e9])
        held.append(low[0] < 30 * 1e9**-0.2 < high[0])
    assert np.mean(held) > 0.88
    bare = fit(power, drawn(30 * N**-0.2), x="n", y="loss", resamples=0)
    assert np.isnan(bare.predict([1e9])[1]).all()


def test_few_runs_are_weak():
    x = np.geomspace(1e6, 1e10, 4)
    found = fit(power, drawn(30 * x**-0.2, 0.02, 1, x), **HOW)
    assert found.status == "weak" and any("too few" in reason for reason in found.reasons)


def test_clusters_are_not_profiled_or_simulated():
    table = drawn(np.repeat(30 * N[::3] ** -0.2, 3), 0.01, 0, np.repeat(N[::3], 3)) | {
        "run": np.repeat(np.arange(10), 3).astype(str)
    }
    found = fit(power, table, cluster="run", **HOW)
    assert found.how["units"] == 10
    with pytest.raises(ValueError, match="bootstrap's interval"):
        profile(found, "exponent")
    with pytest.raises(ValueError, match="independent runs"):
        simulated(found)


def test_repeats_that_share_a_deviation_are_no_structure():
    rng, x = np.random.default_rng(3), np.repeat(np.geomspace(1e6, 1e10, 14), 5)
    shared = np.repeat(0.05 * rng.normal(size=14), 5)
    table = {
        "n": x,
        "loss": 30 * x**-0.2 * np.exp(shared + 0.01 * rng.normal(size=70)),
        "run": np.repeat(np.arange(14), 5).astype(str),
    }
    assert not any("follow the scale" in reason for reason in fit(power, table, cluster="run", **HOW).reasons)
    assert any("follow the scale" in reason for reason in fit(power, table, **HOW).reasons)


def test_residuals_that_follow_the_scale_are_seen_in_any_order_of_the_table():
    order, scale = np.random.default_rng(7).permutation(30), np.arange(30.0)
    residual = np.sin(scale / 4)
    seen = checks.residual_structure(residual, scale)
    centred = residual - residual.mean()
    assert seen == pytest.approx(centred[1:] @ centred[:-1] / (centred @ centred)) and seen > 0.8
    assert checks.residual_structure(residual[order], scale[order]) == pytest.approx(seen)
    assert abs(checks.residual_structure(residual[order], scale)) < 0.5  # scale and order disagree: nothing to see
    bent = {"n": N[order], "loss": (30 * N**-0.2 * np.exp(0.2 * residual))[order]}
    found = fit(power, bent, **HOW)
    assert found.goodness["autocorrelation"] > 0.8 and any("follow the scale" in reason for reason in found.reasons)


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_a_verdict_has_no_unit(unit):
    loss = np.linspace(0.6, 3.2, 40)
    score = 0.25 + 0.6 / (1 + np.exp(5 * (loss - 1.8))) + 0.005 * np.random.default_rng(0).normal(size=40)
    found = fit(score_loss, {"n": loss, "loss": unit * score}, **HOW)
    assert found.status == "ok" and found["middle"].value == pytest.approx(1.8, abs=0.03)


def test_seeds_that_agree_by_chance_do_not_narrow_a_profile():
    rng, x = np.random.default_rng(5), np.array([0.5, 1, 2, 4.0])
    errors = []
    for _ in range(8):
        data = xarray.DataArray(3 * x[:, None] ** -0.6 * np.exp(0.2 * rng.normal(size=(4, 16))), {"x": x}, ("x", "seed"))
        found = fit(power, data, x="x", resamples=200)
        p = profile(found, "exponent")
        errors.append((p.high - p.low) / (2 * 1.96 * found["exponent"].seeds))
    assert_mean(np.array(errors), 1.1, precision=0.2, sigmas=4)
    assert min(errors) > 0.7


def test_vertices_beyond_the_sizes_run_are_not_used():
    surface = {"A": 406.4, "B": 410.7, "E": 1.69, "alpha": 0.31, "beta": 0.31}
    from jaxscale.fitting.laws import chinchilla

    rows = []
    for c in np.geomspace(1e18, 1e21, 4):
        n = chinchilla.optimal_parameters(c, **surface) * np.geomspace(1.5, 8, 11)
        rows.append(np.stack([n, c * (1 + 4e-4 * np.linspace(-1, 1, 11)), chinchilla.shape(n, c / 6 / n, **surface)]))
    found = isoflop.parabolas(*np.concatenate(rows, axis=1), resamples=0)
    assert len(found.budget) == 4 and np.isnan(found.size).all()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: fit(power, drawn(N), **(HOW | {"y": "n"})), "cannot explain itself"),
        (lambda: fit(power, drawn(N), **HOW, root=-1), "root must be a whole number"),
        (lambda: fit(power, drawn(N), **(HOW | {"resamples": 2.5})), "resamples must be a whole number"),
        (lambda: fit(power, drawn(N), **HOW, huber="1e-3"), "positive delta"),
        (lambda: fit(power, drawn(N), **HOW, weight=np.ones(30)), "name of a column"),
        (lambda: fit(power, drawn(N), **HOW, over="zzz"), "for labelled results"),
        (lambda: fit(power, drawn(N), **HOW, space="sqrt"), "'log' or 'raw'"),
        (lambda: fit(power, xarray.DataArray(N, {"x": N}, "x"), x="x", weight="w"), "weight= is for tables"),
    ],
)
def test_options_that_would_do_nothing_are_refused(call, message):
    with pytest.raises(FitError, match=message):
        call()


def test_inputs_that_make_no_sense_to_the_law_are_refused():
    shares = np.array([[20.0, 30, 50], [50, 20, 30], [10, 10, 80], [60, 20, 20], [5, 90, 5], [30, 40, 30], [80, 10, 10]])
    table = {"r1": shares[:, 0], "r2": shares[:, 1], "r3": shares[:, 2], "loss": np.linspace(2, 3, 7)}
    with pytest.raises(ValueError, match="sum to one"):
        fit(mixture, table, x=["r1", "r2", "r3"], y="loss")
    law = multi_power.law([np.full(100, 1e-3)] * 2, knots=8)
    for curve, step, message in ((2, 50, "number of a schedule"), (1, 100, "within its schedule")):
        columns = {
            "c": np.repeat([0.0, curve], 10),
            "s": np.tile(np.linspace(5, step, 10).round(), 2),
            "loss": np.linspace(3, 2, 20),
        }
        with pytest.raises(ValueError, match=message):
            fit(law, columns, x=["c", "s"], y="loss")


def test_the_example_of_a_law_of_schedules_is_not_fitted_to_a_table():
    table = {"c": np.repeat([0.0, 1.0], 10), "s": np.tile(np.arange(10.0) * 20, 2), "loss": np.linspace(3, 2, 20)}
    with pytest.raises(ValueError, match=r"multi_power\.law\(schedules\)"):
        fit(multi_power, table, x=["c", "s"], y="loss")
