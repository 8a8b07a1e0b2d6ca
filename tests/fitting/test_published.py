"""Published fits, made again on the published data: T1 to T10 of the verification list. The run ends with a table of them."""

import jax.numpy as jnp
import numpy as np
import pytest

from jaxscale.fitting.curve_fit import fit
from jaxscale.fitting.laws import bnsl, chinchilla, data_constrained, error_loss, over_training
from jaxscale.fitting.solver import float64, solve


@pytest.fixture(scope="module")
def runs(table):
    """The 240 digitised runs of Besiroglu et al.: without the five largest losses."""
    rows = table("chinchilla_epoch/svg_extracted_data.csv")
    size, loss = rows["Model Size"], rows["loss"]
    keep = loss < np.sort(loss)[-5]
    assert keep.sum() == 240
    return {"N": size[keep], "D": (rows["Training FLOP"] / 6 / size)[keep], "loss": loss[keep]}


def chinchilla_fit(runs, **how):
    return solve(chinchilla.LAW, (runs["N"], runs["D"]), runs["loss"], np.ones(len(runs["N"])), **how)


@pytest.mark.published("T1")
def test_approach_3_to_the_digits_published(runs):
    found = chinchilla_fit(runs, huber=1e-3, iterations=150)
    assert found.values[0] == pytest.approx([477.83, 2143.42, 1.81722, 0.34731, 0.36717], rel=2e-5)
    assert found.objective[0] / 2 == pytest.approx(1.01827401780e-3, rel=1e-9)
    assert found.reached[0] > 0.5


@pytest.mark.published("T2")
@pytest.mark.slow
def test_the_point_estimate_in_print_is_the_limit_of_least_absolute_deviations(runs):
    found = chinchilla_fit(runs, huber=1e-6, iterations=400)
    assert found.values[0] == pytest.approx([481.93, 2085.00, 1.8168, 0.3478, 0.3658], rel=1e-3)


@pytest.mark.published("T5")
def test_mean_instead_of_sum_stalls_where_the_first_paper_stopped(runs):
    """A lesson, with another optimiser: dividing the Huber sum by n makes the start look converged at default tolerances."""
    from scipy.optimize import minimize

    n, d, y = np.log(runs["N"]), np.log(runs["D"]), np.log(runs["loss"])

    def parts(p):
        a, b, e, alpha, beta = p
        terms = np.stack([a - alpha * n, b - beta * d, e + 0 * n])
        top = terms.max(0)
        exps = np.exp(terms - top)
        r = top + np.log(exps.sum(0)) - y
        share = exps / exps.sum(0)
        return r, np.stack([share[0], share[1], share[2], -share[0] * n, -share[1] * d])

    def mean_huber(p):
        r, slope = parts(p)
        small = np.abs(r) <= 1e-3
        return np.mean(np.where(small, r**2 / 2, 1e-3 * (np.abs(r) - 5e-4))), slope @ np.where(
            small, r, 1e-3 * np.sign(r)
        ) / len(r)

    start = np.array([6.0, 6.0, 0.0, 0.3, 0.3])
    stalled = minimize(mean_huber, start, jac=True, method="L-BFGS-B").x
    best = chinchilla_fit(runs, huber=1e-3).values[0]
    assert np.exp(stalled[0]) < 0.9 * best[0] and stalled[4] < 0.32 < best[4]  # far from the optimum in B's exponent
    assert len(runs["N"]) * mean_huber(stalled)[0] > 1.05e-3  # and in the objective


@pytest.mark.published("T3")
@pytest.mark.slow
def test_bootstrap_errors(runs):
    found = fit(chinchilla.LAW, runs, x=("N", "D"), y="loss", huber=1e-3, resamples=2000, progress=False)
    for name, low, high in (("A", 110, 135), ("E", 0.0235, 0.027), ("alpha", 0.0142, 0.0163), ("beta", 0.0188, 0.0216)):
        assert low < found[name].seeds < high, f"{name}: {found[name].seeds:.4g}"
    assert found["a"].seeds == pytest.approx(0.0195, rel=0.08)
    assert found["B"].low < 1100 and found["B"].high > 5000  # skewed: the interval is not value +- error


TRAINING_SETS = {  # eta, a, b, E of Gadre et al., refitted here from their table
    "c4_original": (0.1212, 141.3, 189.5, 1.508), "rpj": (0.1364, 212.2, 366.7, 1.837),
    "rw_original": (0.1272, 157.1, 246.2, 1.734),
}  # fmt: skip


