"""Minibatches: distinct, in range, and uniform over all subsets."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscale.data import minibatch as batch

KEYS = jax.random.split(jax.random.key(0), 20_000)
CAPACITY = 8


def assert_uniform(masks, subsets):
    """Every subset equally often: chi-squared less its degrees of freedom, in standard errors."""
    weights = 2 ** np.arange(masks.shape[1])
    codes = [int(weights[list(subset)].sum()) for subset in subsets]
    found = np.asarray(masks) @ weights
    assert set(found) <= set(codes)
    counts = np.array([np.sum(found == code) for code in codes])
    expected, freedom = len(masks) / len(codes), len(codes) - 1
    assert expected > 500, "too few draws to tell"
    chi2 = np.sum((counts - expected) ** 2 / expected)
    assert chi2 - freedom <= 5 * np.sqrt(2 * freedom), f"chi2 {chi2:.1f} with {freedom} degrees of freedom"


def as_masks(rows):
    rows = np.asarray(rows)
    assert np.all([len(set(row)) == rows.shape[1] for row in rows.tolist()]), "a row was drawn twice"
    return np.any(rows[:, :, None] == np.arange(CAPACITY), axis=1)


@pytest.mark.parametrize("limit", [64, 0], ids=["floyd", "threshold"])
@pytest.mark.parametrize("count, size", [(1, 6), (3, 6), (6, 6)])
def test_rows_are_a_uniform_subset_of_a_traced_size(monkeypatch, limit, count, size):
    monkeypatch.setattr(batch, "FLOYD_LIMIT", limit)
    draw = jax.jit(jax.vmap(lambda key, size: batch.draw_rows(key, count, size, CAPACITY), in_axes=(0, None)))
    rows = draw(KEYS, jnp.int32(size))
    assert rows.dtype == jnp.int32 and rows.shape == (len(KEYS), count)
    assert_uniform(as_masks(rows), list(itertools.combinations(range(size), count)))


def test_many_rows_take_the_threshold_and_stay_distinct():
    count = batch.FLOYD_LIMIT + 1
    rows = np.asarray(jax.jit(lambda key: batch.draw_rows(key, count, 70, 100))(KEYS[0]))
    assert len(set(rows.tolist())) == count and rows.min() >= 0 and rows.max() < 70


@pytest.fixture(scope="module")
def draw_masks():
    return jax.jit(jax.vmap(batch.draw_mask, in_axes=(0, None, None)))


@pytest.mark.parametrize("count", range(7))
def test_mask_is_a_uniform_subset_of_the_allowed_rows(draw_masks, count):
    allowed = np.array([1, 0, 1, 1, 0, 1, 1, 1], bool)
    masks = draw_masks(KEYS, jnp.int32(count), jnp.asarray(allowed))
    assert_uniform(masks, list(itertools.combinations(np.flatnonzero(allowed), count)))


def test_mask_of_all_rows(draw_masks):
    assert np.all(draw_masks(KEYS, jnp.int32(CAPACITY), jnp.ones(CAPACITY, bool)))
