"""Collapses, transitions and early warnings on planted truths, and on the two-dimensional Ising model."""

import numpy as np
import pytest
import xarray
from assertions import assert_mean
from potts import order, potts
from tables import published

from jaxscale.fitting.result import FitError
from jaxscale.phase.collapse_quality import quality
from jaxscale.phase.collapsing import collapse
from jaxscale.phase.transitions import bimodality, limit_of_crossings, transition
from jaxscale.phase.warning_signs import area_under_curve, early_warnings, ensemble, kendall, rolling
from jaxscale.theory import cover


def labelled(values, sizes, x, *more):
    return xarray.DataArray(values, {"L": np.asarray(sizes, float), "x": x}, ("L", "x", *more))


def planted(nu=1.33, zeta_over_nu=0.3, noise=0.01, seed=0):
    sizes, x = np.array([16, 32, 64, 128.0]), np.linspace(0.3, 0.7, 21)
    exact = sizes[:, None] ** zeta_over_nu / (1 + np.exp(-0.8 * sizes[:, None] ** (1 / nu) * (x - 0.5)))
    error = noise * sizes[:, None] ** zeta_over_nu + 0 * exact
    return labelled(exact + error * np.random.default_rng(seed).normal(size=exact.shape), sizes, x), labelled(error, sizes, x)


def test_a_planted_collapse_is_found():
    data, error = planted()
    found = collapse(data, error=error, progress=False)
    assert found.status == "ok" and 0.5 < found.quality < 2 and 0.5 < found.chi2 < 2 and found.reached > 0.2
    for name, truth in (("threshold", 0.5), ("nu", 1.33), ("exponent", 0.3)):
        assert found[name].low < truth < found[name].high, f"{name} {found[name]}"


def test_scaled_points_of_all_sizes_lie_on_the_planted_curve():
    data, error = planted(nu=1.7)
    found = collapse(data, error=error, process=False, progress=False)
    u, v, dv = found.scaled()
    assert len(u) == data.size and np.ptp(u) > 4  # none is left out, and the curve is seen from end to end
    assert np.max(np.abs(v - 1 / (1 + np.exp(-0.8 * u)))) < 0.08
    np.testing.assert_allclose(u, found.size ** (1 / found["nu"].value) * (found.control - found["threshold"].value))
    np.testing.assert_allclose(v, found.value / found.size ** found["exponent"].value)
    np.testing.assert_allclose(dv / v, found.error / found.value)


def test_every_listed_start_finds_the_basin_and_two_methods_agree():
    data, error = planted()
    listed = {"threshold": [0.4, 0.4, 0.6, 0.6, 0.5], "nu": [0.7, 2.5, 0.7, 2.5, 1.0], "exponent": [0.0] * 5}
    found = collapse(data, error=error, starts=listed, progress=False)
    assert found.reached == 1.0 and found.status == "ok" and set(found.polynomial) == {"threshold", "nu", "exponent"}
    for name, truth in (("threshold", 0.5), ("nu", 1.33), ("exponent", 0.3)):
        assert abs(found.polynomial[name] - truth) < 4 * found[name].seeds
        assert f"{name} {found.polynomial[name]:.5g}" in str(found)
    with pytest.raises(ValueError, match=r"lists of equal length for each of \['exponent', 'nu', 'threshold'\]"):
        collapse(data, error=error, starts={"threshold": [0.5], "nu": [1.0, 2.0], "exponent": [0.0]})
    with pytest.raises(ValueError, match="nu not 0"):
        collapse(data, error=error, starts={"threshold": [0.5], "nu": [0.0], "exponent": [0.0]})


@pytest.mark.slow
def test_intervals_of_collapses_cover():
    held = [[] for _ in range(3)]
    for seed in range(60):
        data, error = planted(seed=seed)
        found = collapse(data, error=error, process=False, progress=False)
        for i, (name, truth) in enumerate((("threshold", 0.5), ("nu", 1.33), ("exponent", 0.3))):
            held[i].append(found[name].low < truth < found[name].high)
    for one in held:
        assert 0.85 <= np.mean(one) <= 1.0