@pytest.fixture(scope="module")
def models(table):
    return table("openlm_scaling/openlm_104_models.csv", "name", "train_set", "model")


def five_models(models, train_set):
    """Four sizes at 20 tokens a parameter, and the smallest at 320."""
    mine = models["train_set"] == train_set
    ratio = np.round(models["M_nominal"]).astype(int)
    sizes = np.round(models["N"] / 1e6, 1)
    small = np.isin(sizes, [10.6, 78.9, 153.7, 411.6]) & (ratio == 20)
    return mine & (small | ((sizes == 10.6) & (ratio == 320)))


@pytest.mark.published("T6")
@pytest.mark.parametrize("train_set", TRAINING_SETS)
def test_over_training_law(models, train_set):
    use = five_models(models, train_set)
    assert use.sum() == 5
    found = solve(
        over_training.LAW,
        (models["N"][use], models["D"][use]),
        models["loss_c4_val"][use],
        np.ones(5),
        space="raw",
        iterations=200,
    )
    p = dict(zip(over_training.LAW.params, found.values[0]))
    here = (p["eta"], p["A"] * 6 ** p["eta"], p["B"] * 6 ** p["eta"], p["E"])
    assert here[:2] == pytest.approx(TRAINING_SETS[train_set][:2], rel=2e-3) and here[3] == pytest.approx(
        TRAINING_SETS[train_set][3], rel=2e-3
    )


@pytest.mark.published("T6")
@pytest.mark.parametrize("size, ratio, error", [("1.4", 640, 0.007103), ("6.9", 20, 0.007320)])
def test_over_training_predictions(models, size, ratio, error):
    """Relative errors of the predicted loss, to the digits the authors print."""
    use = five_models(models, "rpj")
    found = solve(
        over_training.LAW,
        (models["N"][use], models["D"][use]),
        models["loss_c4_val"][use],
        np.ones(5),
        space="raw",
        iterations=200,
    )
    far = (
        (models["train_set"] == "rpj")
        & (np.round(models["M_nominal"]) == ratio)
        & (np.round(models["N"] / 1e9, 1) == float(size))
    )
    assert far.sum() == 1
    made = over_training.LAW.at(
        np.stack([models["N"][far], models["D"][far]]), dict(zip(over_training.LAW.params, found.values[0]))
    )
    assert abs(made - models["loss_c4_val"][far])[0] / models["loss_c4_val"][far][0] == pytest.approx(error, abs=5e-7)


@pytest.mark.published("T6")
@pytest.mark.parametrize("size, ratio, error", [("1.4", 640, 0.036365), ("6.9", 20, 0.000464)])
def test_downstream_predictions(models, size, ratio, error):
    """Error of 17 tasks from the predicted loss: the five models and the 1.4B at 20 tokens a parameter give Err(L)."""
    use = five_models(models, "rpj")
    billions, tokens = np.round(models["N"] / 1e9, 1), np.round(models["M_nominal"])
    law = solve(over_training.LAW, (models["N"][use], models["D"][use]), models["loss_c4_val"][use], np.ones(5), space="raw",
                iterations=200).values[0]  # fmt: skip
    six = use | ((models["train_set"] == "rpj") & (billions == 1.4) & (tokens == 20))
    assert six.sum() == 6
    chain = solve(error_loss.LAW, models["loss_c4_val"][six], models["err_avg17"][six], np.ones(6), space="raw", iterations=300)
    assert chain.values[0] == pytest.approx([0.8570, 2.2065, 0.7146], abs=6e-5)
    far = (models["train_set"] == "rpj") & (tokens == ratio) & (billions == float(size))
    loss = over_training.LAW.at(np.stack([models["N"][far], models["D"][far]]), dict(zip(over_training.LAW.params, law)))
    made = error_loss.LAW.at(loss[None], dict(zip(error_loss.LAW.params, chain.values[0])))
    assert abs(made - models["err_avg17"][far])[0] / models["err_avg17"][far][0] == pytest.approx(error, abs=5e-7)


@pytest.mark.published("T7")
def test_broken_power_law(table):
    rows = table("bnsl/four_digit_addition.csv")
    x, y, train = rows["train_size"], rows["test_cross_entropy"], rows["train_split"] > 0
    found = solve(bnsl.LAW, x[train], y[train], np.ones(train.sum()), iterations=200)
    with float64():
        made = np.asarray(bnsl.shape(jnp.asarray(x), **dict(zip(bnsl.LAW.params, found.values[0]))))
    assert np.sqrt(found.objective[0] / train.sum()) == pytest.approx(5.983e-4, rel=1e-3)
    assert np.sqrt(np.mean((np.log(made) - np.log(y))[~train] ** 2)) == pytest.approx(1.114e-2, rel=2e-3)
    assert found.values[0][4] == pytest.approx(612.6, rel=1e-3)  # the break


