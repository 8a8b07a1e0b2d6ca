"""Comparison, profiles, crossovers, learning-curve levels, isoflop optima, reports: on planted truths."""

import dataclasses
import json

import numpy as np
import pytest

from jaxscale.cli import main
from jaxscale.cli.codes import BAD_INPUT, FAILED, OK
from jaxscale.fitting import isoflop, report
from jaxscale.fitting.comparison import compare
from jaxscale.fitting.crossovers import crossover
from jaxscale.fitting.curve_fit import FitError, fit
from jaxscale.fitting.laws import bnsl, chinchilla, power, power_floor
from jaxscale.fitting.level_trends import levels
from jaxscale.fitting.profiles import profile
from jaxscale.fitting.simulated_coverage import simulated

N = np.geomspace(10, 1e4, 30)


def runs(y, noise=0.01, seed=0):
    return {"n": N, "loss": y * np.exp(noise * np.random.default_rng(seed).normal(size=len(N)))}


FLOOR, PLAIN = runs(2 * N**-0.5 + 0.1), runs(2 * N**-0.5)
HOW = dict(x="n", y="loss", resamples=100)


def test_a_floor_is_supported_where_there_is_one():
    found = compare([power, power_floor], FLOOR, **HOW)
    assert found.best.law.name == "power_floor" and any("a floor is supported" in line for line in found.findings)
    without = compare([power, power_floor], PLAIN, **HOW)
    assert any("a floor is not supported" in line for line in without.findings)
    assert "power_floor" in str(found) and found.rows[0].hold_out < found.rows[1].hold_out


@pytest.mark.parametrize("count", [6, 9, 30])
def test_information_criteria_are_those_of_the_books(count):
    """AICc = -2 ln L + 2 k + 2 k (k + 1) / (n - k - 1), BIC = -2 ln L + k ln n; k counts the variance (Hurvich & Tsai 1989)."""
    few = {name: values[:count] for name, values in PLAIN.items()}
    (row,) = compare([power], few, **HOW).rows
    fall, level = np.polyfit(np.log(few["n"]), np.log(few["loss"]), 1)
    residual = np.log(few["loss"]) - level - fall * np.log(few["n"])
    likelihood, k = count * np.log(np.mean(residual**2)), 3
    assert row.aic == pytest.approx(likelihood + 2 * k + 2 * k * (k + 1) / (count - k - 1), abs=1e-4)
    assert row.bic == pytest.approx(likelihood + k * np.log(count), abs=1e-4)


def test_laws_that_cannot_be_fitted_are_named():
    few = {name: values[::6] for name, values in FLOOR.items()}
    found = compare([power, bnsl], few, **HOW)
    assert "bnsl" in found.refused and len(found.rows) == 1
    with pytest.raises(FitError, match="no law could be fitted"):
        compare([bnsl], few, **HOW)


def test_profile_of_a_determined_parameter_agrees_with_its_bootstrap():
    found = fit(power_floor, FLOOR, **HOW)
    p = profile(found, "exponent")
    assert not p.open_low and not p.open_high and p.minima == 1 and p.depth.min() == pytest.approx(0, abs=1e-6)
    assert p.low < 0.5 < p.high
    assert p.high - p.low == pytest.approx(found["exponent"].high - found["exponent"].low, rel=0.5)
    with pytest.raises(KeyError, match="choose from"):
        profile(found, "slope")


def test_profile_says_when_the_data_set_no_limit():
    found = fit(power_floor, PLAIN, **HOW)
    assert profile(found, "floor").open_low  # no floor at all is as good


def test_coverage_simulated_from_a_fit():
    found = simulated(fit(power, PLAIN, **HOW), sets=60, resamples=60)
    assert found.covered["exponent"] > 0.8


def test_crossover_with_its_uncertainty():
    first, second = (fit(power, runs(a * N**-b, 0.03, s), **HOW) for a, b, s in ((3.0, 0.5, 1), (1.5, 0.35, 2)))
    found = crossover(first, second, to=1e5)
    truth = 2 ** (1 / 0.15)
    assert found.low < truth < found.high and found.none < 0.05 and found.first_lower > 0.95
    never = crossover(first, fit(power, runs(6 * N**-0.5, 0.03, 3), **HOW), to=1e5)
    assert never.none > 0.5 and np.isnan(never.position) and "none" in str(never)
    with pytest.raises(ValueError, match="positive and increasing"):
        crossover(first, second, to=1.0)


