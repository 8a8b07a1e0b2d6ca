"""Boundaries: exact crossings, bands that cover, and nothing invented where there is no crossing."""

import numpy as np
import pytest
import xarray

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


def test_without_noise_only_what_lies_between_the_cells_is_left_open():
    """A straight line is straight between its cells too; a curve leaves room, and the truth lies in it."""
    found = boundary(noisy(2, noise=0.0), along="alpha", level=5.0)
    np.testing.assert_allclose(found["position"], 5, rtol=1e-2)
    assert np.all(found["high"] - found["low"] < 0.2) and np.all(found["status"] == "established")
    assert found.position.dims == ("set",)
    bent = xarray.DataArray(np.tile(np.sqrt(X)[:, None], 3), {"alpha": X}, ("alpha", "seed"))
    bent = boundary(bent, along="alpha", level=2.2)
    assert bent["low"] < 2.2**2 < bent["high"] and 1e-3 < bent["high"] - bent["low"] < 3


def logistic(z):
    return 1 / (1 + np.exp(-z))


def cloglog(z):
    return 1 - np.exp(-np.log(2) * np.exp(0.7 * z))


EVEN, UNEVEN = np.linspace(0, 1, 9), np.array([0, 0.05, 0.12, 0.2, 0.4, 0.42, 0.47, 0.52, 0.6, 0.8, 0.9, 1.0])
OUTCOMES = {  # name: (cells, scale, seeds, outcomes of a curve that passes the level at z = 0, level, statistic)
    "sharp logistic": (EVEN, 0.02, 16, lambda r, z, s: r.random((*z.shape, s)) < logistic(z)[..., None], 0.5, "mean"),
    "cloglog, uneven": (UNEVEN, 0.1, 8, lambda r, z, s: r.random((*z.shape, s)) < cloglog(z)[..., None], 0.5, "mean"),
    "step": (EVEN, 0.05, 32, lambda r, z, s: np.tanh(z)[..., None] + 0.3 * r.normal(size=(*z.shape, s)), 0.0, "mean"),
    "heavy tails": (UNEVEN, 0.3, 4, lambda r, z, s: np.tanh(z)[..., None] + 0.2 * r.standard_t(3, (*z.shape, s)), 0.0, "mean"),
    "relative": (EVEN, 0.1, 4, lambda r, z, s: np.exp(z)[..., None] * (1 + 0.2 * r.normal(size=(*z.shape, s))), 1.0, "mean"),
    "counts": (EVEN, 0.3, 8, lambda r, z, s: r.poisson(5 * np.exp(z)[..., None] * np.ones(s)), 5.0, "mean"),
    "censored": (EVEN, 0.3, 16, lambda r, z, s: censored(z[..., None] + 0.5 * r.normal(size=(*z.shape, s))), 1.0, "median"),
}  # fmt: skip


def censored(log_times):
    return np.where(log_times > 1.0, np.inf, np.exp(log_times))


@pytest.mark.parametrize("name", OUTCOMES)
def test_bands_hold_the_truth(name):
    """Four binomial standard errors of 80 sets below: .95 - 4 x .024; a step's band is its bracket, and holds always."""
    x, scale, seeds, draw, level, statistic = OUTCOMES[name]
    rng = np.random.default_rng(list(OUTCOMES).index(name))
    truth = rng.uniform(0.3, 0.7, 80)
    data = xarray.DataArray(
        np.asarray(draw(rng, (x - truth[:, None]) / scale, seeds), float), {"x": x}, ("set", "x", "seed")
    )  # fmt: skip
    found = boundary(data, along="x", level=level, statistic=statistic)
    sure = found["status"].values == "established"
    held = ((found["low"].values <= truth) & (truth <= found["high"].values))[sure]
    assert sure.mean() > 0.8 and held.mean() > 0.85
    assert np.all((found["high"] - found["low"]).values[sure] > 0)
    pulls = (found["position"].values - truth)[sure] / found["error"].values[sure]
    assert 0.4 < np.sqrt(np.mean(pulls**2)) < 1.5  # wide bands would hold anything


def test_band_covers_the_truth():
    """95 % bands of straight lines from 40 seeds; five binomial standard errors of 400 sets are 5 %."""
    found = boundary(noisy(400), along="alpha", level=5.0)
    assert np.all(found["status"] == "established")
    covered = float(np.mean((found["low"] <= 5) & (5 <= found["high"])))
    assert 0.88 < covered < 0.995
    pulls = (found["position"] - 5) / found["error"]
    assert 0.85 < float(pulls.std()) < 1.2 and abs(float(pulls.mean())) < 5 / 20


def test_no_band_where_the_level_is_hardly_passed():
    """The last mean sits at the level: its band would leave the range."""
    data = noisy(1).isel(set=0)
    found = boundary(data, along="alpha", level=float(data.mean("seed").max()))
    assert found["status"] == "not established"
    assert np.isnan(found["low"]) and np.isnan(found["high"]) and np.isnan(found["error"])


