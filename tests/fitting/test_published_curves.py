"""Published fits of curves and of optimal sizes, made again: T11 to T14, T16 to T18 of the verification list."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxscale.fitting import isoflop, reference
from jaxscale.fitting.curve_fit import fit
from jaxscale.fitting.double_precision import float64
from jaxscale.fitting.laws import annealing, chinchilla, multi_power, power, shifted_power
from jaxscale.fitting.solver import solve
from jaxscale.theory import kernel_regression, quanta

PORIAN = {("long", "kaplan", "kaplan"): 0.835, ("long", "kaplan", "standard"): 0.706, ("short", "kaplan", "standard"): 0.602,
          ("short", "chinchilla", "standard"): 0.571, ("short", "const", "standard"): 0.497}  # fmt: skip


@pytest.mark.published("T11")
@pytest.mark.parametrize("setting", PORIAN)
def test_optimal_sizes_from_kaplan_to_chinchilla(table, setting):
    """T11: three digits from the stored optima; within .016 from the raw curves."""
    rows = table("porian/isoflop_points.csv", "file", "dataset", "hparams", "warmup", "decay", "param_count", "val")
    use = (rows["file"] == "summary_df") & (rows["dataset"] == "rw")
    for name, value in zip(("warmup", "decay", "param_count"), setting):
        use &= rows[name] == value
    flops, first = np.unique(rows["flops"][use], return_index=True)
    size, deviation = rows["n_star"][use][first], rows["n_star_logstd"][use][first]
    known = np.isfinite(size) & (deviation > 0)
    found = solve(power.LAW, flops[known], size[known], 1 / deviation[known] ** 2)
    assert -found.values[0][1] == pytest.approx(PORIAN[setting], abs=6e-4)
    raw = isoflop.parabolas(rows["n"][use], rows["flops"][use], rows["loss"][use], curve="akima", resamples=0)
    assert raw.exponent.value == pytest.approx(PORIAN[setting], abs=0.016)


WARMUP, PEAK, END = 2160, 3e-4, 3e-5
TRAINED, UNSEEN = ("cosine_24000", "constant_24000", "wsdcon_9"), ("constant_72000", "cosine_72000", "wsd_20000_24000",
                                                                  "wsdld_20000_24000", "wsdcon_3", "wsdcon_18")  # fmt: skip


def schedule(name):
    kind, *numbers = name.split("_")
    decay, last = [int(n) for n in numbers] if len(numbers) == 2 else (WARMUP, int(numbers[0]))
    step = np.arange((16000 if kind == "wsdcon" else last) + 1)
    part = np.clip((step - decay) / max(last - decay, 1), 0, 1)
    rate = {
        "constant": np.full(len(step), PEAK), "cosine": END + (PEAK - END) * (1 + np.cos(np.pi * part)) / 2,
        "wsd": PEAK * (END / PEAK) ** part, "wsdld": PEAK + (END - PEAK) * part,
        "wsdcon": np.where(step < 8000, PEAK, last * 1e-5),
    }[kind]  # fmt: skip
    return np.where(step < WARMUP, PEAK * step / WARMUP, rate)


def loss_curve(table, size, name):
    rows = table(f"multipowerlaw/csv_{size}__{name}.csv")
    assert np.abs(schedule(name)[rows["step"].astype(int)] - rows["lr"]).max() < 1e-12
    return rows["step"].astype(int), rows["loss"]


PUBLISHED_MPL = {  # floor, amplitude, gain, alpha, beta, gamma, scale, printed to three decimals; R2, MAE, RMSE, PredE, WorstE
    25: ((3.040, 0.525, 363.788, 0.508, 0.583, 0.641, 2.066), (0.9988, 0.00376, 0.00465, 0.00110, 0.00409)),
    100: ((2.651, 0.601, 437.946, 0.453, 0.598, 0.655, 2.132), (0.9983, 0.00435, 0.00592, 0.00142, 0.00583)),
}


@pytest.mark.published("T12")
@pytest.mark.slow
@pytest.mark.parametrize("size", PUBLISHED_MPL)
def test_multi_power_law_at_its_published_constants(table, size):
    """T12: their warm-up counts as negative drops; with constants of three decimals the metrics agree to a tenth."""
    constants, printed = PUBLISHED_MPL[size]
    law = multi_power.law([schedule(name) for name in UNSEEN], knots=None)
    metrics = []
    for i, name in enumerate(UNSEEN):
        step, loss = loss_curve(table, size, name)
        gap = law.at(np.stack([np.full(len(step), float(i)), step]), dict(zip(law.params, constants))) - loss
        r2 = 1 - np.sum(gap**2) / np.sum((loss - loss.mean()) ** 2)
        metrics.append(
            [r2, np.abs(gap).mean(), np.sqrt(np.mean(gap**2)), np.mean(np.abs(gap) / loss), np.max(np.abs(gap) / loss)]
        )
    found = np.mean(metrics, axis=0)
    assert found[0] == pytest.approx(printed[0], abs=3e-4)
    np.testing.assert_allclose(found[1:], printed[1:], rtol=0.11)


ANNEALING = {25: ((3.152, 0.521, 0.780, 0.505), 0.0055), 100: ((2.782, 0.600, 0.937, 0.448), 0.0064)}


@pytest.mark.published("T13")
@pytest.mark.parametrize("size", ANNEALING)
def test_annealing_law(table, size):
    """T13: the memory .998 is the best of the grid, the constants and the error on six unseen schedules those of the list."""
    published, error = ANNEALING[size]
    best = None
    for decay in (0.995, 0.998, 0.999):
        areas, losses = [], []
        for name in TRAINED:
            step, loss = loss_curve(table, size, name)
            areas.append(np.stack(annealing.areas(schedule(name), decay=decay, warmup=WARMUP))[:, step])
            losses.append(loss)
        x, y = np.concatenate(areas, axis=1), np.concatenate(losses)
        found = solve(annealing.LAW, x, y, np.ones(len(y)), huber=1e-3)
        best = min(best or (np.inf,), (found.objective[0], decay, found.values[0]), key=lambda item: item[0])
    assert best[1] == 0.998
    np.testing.assert_allclose(best[2], published, atol=6e-4)
    errors = []
    for name in UNSEEN:
        step, loss = loss_curve(table, size, name)
        x = np.stack(annealing.areas(schedule(name), decay=0.998, warmup=WARMUP))[:, step]
        errors.append(np.sqrt(np.mean((annealing.LAW.at(x, dict(zip(annealing.LAW.params, best[2]))) - loss) ** 2)))
    assert np.mean(errors) == pytest.approx(error, abs=1e-4)


NMT = {"6 Enc, 6 Dec": (0.262, 0.0384, 0.0205), "28 Enc, 6 Dec": (0.171, 0.0564, 0.0181), 
       "6 Enc, 28 Dec": (0.234, 0.0527, 0.0444), "TEnc-LSTM": (0.190, 0.0126, 0.0126)}  # fmt: skip


@pytest.mark.published("T14")
@pytest.mark.parametrize("model", NMT)
def test_estimators_of_translation_curves(table, model):
    """T14: M1 to three digits, M2 by its own local procedure to three digits, M4 within 1.5; and M3, whose published error
    (.089 for the first model) belongs to no minimum of its objective: the global one extrapolates better.
    """
    rows = table("revisiting_nsl/benchmark.lang.csv", "Domain", "Task", "Model")
    use = (rows["Domain"] == "NMT") & (rows["Model"] == model)
    x, first = np.unique(rows["Seen Examples"][use], return_index=True)  # the file repeats rows
    y, train = rows["Loss"][use][first], rows["Training"][use][first] == 1

    def error(made):
        return np.sqrt(np.mean((np.log(made) - np.log(y[~train])) ** 2))

    m1, m3 = (solve(law, x[train], y[train], np.ones(train.sum())).values[0] for law in (power.LAW, shifted_power.LAW))
    expected = NMT[model]
    assert error(power.LAW.at(x[None, ~train], dict(zip(power.LAW.params, m1)))) == pytest.approx(expected[0], abs=1e-3)
    assert error(reference.predict(reference.m2(x[train], y[train]), x[~train])) == pytest.approx(expected[1], rel=0.01)
    m4 = error(reference.predict(reference.m4_local(x[train], y[train]), x[~train]))
    assert m4 < 1.5 * expected[2]
    assert error(shifted_power.LAW.at(x[None, ~train], dict(zip(shifted_power.LAW.params, m3)))) < 0.02


BIAS = {(0.34, 0.28): (-0.327, -1.301, -2.903, -5.100), (0.465, 0.155): (-1.675, -6.498, -13.910, -23.116),
        (0.31, 0.31): (0.0, 0.0, 0.0, 0.0)}  # fmt: skip


@pytest.mark.published("T16")
@pytest.mark.parametrize("exponents", BIAS)
def test_approach_2_is_biased_without_noise(exponents):
    """T16: optimal tokens at 1e24, in percent, of isoflop curves that span factors 2, 4, 8, 16."""
    surface = {"A": 406.4, "B": 410.7, "E": 1.69, "alpha": exponents[0], "beta": exponents[1]}
    found = [100 * isoflop.bias(surface, budgets=np.geomspace(1e17, 1e21, 5), spread=s) for s in (2, 4, 8, 16)]
    np.testing.assert_allclose(found, BIAS[exponents], atol=6e-4)


@pytest.mark.published("T17")
@pytest.mark.parametrize("a", [0.3, 0.5, 0.8])
def test_exponents_of_quanta(a):
    """T17: a / (1 + a) in data, a in capacity, fitted to sums over a hundred thousand skills."""
    n, d = np.geomspace(30, 3000, 12).round(), np.geomspace(1e2, 1e4, 12)
    with float64():
        in_data = np.asarray(quanta.loss(jnp.inf, jnp.asarray(d), alpha=a))
        in_size = np.asarray(quanta.loss(jnp.asarray(n), 1e300, alpha=a))
    how = dict(x="x", y="y", resamples=50)
    assert fit(power, {"x": d, "y": in_data}, **how)["exponent"].value == pytest.approx(a / (1 + a), abs=5e-4)
    assert fit(power, {"x": n, "y": in_size}, **how)["exponent"].value == pytest.approx(a, rel=0.01)


@pytest.mark.published("T17")
def test_a_sum_of_two_power_laws_is_the_wrong_form_for_quanta():
    """T17, the lesson: an additive surface fitted to the joint data finds other exponents than either limit has."""
    n, d = (a.ravel() for a in np.meshgrid(np.geomspace(10, 1e3, 8).round(), np.geomspace(30, 1e5, 8)))
    with float64():
        loss = np.asarray(quanta.loss(jnp.asarray(n), jnp.asarray(d), alpha=0.5))
    found = solve(chinchilla.LAW, (n, d), loss, np.ones(len(n)))
    assert abs(found.values[0][3] - 0.5) > 0.05


@pytest.mark.published("T18")
@pytest.mark.parametrize("b, a", [(1.5, 1.5), (2.0, 1.6), (1.5, 2.2)])
def test_exponents_of_kernel_regression(b, a):
    """T18: -min(a - 1, 2 b) within .03, from 31 to 10,000 samples; modes beyond 1e5 by their integrals."""
    mode, samples = np.arange(1, 100_001.0), np.geomspace(31, 1e4, 10)
    with float64():
        error = np.asarray(kernel_regression.learning_curve(
            jnp.asarray(samples), jnp.asarray(mode**-b), jnp.asarray(mode**-a), ridge=1e5 ** (1 - b) / (b - 1),
            noise=1e5 ** (1 - a) / (a - 1),
        ))  # fmt: skip
    found = fit(power, {"x": samples, "y": error}, x="x", y="y", resamples=50)
    assert found["exponent"].value == pytest.approx(kernel_regression.exponent(b, a), abs=0.03)