def test_the_interval_of_a_crossover_whose_logarithm_is_normal():
    """Amplitudes that are normal in their logarithm: ln x = (ln a - ln a') / (b - b') is normal too, and the band is known."""
    rng, fits = np.random.default_rng(0), []
    for amplitude, exponent, spread in ((3.0, 0.5, 0.03), (1.5, 0.35, 0.04)):
        logs = np.log(amplitude) + spread * rng.normal(size=20_000)
        found = fit(power, runs(amplitude * N**-exponent, 1e-6), **HOW)
        fits.append(dataclasses.replace(found, replicas=np.stack([np.exp(logs), np.full(len(logs), exponent)], axis=1)))
    found = crossover(*fits, to=1e5)
    middle, deviation = np.log(2) / 0.15, 0.05 / 0.15
    room = 3 * 0.06 * deviation  # Monte Carlo error of an end, from 2000 pairs; 90 % would end .31 deviations further in
    assert np.log(found.low) == pytest.approx(middle - 1.96 * deviation, abs=room)
    assert np.log(found.high) == pytest.approx(middle + 1.96 * deviation, abs=room)
    assert found.none == 0 and "(95 %)" in str(found)


@pytest.mark.slow
def test_crossover_intervals_hold_the_truth():
    held = []
    for i in range(60):
        pair = [fit(power, runs(a * N**-b, 0.05, 2 * i + s), **HOW) for a, b, s in ((3.0, 0.5, 0), (1.5, 0.35, 1))]
        found = crossover(*pair, to=1e6)
        held.append(found.low < 2 ** (1 / 0.15) < found.high)
    assert np.mean(held) >= 0.85


def test_levels_of_a_learning_curve():
    x = np.arange(1.0, 25.0) * 5000
    exact = 97 - 60 * x**-0.35 + 100 * x**-0.9  # a second term: asymptotes fall towards the truth
    noisy = exact + 0.02 * np.random.default_rng(0).normal(size=(20, len(x)))
    found = levels(x, np.vstack([exact, noisy]), tolerance=1.5)
    assert found.prediction[0] > 0 and np.all(np.diff(found.asymptote[0][found.level >= found.prediction[0]]) <= 1e-6)
    stopped = found.stop > 0
    assert stopped.mean() > 0.7
    end = np.array([row[found.level == s][0] for row, s in zip(found.asymptote[stopped], found.stop[stopped])])
    reached = 97 - 60 * x[-1] ** -0.35 + 100 * x[-1] ** -0.9
    assert np.mean(np.abs(end - reached) < 1.5 + 0.5) >= 0.95
    with pytest.raises(ValueError, match="increase"):
        levels(x[::-1], exact, tolerance=1.0)
    with pytest.raises(ValueError, match="at least 4"):
        levels(x[:3], exact[:3], tolerance=1.0)


SURFACE = {"A": 406.4, "B": 410.7, "E": 1.69, "alpha": 0.31, "beta": 0.31}


def test_isoflop_optima_of_a_symmetric_surface():
    rows = []
    for c in np.geomspace(1e18, 1e21, 4):
        n = chinchilla.optimal_parameters(c, **SURFACE) * np.geomspace(0.3, 3, 11)
        rows.append(np.stack([n, np.full(11, c), chinchilla.shape(n, c / 6 / n, **SURFACE)]))
    n, c, loss = np.concatenate(rows, axis=1)
    for curve in ("parabola", "akima"):
        found = isoflop.parabolas(n, c, loss, curve=curve, resamples=20)
        assert found.exponent.value == pytest.approx(0.5, abs=2e-3) and found.at(1e20) == pytest.approx(
            chinchilla.optimal_parameters(1e20, **SURFACE), rel=0.02
        )
    with pytest.raises(FitError, match="budgets have enough"):
        isoflop.parabolas(n[:3], c[:3], loss[:3])
    with pytest.raises(FitError, match="positive"):
        isoflop.parabolas(n, c, 0 * loss)


def test_the_top_of_a_curve_that_bends_down_is_no_optimum():
    """Three budgets with a lowest loss inside, and a fourth whose highest loss lies inside of the sizes run."""
    rows = []
    for c, bend in ((1e18, 1), (1e19, 1), (1e20, -1), (1e21, 1)):
        offset = np.linspace(-1.2, 1.0, 9)
        rows.append(np.stack([1e-3 * c**0.6 * np.exp(offset), np.full(9, c), 3 + bend * 0.1 * offset**2]))
    found = isoflop.parabolas(*np.concatenate(rows, axis=1), resamples=20)
    np.testing.assert_allclose(found.size, [1e-3 * 1e18**0.6, 1e-3 * 1e19**0.6, np.nan, 1e-3 * 1e21**0.6], rtol=1e-6)
    assert found.exponent.value == pytest.approx(0.6, abs=1e-9)


