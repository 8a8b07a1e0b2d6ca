"""Partial correlations of parts of a whole, and optimal transport against a linear program."""

import numpy as np
import pytest

from jaxscale.fitting.measures.compositional import basis, partial_correlations, precision
from jaxscale.fitting.measures.transport import distance, transport


def planted(n, parts=5, seed=0):
    """Shares whose logarithms are normal, up to the total, with a known precision."""
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(parts, parts)) + 2 * np.eye(parts)
    logs = rng.normal(size=(n, parts)) @ root.T
    shares = np.exp(logs)
    return shares / shares.sum(1, keepdims=True), root @ root.T


@pytest.mark.parametrize("transform, reference", [("alr", 0), ("alr", 3), ("alr", -1), ("ilr", 0)])
def test_the_reference_does_not_matter(transform, reference):
    shares, _ = planted(60)
    wanted = partial_correlations(shares)
    found = partial_correlations(shares, transform=transform, reference=reference)
    np.testing.assert_allclose(found.correlation, wanted.correlation, atol=1e-10)
    np.testing.assert_allclose(found.variance, wanted.variance, rtol=1e-9)
    np.testing.assert_allclose(precision(shares, transform=transform, reference=reference).sum(1), 0, atol=1e-9)
    rows = basis(5, transform, reference)
    np.testing.assert_allclose(rows.sum(1), 0, atol=1e-14)


def test_a_partial_correlation_is_that_of_residuals():
    """The definition: log-ratios of both to a third part, each less its regression on all other log-ratios."""
    shares, _ = planted(80)
    ratios = np.log(shares[:, :-1] / shares[:, -1:])
    rest = np.column_stack([np.ones(len(ratios)), ratios[:, 2:]])
    left = [column - rest @ np.linalg.lstsq(rest, column, rcond=None)[0] for column in ratios[:, :2].T]
    assert partial_correlations(shares).correlation[0, 1] == pytest.approx(np.corrcoef(*left)[0, 1], abs=1e-10)


def test_what_was_planted_is_found_and_intervals_hold_it():
    _, covariance = planted(10)
    form = np.linalg.inv(covariance)
    ones = np.ones(5)
    form = form - np.outer(form @ ones, form @ ones) / (ones @ form @ ones)  # the total tells nothing
    size = np.sqrt(np.diag(form))
    truth = -form / np.outer(size, size) + 2 * np.eye(5)
    held = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        logs = rng.multivariate_normal(np.zeros(5), covariance, 40)
        found = partial_correlations(np.exp(logs))
        held += found.low[0, 1] <= truth[0, 1] <= found.high[0, 1]
    assert abs(held / 200 - 0.95) < 3 * (0.95 * 0.05 / 200) ** 0.5
    np.testing.assert_allclose(partial_correlations(np.exp(logs)).correlation, truth, atol=0.5)


def test_shares_that_are_none_are_named():
    with pytest.raises(ValueError, match="must be positive"):
        partial_correlations(np.array([[0.0, 1, 2], [1, 1, 1], [1, 2, 1], [2, 1, 1]]))
    with pytest.raises(ValueError, match="more rows than parts"):
        partial_correlations(np.ones((2, 3)))
    with pytest.raises(ValueError, match="at least 3 parts"):
        partial_correlations(np.random.default_rng(0).random((9, 2)) + 0.1)
    with pytest.raises(ValueError, match="transform must be one of"):
        basis(3, "log")


@pytest.mark.parametrize("n, m, power", [(12, 12, 1.0), (15, 20, 2.0), (1, 6, 1.0)])
def test_transport_against_a_linear_program(n, m, power):
    from scipy.optimize import linprog

    rng = np.random.default_rng(n)
    x, y, a = rng.normal(size=(n, 3)), rng.normal(0.5, 1, size=(m, 3)), rng.random(n) + 0.2
    cost = np.linalg.norm(x[:, None] - y[None], axis=-1) ** power
    rows, columns = np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))
    exact = linprog(cost.ravel(), A_eq=np.vstack([rows, columns]), b_eq=np.concatenate([a / a.sum(), np.full(m, 1 / m)])).fun
    found = transport(cost, a)
    assert exact * (1 - 1e-9) <= found.cost <= exact * (1 + 1e-3)
    assert found.cost - found.gap <= exact * (1 + 1e-9)  # the certificate is one
    np.testing.assert_allclose(found.plan.sum(1), a / a.sum(), rtol=1e-9)
    np.testing.assert_allclose(found.plan.sum(0), 1 / m, rtol=1e-9)
    assert distance(x, y, shares=a, power=power) == pytest.approx(exact ** (1 / power), rel=2e-3)


def test_transport_in_closed_form_and_bad_weights():
    x = np.random.default_rng(0).normal(size=(40, 1))
    assert distance(x, x + 3) == pytest.approx(3, rel=1e-3)  # in one dimension, a shift
    assert distance(x, np.sort(2 * x, axis=0), power=2.0) == pytest.approx(np.sqrt(np.mean(x**2)), rel=2e-3)
    with pytest.raises(ValueError, match="source must be .40,. positive weights"):
        distance(x, x, shares=np.zeros(40))
    with pytest.raises(ValueError, match="not negative"):
        transport(-np.ones((2, 2)))
