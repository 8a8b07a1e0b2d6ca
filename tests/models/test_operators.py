"""Sensing operators: the right scale on average, linear, self-adjoint, and blind only where they say so."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from assertions import assert_mean

from jaxscale.models.operators import Entries, Gaussian, Population, RankOne, SymmetricGaussian
from jaxscale.records import check

N = 5
KEYS = jax.random.split(jax.random.key(0), 400)
RNG = np.random.default_rng(0)
LEFT, RIGHT, OTHER = (jnp.asarray(RNG.normal(size=shape), jnp.float32) for shape in ((N, 3), (N, 3), (N, N)))
TARGET = np.asarray(LEFT) @ np.asarray(RIGHT).T
SEEING = [Population(), Gaussian(m=6), RankOne(m=6), Entries(m=6)]
ALL = [*SEEING, SymmetricGaussian(m=6)]


def name(operator):
    return type(operator).__name__


def energy(operator, drawn, matrix):
    return operator.energy(operator.measure(drawn, matrix, jnp.eye(N)))


@pytest.mark.parametrize("operator", [Gaussian(m=20), SymmetricGaussian(m=20), RankOne(m=60), Entries(m=9)], ids=name)
def test_mean_energy_is_the_squared_frobenius_norm(operator):
    sampled = jax.jit(jax.vmap(lambda key: energy(operator, operator.sample(key, (N, N)), jnp.asarray(TARGET))))(KEYS)
    visible = (TARGET + TARGET.T) / 2 if hasattr(operator, "symmetric") else TARGET
    expected = np.sum(visible**2)
    assert_mean(sampled, expected, precision=0.03 * expected)


@pytest.mark.parametrize("operator", ALL, ids=name)
def test_normal_operator_is_linear_and_self_adjoint(operator):
    @jax.jit
    def identities(target, other):
        drawn = operator.sample(KEYS[0], (N, N))
        at = lambda matrix: energy(operator, drawn, matrix)  # noqa: E731
        normal = jax.grad(lambda matrix: at(matrix) / 2)  # A*A
        polarised = (at(target + other) - at(target - other)) / 4
        factors = operator.measure(drawn, LEFT, RIGHT), operator.measure(drawn, LEFT @ RIGHT.T, jnp.eye(N))
        linear = normal(target + 2 * other), normal(target) + 2 * normal(other)
        return (
            factors,
            linear,
            (jnp.sum(other * normal(target)), polarised),
            (jnp.sum(target * normal(other)), polarised),
        )

    for left, right in identities(jnp.asarray(TARGET), OTHER):
        np.testing.assert_allclose(left, right, rtol=1e-4, atol=1e-4)


def test_gaussian_is_an_inner_product_with_rectangular_matrices():
    drawn = Gaussian(m=4).sample(KEYS[0], (N, 3))
    dense = np.asarray(drawn).reshape(4, N, 3)
    left, right = LEFT, RIGHT[:3]
    expected = np.einsum("mij,ij->m", dense, np.asarray(left) @ np.asarray(right).T)
    np.testing.assert_allclose(Gaussian(m=4).measure(drawn, left, right), expected, rtol=1e-5, atol=1e-5)


def test_rank_one_equals_dense_outer_products():
    a, b = RankOne(m=4).sample(KEYS[0], (N, 3))
    expected = np.einsum("mi,mj,ij->m", *map(np.asarray, (a, b)), np.asarray(LEFT) @ np.asarray(RIGHT[:3]).T)
    np.testing.assert_allclose(RankOne(m=4).measure((a, b), LEFT, RIGHT[:3]), expected, rtol=1e-4, atol=1e-5)


def test_symmetric_gaussian_is_blind_to_the_antisymmetric_part_and_to_nothing_else():
    @jax.jit
    def energies(other):
        blind, seeing = SymmetricGaussian(m=40), Gaussian(m=40)
        drawn = blind.sample(KEYS[0], (N, N))
        odd, even = other - other.T, other + other.T
        return (
            energy(blind, drawn, odd),
            energy(blind, drawn, even),
            energy(seeing, seeing.sample(KEYS[0], (N, N)), odd),
        )

    odd, even, seen = energies(OTHER)
    assert odd < 1e-10 and even > 1 and seen > 1


@pytest.mark.parametrize("m", [1, 7])
def test_entries_sees_exactly_m_and_which_ones_is_random(m):
    masks = np.asarray(jax.jit(jax.vmap(lambda key: Entries(m=m).sample(key, (N, 3))))(KEYS[:50]))
    assert np.all((masks > 0).sum(axis=(1, 2)) == m)
    np.testing.assert_allclose(masks[masks > 0], np.sqrt(15 / m), rtol=1e-6)
    assert len(np.unique(masks > 0, axis=0)) > 10


def test_entries_refuses_more_than_there_are():
    with pytest.raises(ValueError, match=r"Entries\.m must not exceed the 15 entries.*got 16"):
        Entries(m=16).sample(KEYS[0], (N, 3))


@pytest.mark.parametrize("operator", [Gaussian(m=0), SymmetricGaussian(m=0), RankOne(m=-1), Entries(m=0)], ids=name)
def test_no_measurement_is_refused(operator):
    with pytest.raises(ValueError, match=rf"{name(operator)}\.m must be at least 1"):
        check(operator)