def test_the_envelope_of_training_curves():
    size = np.geomspace(1e7, 1e10, 25)
    d = np.geomspace(1e6, 1e12, 120)
    n, tokens = (a.ravel() for a in np.meshgrid(size, d, indexing="ij"))
    loss = chinchilla.shape(n, tokens, **SURFACE)
    found = isoflop.envelope(n, 6 * n * tokens, loss, np.repeat(np.arange(25), 120), points=300, resamples=50)
    assert found.exponent.value == pytest.approx(0.5, abs=0.04) and found.exponent.low < 0.5 + 0.04
    with pytest.raises(FitError, match="at least 3 runs"):
        isoflop.envelope(n[:120], n[:120], loss[:120], np.zeros(120))


def test_checklist_names_what_a_reader_needs():
    text = fit(power_floor, FLOOR, **HOW, huber=1e-2).checklist()
    for item in ("form", "parameter exponent", "bounds", "input x", "30 values from 10", "30 points", "Huber", "delta = 0.01",
                 "starts", "100 bootstrap resamples of 30 runs", "hold-out", "left out", "weights"):  # fmt: skip
        assert item in text, item


def test_report_is_plain_json(tmp_path):
    found = fit(power_floor, PLAIN, **HOW)
    found = dataclasses.replace(found, profiles={"floor": profile(found, "floor", points=21)})
    report.write(found, tmp_path / "new")
    read = json.loads((tmp_path / "new" / "fit.json").read_text())
    assert read["estimates"]["exponent"]["value"] == found["exponent"].value and read["x"]["x"] == N.tolist()
    assert read["profiles"]["floor"]["open_low"] is True and read["law"] == "power_floor"
    assert "parameter exponent" in (tmp_path / "new" / "checklist.txt").read_text()


@pytest.fixture
def csv_file(tmp_path):
    path = tmp_path / "runs.csv"
    path.write_text("n,loss\n" + "\n".join(f"{n!r},{y!r}" for n, y in zip(FLOOR["n"].tolist(), FLOOR["loss"].tolist())))
    return path


def test_fit_command(csv_file, tmp_path, capsys):
    out = tmp_path / "out"
    code = main(
        ["fit", str(csv_file), "--law", "power_floor", "--x", "n", "--y", "loss", "--bootstrap", "100", "--thorough"]
        + ["--out", str(out)]
    )
    text = capsys.readouterr().out
    assert code == OK and "[ok]" in text and "profile likelihood" in text and "95 % [" in text
    assert sorted(p.name for p in out.iterdir()) == ["checklist.txt", "fit.json", "fit.png"]


def test_compare_and_laws_commands(csv_file, capsys):
    assert (
        main(["compare", str(csv_file), "--laws", "power,power_floor", "--x", "n", "--y", "loss", "--bootstrap", "100"]) == OK
    )
    assert "a floor is supported" in capsys.readouterr().out
    assert main(["laws"]) == OK
    text = capsys.readouterr().out
    assert "chinchilla(N, D)" in text and "pass@k" in text and "arXiv:2203.15556" in text


@pytest.mark.parametrize(
    "change, message",
    [
        (["--law", "powr"], "Did you mean 'power'?"),
        (["--y", "los"], "Did you mean 'loss'?"),
        (["--x", "n,loss"], "takes ['x']"),
        (["--bootstrap", "-1"], "must not be negative"),
        (["--huber", "0"], "positive delta"),
        (["--select", "n=3"], "select the rows first"),
    ],
)
def test_fit_command_refuses(csv_file, change, message, capsys):
    assert main(["fit", str(csv_file), "--law", "power", "--x", "n", "--y", "loss", *change]) == BAD_INPUT
    assert message in capsys.readouterr().err


def test_a_failed_fit_exits_with_one(tmp_path, capsys):
    path = tmp_path / "noise.csv"
    rng = np.random.default_rng(0)
    path.write_text("n,loss\n" + "\n".join(f"{n!r},{float(np.exp(rng.normal()))!r}" for n in N.tolist()))
    assert main(["fit", str(path), "--x", "n", "--y", "loss", "--bootstrap", "100"]) == FAILED
    assert "[failed]" in capsys.readouterr().out
