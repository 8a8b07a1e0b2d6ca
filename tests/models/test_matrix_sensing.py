"""Matrix sensing: the papers' update formulas, the target, conserved quantities and refusals."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from assertions import assert_mean

from jaxscale.dynamics.descent import Descent
from jaxscale.models.matrix_sensing import AsymmetricSensing, Factors, SymmetricSensing
from jaxscale.models.operators import Entries, Gaussian, Population, RankOne, SymmetricGaussian
from jaxscale.records import check, replace
from jaxscale.simulation import simulate

KEY = jax.random.key(0)


def symmetric(**options):
    return SymmetricSensing(**{"n": 6, "rank": 2, "k": 3, "alpha": 0.5, "condition": 4.0} | options)


def asymmetric(**options):
    return AsymmetricSensing(**{"n1": 6, "n2": 4, "rank": 2, "k": 3, "alpha": 0.5, "condition": 4.0} | options)


def gradient(model):
    """(data, parameters, gradient) as numpy."""

    @jax.jit
    def first(key):
        key_data, key_init = jax.random.split(key)
        data = model.sample(key_data)
        params = model.init(key_init, data)
        return data, params, jax.grad(model.loss)(params, data, key)

    return jax.tree.map(lambda x: np.asarray(x, np.float64), first(KEY))


def whole(drawn, rows, columns):
    """(m, rows, columns) from what a dense operator keeps, the triangle of A + A^T for symmetric matrices included."""
    if drawn.ndim == 3 or drawn.shape[1] == rows * columns:
        return drawn.reshape(-1, rows, columns)
    upper = np.zeros((len(drawn), rows, rows))
    upper[:, *np.triu_indices(rows)] = drawn
    return (upper + upper.swapaxes(1, 2)) / 2


def normal(operator, drawn, error):
    """A*A(error), by the formula of the paper."""
    if isinstance(operator, Population):
        return error
    if isinstance(operator, Entries):
        return drawn**2 * error
    if isinstance(operator, RankOne):
        drawn = np.einsum("mi,mj->mij", *drawn)
    dense = whole(drawn, *error.shape)
    return np.einsum("mij,m->ij", dense, np.einsum("mij,ij->m", dense, error)) / operator.m


@pytest.mark.parametrize("operator", [Population(), Gaussian(m=9), SymmetricGaussian(m=9), Entries(m=9)], ids=repr)
def test_symmetric_gradient_is_the_papers(operator):
    data, x, found = gradient(symmetric(operator=operator, random_basis=True))
    d = normal(operator, data.operator, x @ x.T - data.left @ data.right.T)
    np.testing.assert_allclose(found, (d + d.T) / 2 @ x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("operator", [Population(), Gaussian(m=9), RankOne(m=9)], ids=repr)
def test_asymmetric_gradient_is_the_papers(operator):
    data, (f, g), found = gradient(asymmetric(operator=operator, random_basis=True))
    assert (f.shape, g.shape) == ((6, 3), (4, 3))
    d = normal(operator, data.operator, f @ g.T - data.left @ data.right.T)
    np.testing.assert_allclose(found.left, d @ g, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.right, d.T @ f, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("model", [symmetric(rank=3), asymmetric(rank=3, random_basis=True)], ids=["symmetric", "rotated"])
def test_target_has_the_rank_and_the_condition_number(model):
    data, *_ = gradient(model)
    values = np.linalg.svd(data.left @ data.right.T, compute_uv=False)
    np.testing.assert_allclose(values[:3], [1, 0.5, 0.25], rtol=1e-5)
    np.testing.assert_allclose(values[3:], 0, atol=1e-6)


def test_the_start_has_the_scales_asked_for():
    model = asymmetric(n1=40, n2=50, k=20, alpha=0.2, ratio=0.25)
    left, right = model.init(KEY, None)
    assert_mean(left**2, 0.2**2, precision=3e-3)
    assert_mean(right**2, 0.05**2, precision=2e-4)


def test_noise_has_its_standard_deviation_and_is_all_that_separates_measurement_from_target():
    model = symmetric(operator=Gaussian(m=2000), noise=0.3)
    data, *_ = gradient(model)
    target = data.left @ data.right.T
    residual = data.seen - np.einsum("mij,ij->m", whole(data.operator, *target.shape), target)
    assert_mean(residual, 0, precision=0.01)
    assert_mean(residual**2, 0.3**2, precision=0.005)


def test_unseen_entries_carry_no_noise():
    """An entry that is not seen is no measurement, so it must not raise the loss."""
    data, *_ = gradient(symmetric(operator=Entries(m=9), random_basis=True, noise=0.3))
    assert np.all(data.seen[data.operator == 0] == 0)


def test_loss_observed_at_the_target_is_zero_and_the_error_is_the_distance():
    model = asymmetric(operator=Gaussian(m=9))
    data = model.sample(KEY)
    at_target = model.observe(Factors(data.left, data.right), data)
    assert at_target["loss"] == 0 and at_target["relative_error"] == 0
    away = model.observe(Factors(2 * data.left, data.right), data)
    np.testing.assert_allclose(away["error"], 1 + 0.25**2, rtol=1e-5)
    np.testing.assert_allclose(away["relative_error"], 1, rtol=1e-5)


@pytest.mark.parametrize("columns", [1, 2, 4])
def test_effective_rank_of_orthonormal_columns_counts_them(columns):
    model = symmetric(k=4, spectrum=4)
    data = model.sample(KEY)
    x = np.zeros((6, 4), np.float32)
    x[np.arange(columns), np.arange(columns)] = 3
    found = model.observe(jnp.asarray(x), data)
    np.testing.assert_allclose(found["effective_rank"], columns, rtol=1e-4)
    np.testing.assert_allclose([found[f"singular_{i + 1}"] for i in range(4)], [9] * columns + [0] * (4 - columns), atol=1e-4)


@pytest.mark.parametrize("model", [symmetric(spectrum=3), asymmetric(spectrum=3)], ids=["symmetric", "asymmetric"])
def test_singular_values_are_numpys(model):
    data, params, _ = gradient(model)
    left, right = params if isinstance(params, Factors) else (params, params)
    found = jax.jit(model.observe)(jax.tree.map(jnp.float32, params), jax.tree.map(jnp.float32, data))
    values = np.linalg.svd(left @ right.T, compute_uv=False)[:3]
    np.testing.assert_allclose([found[f"singular_{i + 1}"] for i in range(3)], values, rtol=1e-4)
    share = values / values.sum()
    np.testing.assert_allclose(found["effective_rank"], np.exp(-np.sum(share * np.log(share))), rtol=1e-4)
    if isinstance(params, Factors):
        np.testing.assert_allclose(found["factor_min"], np.linalg.svd(left, compute_uv=False)[-1], rtol=1e-4)
        np.testing.assert_allclose(found["imbalance"], np.linalg.norm(left.T @ left - right.T @ right), rtol=1e-4)


def test_imbalance_drifts_only_at_second_order_in_the_rate():
    """Over the same time eta t its drift is proportional to eta, so it is conserved by gradient flow."""
    runs = [(0.2, 50), (0.1, 100), (0.05, 200), (0.002, 100)]
    rates = jnp.array([rate for rate, _ in runs])
    system = Descent(model=asymmetric(), learning_rate=0.0)
    run = jax.jit(jax.vmap(lambda rate: simulate(replace(system, learning_rate=rate), KEY, np.array([0, 50, 100, 200]))))
    imbalance = np.asarray(run(rates)["imbalance"], np.float64)
    drift = [abs(imbalance[i, [0, 50, 100, 200].index(steps)] - imbalance[i, 0]) for i, (_, steps) in enumerate(runs)]
    np.testing.assert_allclose([drift[0] / drift[1], drift[1] / drift[2]], 2, rtol=0.15)
    assert drift[3] < 2e-3 * imbalance[0, 0] < drift[0]


def test_stability_limit_is_where_descent_stops_converging():
    system = Descent(model=symmetric(n=3, rank=1, k=1, alpha=0.05), learning_rate=0.0)
    run = jax.jit(jax.vmap(lambda rate: simulate(replace(system, learning_rate=rate), KEY, np.array([400]))))
    below, beyond = run(jnp.array([0.9, 1.05]))["loss"][:, 0]
    assert below < 1e-10 and beyond > 1e-3


def test_rate_beyond_the_limit_warns_and_below_does_not():
    check(Descent(model=symmetric(), learning_rate=0.99))  # warnings are errors here
    with pytest.warns(UserWarning, match=r"1\.05 is at or beyond the stability limit 1"):
        check(Descent(model=asymmetric(), learning_rate=1.05))


@pytest.mark.parametrize(
    "model, message",
    [
        (
            asymmetric(operator=SymmetricGaussian(m=9)),
            "must not be symmetric; got SymmetricGaussian.*antisymmetric part",
        ),
        (symmetric(operator=Entries(m=9)), "Entries needs random_basis=True"),
        (asymmetric(operator=Gaussian(m=0)), r"Gaussian\.m must be at least 1"),
        (asymmetric(rank=5), r"AsymmetricSensing\.rank must lie in 1\.\.4.*got 5"),
        (symmetric(rank=0), r"SymmetricSensing\.rank must lie in 1\.\.6"),
        (symmetric(k=0), r"SymmetricSensing\.k must be at least 1"),
        (symmetric(condition=0.5), r"condition must be at least 1; got 0\.5"),
        (symmetric(alpha=0.0), "alpha must be positive"),
        (symmetric(noise=-1.0), "noise must not be negative"),
        (symmetric(spectrum=4), "spectrum must not exceed k=3; got 4"),
    ],
)
def test_refusals(model, message):
    with pytest.raises(ValueError, match=message):
        check(model)


def test_symmetric_operators_are_welcome_where_they_see_everything():
    check(symmetric(operator=SymmetricGaussian(m=9)))
    check(symmetric(operator=Entries(m=9), random_basis=True))