@pytest.mark.published("T15")
def test_ising_binder_ratio():
    """T15: K_c = ln(1 + sqrt 2) / 2, nu = 1; by the polynomial master curve and by the Gaussian process."""
    rows = np.loadtxt(published("ising2d/ising-square-B.dat"))
    sizes, x = np.unique(rows[:, 0]), np.unique(rows[:, 1])
    values, errors = np.full((2, len(sizes), len(x)), np.nan)
    at = np.searchsorted(sizes, rows[:, 0]), np.searchsorted(x, rows[:, 1])
    values[at], errors[at] = rows[:, 2], rows[:, 3]
    found = collapse(labelled(values, sizes, x), error=labelled(errors, sizes, x), exponent=0, progress=False)
    critical = np.log(1 + np.sqrt(2)) / 2
    assert found.status == "ok" and found.chi2 < 1.5
    assert abs(found["threshold"].value - critical) < 3 * np.hypot(found["threshold"].seeds, found["threshold"].window)
    assert abs(found["nu"].value - 1) < 0.01
    assert abs(found["threshold"].value - critical) < 1e-5 and found["threshold"].low < critical < found["threshold"].high
    assert found.polynomial["threshold"] == pytest.approx(critical, abs=3e-5)


def test_covers_function_has_capacity_two():
    for n in (1, 2, 5, 40):
        assert cover.separable(2 * n, n) == 0.5 and cover.separable(n, n) == 1.0
    big = cover.separable(np.array([2 * 4000 + 63, 2 * 4000 - 63]), 4000)
    np.testing.assert_allclose(big, cover.limit(np.array([63, -63]) / np.sqrt(4000)), atol=4e-3)
    sizes, x = np.array([64, 128, 256, 512]), np.arange(1.625, 2.38, 0.03125)
    exact = np.array([cover.separable(np.round(x * n), n) for n in sizes])
    rng = np.random.default_rng(0)
    seeds = rng.random((*exact.shape, 400)) < exact[..., None]
    found = collapse(labelled(seeds.astype(float), sizes, x, "seed"), exponent=0, progress=False)
    assert found.status == "ok" and abs(found["threshold"].value - 2) < 0.01 and abs(found["nu"].value - 2) < 0.15
    assert found["nu"].low < 2.0 < found["nu"].high


def test_curves_that_do_not_collapse_fail():
    data, error = planted()
    found = collapse(data + 0.5 * np.log(data["L"]) * np.cos(9 * data["x"]), error=error, progress=False)
    assert found.status == "failed" and "do not share a curve" in found.reasons[0]


def test_the_quality_of_the_true_exponents_is_one():
    scores = []
    for seed in range(20):
        data, error = planted(seed=seed)
        size, x = (a.ravel() for a in np.meshgrid(data["L"], data["x"], indexing="ij"))
        flat = (size, x, data.values.ravel(), error.values.ravel())
        scores.append(quality(*flat, threshold=0.5, nu=1.33, exponent=0.3).value)
    assert_mean(np.array(scores), 1.0, precision=0.05)
    assert quality(*flat, threshold=0.55, nu=1.33, exponent=0.3).value > 5


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda d: (d.isel(L=[0]), {}), "at least 2 sizes"),
        (lambda d: (d, {"error": None}), "weighs its points"),
        (lambda d: (d, {"size": "d"}), "'d' is no dimension"),
        (lambda d: (d.expand_dims(time=[1, 2]), {}), "still have dimension"),
        (lambda d: (d.isel(x=slice(0, 3)), {}), "points cannot fit"),
        (lambda d: (d * np.nan, {}), "errors are zero or missing"),
    ],
)
def test_collapse_refuses(change, message):
    data, error = planted()
    data, options = change(data)
    with pytest.raises(FitError, match=message):
        collapse(data, **({"error": error} | options), progress=False)


def transitions(draw, volume, seeds=400):
    rng, sizes, x = np.random.default_rng(1), np.array([8, 16, 32, 64]), np.linspace(-1, 1, 11)
    values = np.stack([[draw(rng, n, v, seeds) for v in x] for n in sizes])
    return transition(labelled(values, sizes, x, "seed"), volume=volume(sizes))


