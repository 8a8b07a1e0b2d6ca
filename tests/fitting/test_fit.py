"""Fits: exact recovery, coverage, an independent oracle, and honesty about data that follow no law."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray
from scipy.optimize import curve_fit

from jaxscale.fitting import solver as solve
from jaxscale.fitting.curve_fit import Estimate, FitError, fit, local_slopes
from jaxscale.fitting.laws import power, power_floor

pytestmark = pytest.mark.smoke

X = np.geomspace(1, 300, 9)
SETS, SEEDS = 200, 24


def curve(values, x=X, name="loss"):
    """DataArray (x,) or (x, seed)."""
    values = np.asarray(values)
    return xarray.DataArray(values, {"size": x}, ("size", "seed")[: values.ndim], name=name)


def noisy(y, *, noise=0.2, seeds=SEEDS, root=0):
    """Positive seeds around y (n,), lognormal with mean y."""
    draws = np.random.default_rng(root).normal(size=(len(y), seeds))
    return y[:, None] * np.exp(noise * draws - noise**2 / 2)


def quick(law, data, **options):
    return fit(law, data, **{"x": "size", "resamples": 60} | options)


@pytest.mark.parametrize("space", ["log", "raw"])
def test_exact_data_are_recovered_exactly(space):
    found = quick(power.LAW, curve(3 * X**-0.7), space=space)
    np.testing.assert_allclose([float(found["amplitude"]), float(found["exponent"])], [3, 0.7], rtol=1e-8)
    assert found.status == "ok" and found["exponent"].window < 1e-8
    found = quick(power_floor.LAW, curve(0.2 + 3 * X**-0.7), space=space)
    np.testing.assert_allclose([float(e) for e in found.estimates.values()], [3, 0.7, 0.2], rtol=1e-8)


def test_growth_has_a_negative_exponent_and_order_does_not_matter():
    data = curve(2 * X**1.5)
    assert float(quick(power.LAW, data)["exponent"]) == pytest.approx(-1.5, abs=1e-8)
    assert float(quick(power.LAW, data[::-1])["exponent"]) == pytest.approx(-1.5, abs=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize(
    "law, truth",
    [
        (power.LAW, {"amplitude": 3.0, "exponent": 0.7}),
        (power_floor.LAW, {"amplitude": 3.0, "exponent": 0.9, "floor": 0.1}),
    ],
)
def test_intervals_cover_the_truth(monkeypatch, law, truth):
    """95 % intervals from 24 seeds cover at 92-95 %; five binomial standard errors of 200 sets are 9 %."""
    monkeypatch.setattr(solve, "STARTS", {1: 4})  # enough for one smooth curve, and six times cheaper
    y = np.asarray(law.shape(X, **truth))
    fits = [quick(law, curve(noisy(y, root=root)), root=root) for root in range(SETS)]
    for name, value in truth.items():
        covered = np.mean([f[name].low <= value <= f[name].high for f in fits])
        assert 0.84 < covered < 1, f"{name}: {covered:.3f} of the intervals cover"
        pulls = np.array([(f[name].value - value) / f[name].seeds for f in fits])
        assert 0.7 < pulls.std() < 1.4, f"{name}: errors misjudged by {pulls.std():.2f}"


@pytest.mark.parametrize("space", ["log", "raw"])
def test_scipy_agrees(space):
    data = noisy(0.1 + 3 * X**-0.9)
    found = quick(power_floor.LAW, curve(data), space=space)
    sigma = found.error / found.y if space == "log" else found.error

    def model(x, amplitude, exponent, floor):
        y = floor + amplitude * x**-exponent
        return np.log(y) if space == "log" else y

    target = np.log(found.y) if space == "log" else found.y
    oracle, _ = curve_fit(model, X, target, p0=(2.0, 1.0, 0.2), sigma=sigma, bounds=(0, np.inf), xtol=1e-12, ftol=1e-12)
    np.testing.assert_allclose(found.y, data.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose([float(e) for e in found.estimates.values()], oracle, rtol=1e-4)


def test_float32_outside_stays_float32():
    quick(power.LAW, curve(noisy(X**-0.5)))
    assert not jax.config.jax_enable_x64
    assert (jnp.ones(2) * 1.5).dtype == jnp.float32
    assert jax.jit(lambda x: x + 1)(np.float64(1.0)).dtype == jnp.float32


@pytest.mark.parametrize("root", range(6))
def test_the_floor_is_never_negative(root):
    """Data that bend down, below any floor."""
    found = quick(power_floor.LAW, curve(noisy(X**-0.5 * np.exp(-X / 400), root=root)), root=root)
    assert found["floor"].value >= 0 and found["floor"].low >= 0
    assert np.all(found.replicas[:, 2] >= 0)


def test_huber_resists_one_outlier():
    y = 3 * X**-0.7
    y[4] *= 10
    squares, robust = (float(quick(power.LAW, curve(y), huber=h)["exponent"]) for h in (None, 1e-3))
    assert abs(robust - 0.7) < 1e-2
    y[0] *= 10
    squares = float(quick(power.LAW, curve(y))["exponent"])
    assert abs(squares - 0.7) > 0.1


@pytest.mark.parametrize(
    "y, status",
    [
        (1 + 0.5 * np.sin(3 * np.log(X)), "failed"),
        (noisy(np.ones_like(X), noise=0.3), "failed"),
        (X**-0.5 * (1 + 0.5 * np.sin(3 * np.log(X))), "weak"),
        (noisy(X**-0.5 * (1 + 0.3 * np.sin(3 * np.log(X))), noise=0.01), "weak"),
    ],
    ids=["oscillation", "constant with noise", "power with oscillation", "small seed noise"],
)
def test_no_success_on_data_that_follow_no_power_law(y, status):
    found = quick(power.LAW, curve(y))
    assert found.status == status and found.reasons
    assert found.reasons[0] in str(found) and f"[{status}]" in str(found)


def test_window_interval_sees_a_correction_to_scaling():
    straight, bent = (quick(power.LAW, curve(X**-0.5 * (1 + c / X)))["exponent"] for c in (0.0, 2.0))
    assert straight.window < 1e-8 < 0.05 < bent.window
    large = quick(power.LAW, curve(X**-0.5 * (1 + 2.0 / X)).isel(size=slice(4, None)))["exponent"]
    assert abs(large.value - 0.5) < abs(bent.value - 0.5)


def test_predictions_pass_through_the_points_with_a_band_around_them():
    found = quick(power.LAW, curve(noisy(2 * X**-0.5)))
    middle, low, high = found.predict([1.0, 100.0])
    np.testing.assert_allclose(middle, float(found["amplitude"]) * np.array([1.0, 100.0]) ** -float(found["exponent"]))
    assert np.all(low < middle) and np.all(middle < high)
    assert found.covariance.shape == (2, 2)


def test_diverged_seeds_are_left_out():
    data = noisy(2 * X**-0.5, seeds=6)
    holed = np.concatenate([data, np.full((len(X), 1), np.nan)], axis=1)
    np.testing.assert_allclose(quick(power.LAW, curve(holed)).y, quick(power.LAW, curve(data)).y)
    holed[3] = np.nan  # a point without any seed goes altogether
    assert quick(power.LAW, curve(holed)).x.tolist() == np.delete(X, 3).tolist()


@pytest.mark.parametrize("values", [2 * X**-0.5, (2 * X**-0.5)[:, None]], ids=["no seed axis", "one seed"])
def test_a_single_seed_works(values):
    found = quick(power.LAW, curve(values))
    assert float(found["exponent"]) == pytest.approx(0.5)
    assert len(found.replicas) == 0 and np.all(found.error == 0)


def test_an_estimate_prints_both_errors():
    assert str(Estimate(0.51234, 0.0123, 0.0344, 0.49, 0.53)) == "0.512 ± 0.012 (seeds) ± 0.034 (window)"
    assert str(quick(power.LAW, curve(noisy(X**-0.5)))).splitlines()[0] == r"loss = A x^{-\beta}   [ok]"


def test_statistics_over_seeds():
    data = noisy(2 * X**-0.5, noise=1.0, seeds=5)
    for statistic, expected in (
        ("mean", data.mean(axis=1)),
        ("median", np.median(data, axis=1)),
        ("log mean", np.exp(np.log(data).mean(axis=1))),
    ):
        np.testing.assert_allclose(quick(power.LAW, curve(data), statistic=statistic).y, expected)


def test_median_of_censored_times():
    """Times that never came are infinite; the median stays a number while fewer than half are."""
    data = noisy(2 * X**1.0, noise=0.1, seeds=21)
    data[:, :7] = np.inf
    assert abs(float(quick(power.LAW, curve(data), statistic="median")["exponent"]) + 1) < 0.1


def test_local_slopes_of_a_power_law_are_its_exponent():
    slopes = local_slopes(curve(2 * X**-0.7), x="size")
    np.testing.assert_allclose(slopes["slope"], -0.7, rtol=1e-10)
    np.testing.assert_allclose(slopes["size"], np.sqrt(X[1:] * X[:-1]))
    assert np.all(np.isnan(slopes["error"]))  # one seed: no error is known


def test_local_slopes_have_errors_of_the_right_size():
    seeds, noise = 50, 0.2
    slopes = local_slopes(curve(noisy(2 * X**-0.7, seeds=seeds, noise=noise)), x="size")
    expected = np.sqrt(2 / seeds) * noise / np.log(X[1] / X[0])
    assert 0.7 * expected < slopes["error"].mean() < 1.3 * expected
    assert np.all(abs(slopes["slope"] + 0.7) < 5 * slopes["error"])


@pytest.mark.parametrize(
    "data, options, error, message",
    [
        (curve(X[:2] ** -0.5, X[:2]), {}, FitError, "2 distinct size cannot fit the 2 parameters of 'power'"),
        (curve(np.where(X > 3, np.nan, X)), {}, FitError, r"some have no finite value\)"),
        (curve(np.where(X > 3, np.inf, X)), {}, FitError, "some seeds are infinite there: statistic='median' needs"),
        (curve(1 - X), {}, FitError, r"loss is not positive at size=\[1\.0.*space='raw'"),
        (curve(X**-0.5, x=X - 1), {}, FitError, r"size must be positive for a scaling law; got \[0\.0\]"),
        (curve(X), {"x": "alpha"}, FitError, r"x='alpha' is no dimension of the data; choose from \['size'\]"),
        (curve(X).expand_dims(d=[4, 8]), {}, FitError, r"still have dimension\(s\) \['d'\].*\.sel\(d="),
        (curve(noisy(X)), {"statistic": "mode"}, ValueError, "statistic must be one of .*'mode'"),
        (curve(-noisy(X)), {"statistic": "log mean"}, ValueError, "'log mean' needs positive values"),
    ],
)
def test_refusals(data, options, error, message):
    with pytest.raises(error, match=message):
        quick(power.LAW, data, **options)


def test_an_unknown_space_is_refused():
    with pytest.raises(ValueError, match="space"):
        quick(power.LAW, curve(X), space="lgo")


def test_the_objective_is_hubers():
    """Half the squares within delta and straight lines beyond it: scipy's sum, of the weighted residuals."""
    from scipy.special import huber

    y = 3 * X**-0.7 * np.exp(0.1 * np.random.default_rng(0).normal(size=len(X)))
    result = quick(power.LAW, curve(y), huber=0.05)
    residual = np.sqrt(result.weight) * result.residual
    assert 2 <= np.sum(np.abs(residual) > 0.05) <= len(X) - 2
    assert result.goodness["objective"] == pytest.approx(huber(0.05, residual).sum(), rel=1e-9)


