"""Measures: exact values, unbiasedness, and classes of planted curves."""

import math

import numpy as np
import pytest
from assertions import assert_mean

from jaxscale.discovery import discover
from jaxscale.fitting.measures import (
    density,
    emergence,
    metric_chain,
    pareto,
    pass_at_k,
    pass_until,
    stability,
    trend,
    verifier,
)


def test_every_measure_has_a_name():
    assert set(discover("jaxscale.fitting.measures", "NAME")) >= {
        "density", "emergence", "metric_chain", "pareto", "pass_at_k", "pass_until", "stability", "trend", "verifier",
    }  # fmt: skip


def test_pass_at_k_is_the_hypergeometric_chance():
    for n, c, k in ((10, 3, 1), (10, 3, 4), (10, 0, 5), (10, 10, 1), (10, 8, 3), (100, 1, 100)):
        assert pass_at_k.pass_at_k(n, c, k) == pytest.approx(1 - math.comb(n - c, k) / math.comb(n, k), abs=1e-12)
    rng = np.random.default_rng(0)
    estimates = pass_at_k.pass_at_k(20, rng.binomial(20, 0.1, 4000), 5)
    assert_mean(estimates, 1 - 0.9**5, precision=0.01)
    for bad in ((10, 11, 1), (10, 3, 0), (10, 3, 11)):
        with pytest.raises(ValueError, match="must lie between"):
            pass_at_k.pass_at_k(*bad)


def test_pass_until_is_unbiased_where_the_plain_ratio_is_not():
    p, r = 0.01, 2
    draws = np.random.default_rng(1).negative_binomial(r, p, 40_000) + r
    assert_mean(pass_until.unbiased(draws, r), p, precision=2e-4)
    assert np.mean(r / draws) == pytest.approx(1.92 * p, rel=0.05)  # what the paper's estimate gives
    with pytest.raises(ValueError, match="r >= 2"):
        pass_until.unbiased(10, 1)


def test_a_cap_on_the_draws_is_no_bias():
    rng, p, cap = np.random.default_rng(2), 2e-3, 400
    draws = rng.geometric(p, 20_000)
    found, error = pass_until.likelihood(np.minimum(draws, cap), draws <= cap, draws > cap)
    assert abs(found - p) < 5 * error and error < 3e-5
    assert pass_until.likelihood([400, 400], [0, 0], [True, True])[0] == 0.0
    with pytest.raises(ValueError, match="successes <= draws"):
        pass_until.likelihood([2], [3])


def test_task_law_and_its_bends():
    size, successes = np.geomspace(1e7, 1e10, 8), np.full(8, 400.0)
    rng = np.random.default_rng(3)

    def seen(f):
        return np.exp(-np.exp(f + rng.normal(size=8) / (20 * np.exp(f))))

    straight = 2.0 - 0.3 * np.log(size / 1e7)
    law = pass_until.growth(size, seen(straight), successes)
    assert law.alpha == pytest.approx(0.3, abs=0.03) and law.kind == "law"
    bend = 0.05 * (np.log(size / 3e8)) ** 2
    assert pass_until.growth(size, seen(straight + bend), successes).kind == "sub-scaling"
    assert pass_until.growth(size, seen(straight - bend), successes).kind == "super-scaling"
    assert pass_until.growth(size[:3], seen(straight)[:3], 400).kind == "not decidable"
    with pytest.raises(ValueError, match="strictly between"):
        pass_until.growth(size, np.ones(8), 400)


@pytest.mark.parametrize("wrong, budget, worth", [(-0.7, 3, 0.5246), (-1.0, 2, 0.4724), (-2.0, 1, 0.3388)])
def test_the_best_budget_of_an_imperfect_verifier(wrong, budget, worth):
    tasks = dict(rate=[0.87, 0.13], prior=[0.58, 0.42], soundness=0.75)
    k, value = verifier.best_budget(20, **tasks, wrong=wrong)
    assert k == budget and value == pytest.approx(worth, abs=1e-4)
    assert verifier.accuracy(**tasks) == pytest.approx(0.7162, abs=1e-4)


def test_a_verifier_by_simulation():
    rng, n, k = np.random.default_rng(4), 40_000, 3
    right = rng.random((n, k)) < np.where(rng.random(n) < 0.58, 0.87, 0.13)[:, None]
    accept = right | (rng.random((n, k)) > 0.75)
    first = np.argmax(accept, axis=1)
    worth = np.where(accept.any(1), np.where(right[np.arange(n), first], 1.0, -0.7), 0.0)
    assert_mean(worth, verifier.value(3, [0.87, 0.13], [0.58, 0.42], soundness=0.75, wrong=-0.7)[3], precision=0.005)
    assert verifier.best_budget(5, [0.1], [1.0], soundness=0.0, wrong=-5.0) == (0, 0.0)  # better not to try
    with pytest.raises(ValueError, match="priors sum to one"):
        verifier.value(2, [0.5], [0.7], soundness=1.0)