def curie_weiss(rng, n, x, seeds):
    from scipy.special import gammaln

    spins = n * n // 4
    m = np.arange(-spins, spins + 1, 2) / spins
    weight = -gammaln(spins * (1 + m) / 2 + 1) - gammaln(spins * (1 - m) / 2 + 1) + (1 + 0.2 * x) * spins * m**2 / 2
    p = np.exp(weight - weight.max())
    return np.abs(rng.choice(m, seeds, p=p / p.sum()))


def test_verdicts_on_three_kinds_of_transition():
    two_phases = transitions(
        lambda rng, n, x, s: np.where(rng.random(s) < 1 / (1 + np.exp(-n * x)), 1, -1) + 0.3 * rng.normal(size=s) / n**0.5,
        lambda n: n,
    )
    assert two_phases.kind == "first-order" and two_phases.growth[0] == pytest.approx(1, abs=0.05)
    smooth = transitions(lambda rng, n, x, s: np.tanh(x) + 0.5 * rng.normal(size=s) / n**0.5, lambda n: n)
    assert smooth.kind == "crossover"
    critical = transitions(curie_weiss, lambda n: n * n / 4)
    assert critical.kind == "continuous" and "cross" in str(critical)
    last = critical.crossings.isel(pair=-1)  # smaller pairs drift
    assert abs(float(last["position"])) < 3 * float(last["error"])
    few = transitions(curie_weiss, lambda n: n * n / 4, seeds=10)
    assert few.kind == "not decidable" and "10 seeds" in few.reason


def test_a_threshold_where_no_curve_changes_is_not_ok():
    """Onsets that move as the logarithm of the size collapse beautifully, at a threshold far outside of them."""
    rng, sizes, x = np.random.default_rng(3), np.array([8.0, 16, 24, 32]), np.arange(1.0, 6.01, 0.5)
    moving = 1 / (1 + np.exp(-6 * (x - 0.6 - 0.6 * np.log(sizes)[:, None])))
    drawn = (rng.random((4, 11, 96)) < moving[..., None]).astype(float)
    won = xarray.DataArray(drawn, {"n": sizes, "load": x}, ("n", "load", "seed"))
    found = collapse(won, size="n", control="load", exponent=0, degree=5, progress=False)
    assert found.status != "ok", str(found)


def test_crossings_that_drift_are_followed_to_the_limit():
    """Crossings of neighbouring sizes at 1 + 2 / L: seeds around a mean whose Binder cumulants cross there."""
    pair, error = np.array([16.0, 32, 64]), np.array([0.01, 0.01, 0.01])
    crossings = xarray.Dataset({"position": ("pair", 1 + 2 / pair), "error": ("pair", error)}, {"pair": pair})
    limit, error = limit_of_crossings(crossings)
    assert limit == pytest.approx(1.0) and 0.005 < error < 0.05
    assert np.isnan(limit_of_crossings(crossings.isel(pair=slice(2)))[0])


def test_axes_that_do_not_increase_are_refused():
    data = labelled(np.zeros((2, 3, 40)), [8, 16], np.array([0.0, 1.0, 0.5]), "seed")
    with pytest.raises(ValueError, match="coordinate 'x' must increase"):
        transition(data)


def test_seeds_that_all_diverged_decide_nothing():
    data = labelled(np.full((2, 3, 40), np.nan), [8, 16], np.array([0.0, 0.5, 1.0]), "seed")
    assert transition(data).kind == "not decidable"


def test_real_series_are_told_apart_from_their_control():
    """An individual-based simulation that approaches collapse, and its control."""
    rows = np.genfromtxt(published("early_warning_series/ibms.csv"), delimiter=",", names=True)
    rising, control = (early_warnings(rows[name], indicator="variance", detrend=False, surrogates=300) for name in ("y0", "y1"))
    assert rising.p[0] < control.p[0]
    glaciation = np.genfromtxt(published("early_warning_series/glaciation.csv"), delimiter=",", names=True)["y0"]
    found = early_warnings(glaciation, indicator="autocorrelation", detrend=False, surrogates=300)
    assert found.tau[0] > 0 and 0 < found.p[0] <= 1


def test_binder_of_a_normal_distribution_is_zero():
    values = np.random.default_rng(2).normal(size=(1, 200, 400))
    found = transition(labelled(values, [8], np.arange(200.0), "seed"))
    assert_mean(found.table["binder"].values.ravel(), 0.0, precision=0.02, sigmas=6)
    z = found.table["binder"].values / found.table["binder_error"].values
    assert 0.8 < z.std() < 1.3  # jackknife errors are honest
    assert found.kind == "not decidable" and found.reason == "one size only"