def test_a_saturated_bracket_is_the_band_at_least():
    """All fail up to .5 and all succeed from .625 on: nothing is known of what is between, however many seeds there are."""
    data = xarray.DataArray(np.repeat((EVEN > 0.55)[:, None], 1000, axis=1).astype(float), {"x": EVEN}, ("x", "seed"))
    found = boundary(data, along="x", level=0.5)
    assert found["low"] <= 0.5 and found["high"] >= 0.625 and found["high"] - found["low"] < 0.25


def test_band_narrows_with_the_square_root_of_the_seeds():
    few, many = (float(boundary(noisy(30, seeds=n), along="alpha", level=5.0)["error"].mean()) for n in (10, 160))
    assert 2.5 < few / many < 4.8  # less than 4: what lies between five cells does not narrow


def test_nothing_is_established_where_noise_passes_the_level():
    """The null: curves that do not depend on x, around the level; 95 % of them must not be given a passage."""
    rng = np.random.default_rng(0)
    flat = xarray.DataArray(rng.normal(size=(60, 9, 8)), {"x": EVEN}, ("set", "x", "seed"))
    assert np.mean(boundary(flat, along="x", level=0.0)["status"] != "not established") < 0.1
    coins = xarray.DataArray((rng.random((60, 9, 8)) < 0.5).astype(float), {"x": EVEN}, ("set", "x", "seed"))
    found = boundary(coins, along="x", level=0.5)
    unsure = found["status"].values == "not established"
    assert unsure.mean() > 0.9 and np.isnan(found["low"].values[unsure]).all() and np.isnan(found["error"].values[unsure]).all()


def test_a_hump_has_both_its_passages():
    """Up at .3 and down at .7; each can be asked for, and one alone says that there are several."""
    rng, places = np.random.default_rng(0), np.linspace(0, 1, 17)
    chance = logistic((0.2 - np.abs(places - 0.5)) / 0.04)
    data = xarray.DataArray((rng.random((20, 17, 32)) < chance[:, None]).astype(float), {"x": places}, ("set", "x", "seed"))
    both = boundary(data, along="x", level=0.5, passages=2)
    assert both["position"].dims == ("set", "passage")
    assert np.all(both["count"] == 2) and np.all(both["status"] == "established")
    assert np.all(both["direction"].values == [1, -1])
    held = (both["low"].values <= [0.3, 0.7]) & ([0.3, 0.7] <= both["high"].values)
    assert held.mean() > 0.82
    up, down, first = (boundary(data, along="x", level=0.5, direction=d) for d in ("up", "down", "any"))
    np.testing.assert_array_equal(up["position"], both["position"][:, 0])
    np.testing.assert_array_equal(down["position"], both["position"][:, 1])
    assert np.all(first["status"] == "several") and np.all(down["status"] == "established")


def test_censored_times_bound_the_crossing_through_the_median():
    """Beyond alpha = 4 most runs never finish: the median passes any level there, whatever the finished ones say."""
    data = noisy(3, noise=0.01)
    data[:, 3:, :30] = np.inf
    found = boundary(data, along="alpha", level=100.0, statistic="median")
    np.testing.assert_allclose(found["position"], 6.0, atol=1.5)
    assert np.all(found["low"] < 5) and np.all(found["high"] > 7)  # between the cells anything may be
    assert np.all(boundary(data[:, :3], along="alpha", level=100.0, statistic="median")["position"].isnull())


def test_a_minority_of_censored_runs_moves_the_median_little():
    data = noisy(3, noise=0.01)
    data[:, :, :10] = np.inf
    found = boundary(data, along="alpha", level=5.0, statistic="median")
    np.testing.assert_allclose(found["position"], 5, atol=0.02)


def test_cells_without_runs_say_nothing():
    data = noisy(3, noise=0.1)
    data[:, 2] = np.nan
    found = boundary(data, along="alpha", level=5.0)
    assert np.all(found["status"] == "established") and np.all(np.abs(found["position"] - 5) < 0.3)


def test_unknown_options_are_refused():
    with pytest.raises(ValueError, match="statistic must be one of"):
        boundary(noisy(1), along="alpha", level=5.0, statistic="mode")
    with pytest.raises(ValueError, match="direction must be 'up', 'down' or 'any'; got 'left'"):
        boundary(noisy(1), along="alpha", level=5.0, direction="left")
    with pytest.raises(ValueError, match="passages must be a whole number"):
        boundary(noisy(1), along="alpha", level=5.0, passages=0)
    with pytest.raises(ValueError, match="at least 3 values of it; got 2"):
        boundary(noisy(1)[:, :2], along="alpha", level=1.5)


def test_shared_random_numbers_and_crossed_seeds_have_the_errors_of_their_draws():
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
