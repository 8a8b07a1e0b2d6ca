"""What can be asked of a finished fit: optima at a budget, absolute residuals, runs left out, profiles and coverage."""

import numpy as np
import pytest
from scipy.optimize import linprog

from jaxscale.cli import main
from jaxscale.fitting.curve_fit import FitError, fit
from jaxscale.fitting.jackknifing import jackknife
from jaxscale.fitting.laws import chinchilla, power, power_floor

N = np.geomspace(1e6, 1e10, 30)
SURFACE = {"A": 480.0, "B": 2100.0, "E": 1.8, "alpha": 0.35, "beta": 0.37}


def drawn(y, noise=0.02, seed=0, x=N):
    return {"n": x, "loss": y * np.exp(noise * np.random.default_rng(seed).normal(size=len(x)))}


HOW = dict(x="n", y="loss", resamples=100)


@pytest.fixture(scope="module")
def surface():
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(5e7, 1e10, 6), np.geomspace(1e9, 1e12, 6)))
    loss = chinchilla.shape(n, d, **SURFACE) * np.exp(0.005 * np.random.default_rng(0).normal(size=36))
    return fit(chinchilla, {"N": n, "D": d, "loss": loss}, x=("N", "D"), y="loss", resamples=200)


@pytest.mark.parametrize("budget", [1e21, 10**30])  # whole numbers past 64 bits as well
def test_optima_at_a_budget(surface, budget):
    found = surface.optimum(budget)
    truth = {
        "N_opt": chinchilla.optimal_parameters(float(budget), **SURFACE),
        "D_opt": chinchilla.optimal_tokens(float(budget), **SURFACE),
    }
    truth["tokens_per_parameter"] = truth["D_opt"] / truth["N_opt"]
    assert 6 * truth["N_opt"] * truth["D_opt"] == pytest.approx(float(budget))
    for name, value in truth.items():
        assert found[name].low < value < found[name].high and found[name].seeds < value
    assert 6 * found["N_opt"].value * found["D_opt"].value == pytest.approx(float(budget))


def test_any_quantity_has_its_errors(surface):
    assert surface.derive(lambda alpha, beta, **_: beta / (alpha + beta)) == surface["a"]
    assert surface.derive(lambda alpha, **_: alpha) == surface["alpha"]


@pytest.mark.parametrize("budget", [0, -1.0, float("nan"), float("inf")])
def test_a_budget_that_is_none(surface, budget):
    with pytest.raises(ValueError, match="positive number of flops"):
        surface.optimum(budget)


def test_a_law_without_budgets():
    with pytest.raises(ValueError, match="no optimum at a budget. .*chinchilla"):
        fit(power, drawn(3 * N**-0.1), **HOW).optimum(1e21)


def test_absolute_residuals_do_not_mind_outliers():
    table = drawn(3 * N**-0.1, noise=1e-4)
    table["loss"][4] *= 3.0
    found, squares = fit(power, table, huber="L1", **HOW), fit(power, table, **HOW)
    assert abs(found["exponent"].value - 0.1) < 1e-4 < abs(squares["exponent"].value - 0.1)
    design, y, n = np.stack([np.ones(30), -np.log(table["n"])], 1), np.log(table["loss"]), 30
    exact = linprog(  # least absolute deviations as a linear programme
        np.r_[0, 0, np.ones(n)], np.block([[design, -np.eye(n)], [-design, -np.eye(n)]]), np.r_[y, -y],
        bounds=[(None, None)] * 2 + [(0, None)] * n,
    )  # fmt: skip
    assert np.abs(found.residual).sum() == pytest.approx(exact.fun, rel=1e-6)
    assert "absolute residuals" in found.checklist() and not any("quadratic zone" in r for r in found.reasons)
    with pytest.raises(FitError, match="'L1' for absolute"):
        fit(power, table, huber="L2", **HOW)


def test_the_jackknife_of_a_line_is_its_textbook_one():
    table = drawn(3 * N**-0.1)
    found = jackknife(fit(power, table, **HOW))
    x, y = np.log(table["n"]), np.log(table["loss"])
    slopes = np.array([-np.polyfit(np.delete(x, i), np.delete(y, i), 1)[0] for i in range(30)])
    assert found["exponent"].error == pytest.approx(np.sqrt(29 / 30 * np.sum((slopes - slopes.mean()) ** 2)), rel=1e-4)
    assert found["exponent"].influential == np.argmax(np.abs(slopes - slopes.mean()))
    assert found["exponent"].bias == pytest.approx(29 * (slopes.mean() + np.polyfit(x, y, 1)[0]), abs=1e-7)


def test_the_jackknife_leaves_whole_runs_out():
    table = {k: np.repeat(v, 2) for k, v in drawn(3 * N**-0.1).items()} | {"run": np.repeat(np.arange(30), 2)}
    rows, runs = (jackknife(fit(power, table, **HOW, cluster=c))["exponent"].error for c in (None, "run"))
    assert runs == pytest.approx(np.sqrt(2) * rows, rel=0.05)


def test_a_thorough_fit_knows_what_its_intervals_are_worth():
    found = fit(power_floor, drawn(0.5 + 300 * N**-0.5), **HOW, thorough=True)
    assert found.status == "ok" and set(found.profiles) == set(power_floor.LAW.params)
    assert 0.9 <= found.goodness["coverage"] <= 1.0


def test_a_thorough_fit_says_what_is_flat():
    found = fit(power_floor, drawn(2 + 3 * N**-0.3), **HOW, thorough=True)
    assert found.status != "ok" and any("is flat: its interval is open" in reason for reason in found.reasons)


def test_what_does_not_apply_is_said():
    table = drawn(3 * N**-0.1) | {"run": np.arange(30) // 2}
    found = fit(power, table, **HOW, cluster="run", thorough=True)
    assert not found.profiles and "coverage" not in found.goodness
    assert sum(reason.startswith(("no profiles", "no simulated coverage")) for reason in found.reasons) == 2


def test_absolute_residuals_have_neither_profile_nor_normal_coverage():
    found = fit(power, drawn(3 * N**-0.1), **HOW, huber="L1", thorough=True)
    assert not found.profiles and sum("absolute residuals" in reason for reason in found.reasons) == 2


def test_the_command_answers_at_a_budget(tmp_path, capsys):
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(5e7, 1e10, 5), np.geomspace(1e9, 1e12, 5)))
    rows = zip(n, d, chinchilla.shape(n, d, **SURFACE))
    file = tmp_path / "runs.csv"
    file.write_text("N,D,loss\n" + "\n".join(",".join(map(repr, map(float, row))) for row in rows))
    how = ["fit", str(file), "--law", "chinchilla", "--x", "N,D", "--y", "loss", "--bootstrap", "20"]
    assert main([*how, "--budget", "1e21,1e24", "--jackknife"]) == 0
    text = capsys.readouterr().out
    assert text.count("tokens_per_parameter") == 3 and "at 1e+24 flops" in text and "moves it most" in text
    with pytest.raises(SystemExit):
        main([*how, "--huber", "L2"])
    assert "a number, or L1; got 'L2'" in capsys.readouterr().err
    assert main([*how, "--budget", "much"]) == 2 and "--budget must be numbers" in capsys.readouterr().err


def test_every_law_measure_and_procedure_is_listed(capsys):
    assert main(["laws"]) == 0
    text = capsys.readouterr().out
    for name in ("chinchilla(N, D)", "pass_at_k", "isoflop", "crossovers", "level_trends", "jackknifing", "comparison"):
        assert f"\n{name}" in text, name
    assert "\ntable" not in text  # reading tables is no procedure