def test_emergence_is_in_the_metric():
    size = np.geomspace(1e7, 1e12, 6)
    p = np.exp(-((size / 1e9) ** -0.35))
    exact = [float(emergence.breakthroughness(p**k)) for k in (1, 2, 5, 10)]
    np.testing.assert_allclose(exact, [5.06, 5.05, 6.38, 35.9], rtol=2e-3)
    assert emergence.breakthroughness(p**20) == emergence.MAX  # 1276 uncut
    for k in (1, 5, 20):
        assert emergence.breakthroughness(-k * (1 - p)) == pytest.approx(5.0625, rel=1e-4)  # edit distance knows no jump
    assert emergence.linearity(p) == pytest.approx(4.62, abs=0.01) and emergence.linearity(p**20) == pytest.approx(
        2.49, abs=0.01
    )
    assert emergence.linearity(np.ones(5)) == 0 and emergence.linearity([3, 2, 1]) < 0


def test_the_chain_loses_correlation():
    rng, models, items = np.random.default_rng(5), 12, 400
    compute = np.geomspace(1e18, 1e23, models)
    skill = -1.5 * (compute / 1e18)[:, None] ** -rng.uniform(0.02, 0.15, items) + 0.02 * rng.normal(size=(models, items))
    distractors = 0.4 * skill[..., None] - 1.2 + 0.25 * rng.normal(size=(models, items, 3)).cumsum(axis=0)
    log_p = np.concatenate([skill[..., None], distractors], axis=2)
    scores = metric_chain.chain(log_p, np.zeros(items, int))
    assert list(scores) == list(metric_chain.STEPS)
    found = {step: metric_chain.correlations(score, compute) for step, score in scores.items()}
    np.testing.assert_array_equal(found["log p"][0], found["p"][0])  # ranks do not change under exp
    areas = [metric_chain.survival(found[step][0]) for step in ("p", "p among choices", "accuracy")]
    assert areas[0] > areas[1] > areas[2] and found["accuracy"][1] > 0  # constant items count as 0 and are counted
    with pytest.raises(ValueError, match=r"log_p must be \(models, items, choices\)"):
        metric_chain.chain(np.zeros((3, 4)), np.zeros(4))


PLANTED = {
    "rising": np.linspace(0, 1, 8), "falling": np.linspace(1, 0, 8), "flat": np.zeros(8),
    "U": np.abs(np.linspace(-1, 1, 8)) ** 1.5, "inverted U": 1 - np.abs(np.linspace(-1, 1, 8)) ** 1.5,
}  # fmt: skip


@pytest.mark.parametrize("kind", PLANTED)
def test_planted_trends_are_told_apart(kind):
    rng = np.random.default_rng(6)
    found = [trend.trend(PLANTED[kind] + 0.05 * rng.normal(size=8), 0.05, permutations=200, root=i).kind for i in range(10)]
    assert found.count(kind) >= (8 if kind == "flat" else 9), found  # two tests at 5 % each call a flat curve something


def test_trends_refuse_what_says_nothing():
    with pytest.raises(ValueError, match="error must be positive"):
        trend.trend([1, 2, 3], 0.0)
    with pytest.raises(ValueError, match="at least 3 finite"):
        trend.trend([1, np.nan, 3], 0.1)


def test_stability():
    assert stability.kendall([1, 2, 3, 4], [1, 2, 4, 3]) == pytest.approx(2 / 3)
    assert stability.kendall([1, 2, 3], [5, 5, 5]) == 0
    rng = np.random.default_rng(7)
    inside = [low < 4.0 < high for _, low, high in (stability.seed_variance(2 * rng.normal(size=10)) for _ in range(2000))]
    assert_mean(np.array(inside, float), 0.95, precision=0.006)
    clean, noisy = (rng.normal(size=(5, 200)) * s + np.arange(5.0)[:, None] for s in (0.1, 1.0))
    assert stability.signal_to_noise(clean) == pytest.approx(40, rel=0.1)
    assert stability.signal_to_noise(noisy) < 5
    with pytest.raises(ValueError, match="at least 2 seeds"):
        stability.seed_variance([1.0])


def test_pareto_frontier_is_brute_force():
    rng = np.random.default_rng(8)
    cost, gain = rng.integers(0, 20, 200).astype(float), rng.normal(size=200)
    best = [i for i in range(200) if not np.any((cost <= cost[i]) & (gain >= gain[i]) & ((cost < cost[i]) | (gain > gain[i])))]
    assert sorted(pareto.frontier(cost, gain)) == best
    assert sorted(pareto.frontier(cost, -gain, larger_is_better=False)) == best
    with pytest.raises(ValueError, match="finite"):
        pareto.frontier([1.0], [np.nan])


def test_density_finds_a_planted_gain_in_data_efficiency():
    family = {"A": 400.0, "B": 400.0, "E": 1.0, "alpha": 0.3, "beta": 0.3}
    sigmoid = {"height": 0.6, "chance": 0.25, "middle": 2.2, "steepness": 3.0}

    def score(n, d):
        loss = 1.0 + 400 * n**-0.3 + 400 * d**-0.3
        return 0.25 + 0.6 / (1 + np.exp(3.0 * (loss - 2.2)))

    reference = dict(family=family, sigmoid=sigmoid, tokens=1e12)
    n = np.geomspace(1e8, 1e10, 5)
    np.testing.assert_allclose(density.density(score(n, 1e12), n, **reference), 1.0, rtol=1e-9)
    assert np.all(density.density(score(n, 3e12), n, **reference) > 1.0)
    assert np.isnan(density.effective_parameters(0.251, **reference)) and np.isnan(
        density.effective_parameters(0.849, **reference)
    )
    assert density.records([3, 1, 2, 4], [2.0, 1.0, 0.5, np.nan]).tolist() == [1, 0]