def test_a_table_of_another_size_compiles_nothing():
    """Sizes are padded to a ladder: 10, 11 and 12 points are one program."""
    rng = np.random.default_rng(0)

    def table(n):
        x = np.geomspace(10, 1e4, n)
        return {"x": x, "y": 2 * x**-0.5 * np.exp(0.01 * rng.normal(size=n))}

    fit(power.LAW, table(10), x="x", y="y", progress=False)
    with jax.log_compiles():
        before = programs_made()
        for n in (11, 12):
            found = fit(power.LAW, table(n), x="x", y="y", progress=False)
            assert abs(found["exponent"].value - 0.5) < 5 * found["exponent"].seeds
        assert programs_made() == before


def programs_made():
    """How many programs the solver and the law's evaluators hold."""
    from jaxscale.fitting import law, solver

    laws = [f(power.LAW)._cache_size() for f in (law._curves, law._tangents)]
    return (solver._programs.cache_info().misses, *laws)


def test_intervals_of_few_seeds_and_few_runs_hold_the_truth():
    """80 sets of 3 seeds and of 9 runs: .95 within four binomial errors, and errors of the size of the truth's."""
    x, rng = np.geomspace(32, 4096, 9), np.random.default_rng(0)
    for seeds in (3, 1):
        held, values, claimed = [], [], []
        for root in range(80):
            y = 7.3 * x[:, None] ** -0.34 * np.exp(0.02 * rng.normal(size=(9, seeds)))
            data = {"x": x, "y": y[:, 0]} if seeds == 1 else xarray.DataArray(y, {"x": x}, ("x", "seed"))
            how = {"y": "y"} if seeds == 1 else {}
            e = fit(power.LAW, data, x="x", root=root, progress=False, **how)["exponent"]
            held.append(e.low <= 0.34 <= e.high)
            values.append(e.value)
            claimed.append(e.seeds)
        assert 0.85 <= np.mean(held) < 1
        assert 0.75 < np.median(claimed) / np.sqrt(np.mean((np.array(values) - 0.34) ** 2)) < 1.3