def test_bimodality():
    rng = np.random.default_rng(3)
    one, two = rng.normal(size=(50, 300)), rng.normal(size=(50, 300)) + 4 * (rng.random((50, 300)) < 0.5)
    assert np.all(bimodality(two) > 0) and np.mean(bimodality(one) > 0) < 0.05


def ornstein_uhlenbeck(rate, count, seed):
    rng, x = np.random.default_rng(seed), np.zeros((count, len(rate)))
    for t in range(1, len(rate)):
        decay = np.exp(-rate[t])
        x[:, t] = decay * x[:, t - 1] + np.sqrt((1 - decay**2) / (2 * rate[t])) * rng.normal(size=count)
    return x


@pytest.mark.parametrize("steps, expected", [(100, 0.756), (250, 0.919), (1000, 0.999)])
def test_warning_before_a_fold(steps, expected):
    """The table of Boettiger's toy: k from .5 to .02 against k = .5, half-windows, 200 series."""
    signal = kendall(rolling(ornstein_uhlenbeck(np.linspace(0.5, 0.02, steps), 200, 0)))
    null = kendall(rolling(ornstein_uhlenbeck(np.full(steps, 0.5), 200, 1)))
    assert area_under_curve(signal, null) == pytest.approx(expected, abs=0.05)
    assert 0.4 < null.std() < 0.55  # an uncalibrated threshold finds warnings everywhere


@pytest.mark.slow
def test_surrogates_calibrate_the_null():
    found = early_warnings(ornstein_uhlenbeck(np.full(250, 0.5), 400, 2), indicator="variance", detrend=False, surrogates=200)
    assert 0.03 <= np.mean(found.p <= 0.05) <= 0.07
    rising = early_warnings(
        ornstein_uhlenbeck(np.linspace(0.5, 0.02, 250), 100, 3), indicator="variance", detrend=False, surrogates=200
    )
    assert np.mean(rising.p <= 0.05) > 0.45


def test_ensembles_need_no_window():
    rate = np.linspace(0.5, 0.05, 300)
    variance, memory = ensemble(ornstein_uhlenbeck(rate, 4000, 4))
    assert variance[280] == pytest.approx(1 / (2 * rate[280]), rel=0.15)
    assert memory[280] == pytest.approx(np.exp(-rate[280]), abs=0.03)
    refusals = {
        "at least 3 seeds": lambda: ensemble(np.zeros((2, 5))),
        "at least 4": lambda: rolling(np.zeros(5)),
        "must be finite": lambda: early_warnings(np.full(50, np.nan)),
    }
    for message, call in refusals.items():
        with pytest.raises(ValueError, match=message):
            call()


def labelled_seeds(values, sizes, x):
    return labelled(values, sizes, x, "seed")


def test_what_is_no_first_order_transition_is_not_called_one():
    """Nulls: 0/1 outcomes, two symmetric branches whose distance shrinks, skewed seeds of one distribution; 60 seeds each."""
    sizes, x = np.array([8.0, 16, 32, 64]), np.linspace(-1, 1, 13)
    first = 0
    for key in range(10):
        rng = np.random.default_rng(key)
        won = rng.random((4, 13, 60)) < (1 / (1 + np.exp(-3 * x * sizes[:, None])))[..., None]
        scaled = x * sizes[:, None]
        far = np.abs(scaled)
        size = sizes[:, None] ** -0.125 * np.where(scaled > 0, (far + 0.2) ** 0.125, 0.6 / (1 + far) ** 0.9)
        branch = np.where(rng.random((4, 13, 60)) < 0.5, -1, 1)
        noise = (0.2 / (1 + np.abs(scaled)) * sizes[:, None] ** -0.125)[..., None] * rng.normal(size=(4, 13, 60))
        skewed = np.exp(2 * x[:, None] + 0.7 * rng.normal(size=(4, 13, 60)))
        for values in (won.astype(float), branch * (size[..., None] + noise), skewed):
            first += transition(labelled_seeds(values, sizes, x)).kind == "first-order"
    assert first <= 1  # of 30
    assert "absolute value" in transition(labelled_seeds(branch * (size[..., None] + noise), sizes, x)).reason