@pytest.mark.published("T8")
@pytest.mark.slow
def test_a_break_beyond_the_data():
    """Without noise, from 405 points of 4095. A search of few starts misses it; a tournament of many, of which the best are
    searched on, extrapolates the break at 613 exactly, as published, with every optimisation of the compiler.
    """
    points = 405
    truth = dict(limit=0.413885, amplitude=2.277272, slope=0.0550774, change=5.66291, at=612.5837, width=0.0591931)
    x = np.arange(1.0, 4096.0)
    with float64():
        y = np.asarray(bnsl.shape(jnp.asarray(x), **truth))

    def beyond(found):
        made = bnsl.LAW.at(x[None], dict(zip(bnsl.LAW.params, found.values[0])))
        return np.sqrt(np.mean((np.log(made) - np.log(y))[points:] ** 2))

    def search(iterations, **starts):
        return solve(bnsl.LAW, x[:points], y[:points], np.ones(points), iterations=iterations, **starts)

    found = search(200, spread=2048)
    assert beyond(found) > 1e-2
    for kept, iterations in ((32, 400), (4, 3000), (2, 3000)):
        found = search(iterations, starts=found.every[0][np.argsort(found.objectives[0])[:kept]])
    assert beyond(found) < 1e-7


@pytest.mark.published("T10")
def test_repeated_data_formula():
    with float64():
        decay = {"tokens_decay": 15.387756, "parameters_decay": 5.309743}
        unique = jnp.float64(25e9)
        made = [
            float(data_constrained.shape(jnp.float64(n), jnp.float64(d), unique, **decay))
            for n, d in ((6.34e9, 242e9), (8.67e9, 178e9))
        ]
    assert made == pytest.approx([2.2256440889984477, 2.2269634075087867], rel=1e-14)


@pytest.mark.published("T9")
def test_the_published_decay_constants_are_a_local_optimum_only(table):
    rows = table("data_constrained/datablations_runs_182_filtered.csv", "name")
    x, y = tuple(rows[name] for name in ("params", "tokens", "unique_tokens")), rows["loss"]
    published = np.array([[15.387756, 5.309743]])
    at = solve(data_constrained.LAW, x, y, np.ones(len(y)), huber=1e-3, starts=published, iterations=0)
    assert at.objective[0] / 2 == pytest.approx(0.0158259, abs=5e-8)
    near = solve(data_constrained.LAW, x, y, np.ones(len(y)), huber=1e-3, starts=published, iterations=60)
    assert near.objective[0] / 2 < 0.01582595
    best = solve(data_constrained.LAW, x, y, np.ones(len(y)), huber=1e-3)
    assert best.objective[0] / 2 < 0.015806 and best.values[0][0] > 40  # lower, and far away: the surface is flat


@pytest.mark.published("T6")
def test_error_follows_loss(models):
    """The average error of 46 tasks is an exponential of the loss, in sample."""
    use = (models["train_set"] == "rpj") & np.isfinite(models["err_avg46"])
    found = solve(error_loss.LAW, models["loss_c4_val"][use], models["err_avg46"][use], np.ones(use.sum()), space="raw")
    rmse = np.sqrt(found.objective[0] / use.sum())
    assert rmse < 0.01 and found.reached[0] > 0.3


@pytest.mark.published("T4")
@pytest.mark.slow
def test_likelihood_of_the_first_papers_point(runs):
    """T4: under the density of their Huber loss with a free scale, which is Laplace's here, at that point and at the best."""
    rounded, unrounded = ([406.4, 410.7, 1.69, 0.34, 0.28],
                          [*np.exp([6.0073404, 6.0179186, 0.5267228]), 0.33917084, 0.2849083])  # fmt: skip
    best = chinchilla_fit(runs, huber=1e-6, iterations=400).values[0]
    found = []
    for point in (rounded, unrounded, best):
        made = chinchilla.LAW.at(np.stack([runs["N"], runs["D"]]), dict(zip(chinchilla.LAW.params, point)))
        found.append(-240 * (1 + np.log(2 * np.mean(np.abs(np.log(made) - np.log(runs["loss"]))))))
    assert found == pytest.approx([562.25, 837.78, 879.77], abs=0.02)
    assert 2 * (found[2] - found[1]) == pytest.approx(84.0, abs=0.03)