WRONG = {  # what is no power law, though a plot in logarithms is straight: y of x from 10 to 10,000
    "floor": lambda x: 2 * x**-0.5 + 0.02,
    "logarithmic correction": lambda x: x**-0.5 * (1 + np.log(x)),
    "two powers": lambda x: 5 / x + x**-0.3,
    "logarithm": lambda x: 5 - 0.4 * np.log(x),
    "bump": lambda x: 2 * x**-0.5 * (1 + 0.8 * np.exp(-0.5 * (np.log(x / 300) / 0.5) ** 2)),
    "step": lambda x: 2 * x**-0.5 * np.where(x > 500, 0.9, 1.0),  # ten times the noise; half of it would often pass
}


def test_a_wrong_law_is_not_ok_and_a_right_one_is():
    """12 runs with 1 % noise, 6 of each wrong set and 30 right ones; the reason names a law to try."""
    x, rng = np.geomspace(10, 1e4, 12), np.random.default_rng(0)
    for name, curve in WRONG.items():
        found = [fit(power.LAW, {"x": x, "y": curve(x) * np.exp(0.01 * rng.normal(size=12))}, x="x", y="y") for _ in range(6)]
        assert sum(f.status == "ok" for f in found) <= 1, name
        assert any("try power_floor" in reason for f in found for reason in f.reasons), name
    right = [fit(power.LAW, {"x": x, "y": 2 * x**-0.5 * np.exp(0.01 * rng.normal(size=12))}, x="x", y="y") for _ in range(30)]
    assert sum(f.status == "ok" for f in right) >= 26