def test_potts_models_of_two_and_of_ten_states_are_told_apart():
    """Simulated by clusters, at sizes that take seconds: continuous for q = 2, first order for q = 10."""
    kinds = {}
    for q, sizes, width in ((2, (8, 16, 32), 0.08), (10, (8, 12, 16), 0.03)):
        rng, critical = np.random.default_rng(q), np.log(1 + np.sqrt(q))
        x = critical * (1 + np.linspace(-width, width, 7))
        sweeps = 60 if q == 2 else 100
        values = [[order(potts(q, size, k, 100, sweeps=sweeps, rng=rng))[-1] for k in x] for size in sizes]
        volume = np.array(sizes, float) ** 2
        kinds[q] = transition(labelled_seeds(np.array(values), np.array(sizes, float), x), volume=volume).kind
    assert kinds == {2: "continuous", 10: "first-order"}


@pytest.mark.slow
@pytest.mark.parametrize("lattice, critical", [("square", np.log(1 + np.sqrt(2))), ("triangular", np.log(3) / 2)])
def test_simulated_ising_models_collapse_at_their_critical_points(lattice, critical):
    """Binder ratios from -.05 to .999 over a wide window, 8 to 32 sites wide: K_c within 2 of the printed errors."""
    sizes, x, rng = np.array([8.0, 16, 32]), critical * (1 + np.linspace(-0.25, 0.25, 15)), np.random.default_rng(5)
    values, errors = np.empty((2, 3, 15))
    for i, size in enumerate(sizes):
        for j, k in enumerate(x):
            m = 2 * potts(2, int(size), k, 32, sweeps=90, every=3, lattice=lattice, rng=rng)[..., 0] - 1
            squares, fourths = (m**2).mean(0), (m**4).mean(0)
            pick = rng.integers(0, 32, (100, 32))
            again = 1.5 * (1 - fourths[pick].mean(1) / (3 * squares[pick].mean(1) ** 2))
            values[i, j], errors[i, j] = 1.5 * (1 - fourths.mean() / (3 * squares.mean() ** 2)), max(again.std(), 1e-4)
    found = collapse(labelled(values, sizes, x), error=labelled(errors, sizes, x), exponent=0, progress=False)
    assert found.status == "ok"
    reach = (found["threshold"].high - found["threshold"].low) / 3.92
    assert abs(found["threshold"].value - critical) < 2 * reach and reach < 0.02 * critical
    assert abs(np.log(found["nu"].value)) < 0.15


def test_a_clean_collapse_on_a_coarse_grid_is_not_failed():
    """Neighbours on a coarse grid are joined by straight lines in S, which is then large; the curves agree all the same."""
    sizes, x, rng = np.array([16.0, 32, 64, 128]), np.linspace(0.3, 0.7, 15), np.random.default_rng(0)
    exact = sizes[:, None] ** -0.25 / (1 + np.exp(-(sizes[:, None] ** (1 / 1.2)) * (x - 0.5)))
    noisy = exact[..., None] * (1 + 0.15 * rng.normal(size=(4, 15, 100)))
    found = collapse(labelled_seeds(noisy, sizes, x), starts=32, resamples=20, progress=False)
    assert found.status == "ok" and found.chi2 < 2
    for name, truth in (("threshold", 0.5), ("nu", 1.2)):
        assert found[name].low <= truth <= found[name].high


def test_warnings_need_variance_and_memory_and_no_moving_mean():
    """Nulls: a mean that bends, and noise that doubles at a constant rate; 7 % and three binomial errors of 60 series."""
    steps = np.arange(100)
    noise = ornstein_uhlenbeck(np.full(100, 0.5), 60, 4)
    bend = noise + 3 * (steps / 100) ** 2
    louder = noise * (1 + steps / 100)
    for null in (noise, bend, louder):
        assert np.mean(early_warnings(null, surrogates=60).p <= 0.05) < 0.07 + 3 * 0.033
    slowing = ornstein_uhlenbeck(np.linspace(0.9, 0.02, 250), 40, 5)
    assert np.mean(early_warnings(slowing, surrogates=60).p <= 0.05) > 0.15
