"""Exact identities of adapters, emulated fine-tuning and new embeddings."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscale.models.language import adapt
from jaxscale.models.language import model as language_model

TINY = language_model.TINY()

KEYS = jax.random.split(jax.random.key(0), 8)
KERNEL = jax.random.normal(KEYS[0], (12, 8))


@pytest.mark.parametrize(
    "made",
    [
        adapt.lora(KEYS[1], KERNEL, 4, alpha=8.0),
        adapt.eva(jax.random.normal(KEYS[2], (50, 12)), KERNEL, 4)[0],
        adapt.bone(KERNEL, 4),
        adapt.bat(KERNEL, 4),
    ],
    ids=["lora", "eva", "bone", "bat"],
)
def test_nothing_is_added_at_the_start_and_something_is_learned(made):
    assert np.all(made.delta(KERNEL) == 0)
    grads = jax.grad(lambda m: jnp.sum((m.delta(KERNEL) - 1.0) ** 2))(made)
    assert any(np.any(leaf != 0) for leaf in jax.tree.leaves(grads))


def test_eva_spans_the_inputs_largest_directions():
    spectrum = 1 / np.arange(1, 13)
    inputs = jax.random.normal(KEYS[3], (4000, 12)) * jnp.sqrt(spectrum)[None, :]
    moved, same = adapt.eva(inputs + 5 * jnp.arange(12.0)[None, :], KERNEL, 4)  # the mean is no direction of variance
    inputs = inputs - inputs.mean(axis=0, keepdims=True)
    made, share = adapt.eva(inputs, KERNEL, 4)
    np.testing.assert_allclose(made.a.T @ made.a, np.eye(4), atol=1e-5)
    np.testing.assert_allclose(moved.a @ moved.a.T, made.a @ made.a.T, atol=1e-3)
    np.testing.assert_allclose(same, share, atol=1e-4)
    explained = float(jnp.sum((inputs @ made.a) ** 2) / jnp.sum(inputs**2))
    assert explained == pytest.approx(float(jnp.sum(share[:4])), rel=1e-4) and explained > 0.6


def test_ranks_go_where_most_is_explained():
    """In a program: the shares are traced."""
    allocate = jax.jit(lambda shares: adapt.allocate(shares, 2))
    kept = allocate({"q": jnp.array([0.6, 0.2, 0.1]), "mlp": jnp.array([0.5, 0.09, 0.08]), "out": jnp.array([0.3, 0.15, 0.11])})
    assert {name: one.tolist() for name, one in kept.items()} == {"q": [1, 1, 0], "mlp": [1, 0, 0], "out": [1, 1, 1]}
    even = allocate({"q": jnp.ones(2) / 2, "mlp": jnp.ones(2) / 9})
    assert all(np.all(one == 1) for one in even.values())  # no room to choose


def test_lora_sb_puts_back_the_best_part_of_a_gradient():
    gradient = jax.random.normal(KEYS[4], (12, 8))
    made = adapt.lora_sb(gradient, 3, rate=1e-3)
    np.testing.assert_allclose(made.a.T @ made.a, np.eye(3), atol=1e-5)
    np.testing.assert_allclose(made.b @ made.b.T, np.eye(3), atol=1e-5)
    u, s, vt = np.linalg.svd(-1e-3 * np.sign(gradient))
    np.testing.assert_allclose(made.delta(KERNEL), (u[:, :3] * s[:3]) @ vt[:3], atol=1e-6)  # Eckart and Young
    core = jax.grad(lambda c: jnp.sum(gradient * made.__class__(a=made.a, core=c, b=made.b).delta(KERNEL)))(made.core)
    np.testing.assert_allclose(made.a @ core @ made.b, made.a @ made.a.T @ gradient @ made.b.T @ made.b, atol=1e-5)


def test_bone_adds_one_block_to_every_block_of_inputs():
    made = adapt.Bone(block=jax.random.normal(KEYS[5], (4, 8)))
    x = jax.random.normal(KEYS[6], (5, 12))
    np.testing.assert_allclose(x @ made.delta(KERNEL), x.reshape(5, 3, 4).sum(1) @ made.block, rtol=1e-4, atol=1e-5)
    assert np.linalg.matrix_rank(np.asarray(made.delta(KERNEL))) <= 4


def test_bat_unmerges():
    made = adapt.Bat(blocks=0.3 * jax.random.normal(KEYS[7], (2, 4, 4)))
    merged = KERNEL + made.delta(KERNEL)
    np.testing.assert_allclose(made.unmerge(merged), KERNEL, atol=1e-4)
    assert np.linalg.matrix_rank(np.asarray(made.delta(KERNEL))) == 8  # full, where Bone has 4


def test_lora_fair_is_nearer_to_the_average_of_the_products():
    keys = jax.random.split(jax.random.key(1), 10)
    a = [jax.random.normal(k, (12, 3)) for k in keys[:5]]
    b = [jax.random.normal(k, (3, 10)) for k in keys[5:]]
    weights = jnp.full(5, 0.2)
    wanted = sum(0.2 * x @ y for x, y in zip(a, b))

    def left(ridge):
        mean, corrected = adapt.lora_fair(a, b, weights, ridge=ridge)
        return float(jnp.linalg.norm(wanted - mean @ corrected))

    plain = float(jnp.linalg.norm(wanted - jnp.mean(jnp.stack(a), 0) @ jnp.mean(jnp.stack(b), 0)))
    losses = [left(ridge) for ridge in (0.01, 1.0, 100.0)]
    assert losses == sorted(losses) and losses[0] < plain
    mean, corrected = adapt.lora_fair(a, b, weights, ridge=0.0)
    np.testing.assert_allclose(mean.T @ (wanted - mean @ corrected), 0, atol=1e-4)  # the normal equations


def test_clients_of_lora_fair_count_by_their_weights():
    """Two clients of weights .9 and .1, by the normal equations in numpy."""
    a = [np.asarray(jax.random.normal(k, (6, 2))) for k in KEYS[:2]]
    b = [np.asarray(jax.random.normal(k, (2, 5))) for k in KEYS[2:4]]
    mean_a, mean_b = (0.9 * f[0] + 0.1 * f[1] for f in (a, b))
    left = 0.9 * a[0] @ b[0] + 0.1 * a[1] @ b[1] - mean_a @ mean_b
    wanted = mean_b + np.linalg.solve(mean_a.T @ mean_a + 0.5 * np.eye(2), mean_a.T @ left)
    found = adapt.lora_fair(a, b, jnp.array([0.9, 0.1]), ridge=0.5)
    np.testing.assert_allclose(found[0], mean_a, rtol=1e-5)
    np.testing.assert_allclose(found[1], wanted, rtol=1e-3, atol=1e-5)


def test_emulated_fine_tuning_is_exact_for_a_common_tilt():
    large, small, tilt = (jax.random.normal(k, (4, 9)) for k in KEYS[:3])
    found = adapt.Emulated()(large, small + tilt, small)
    np.testing.assert_allclose(found, jax.nn.log_softmax(large + tilt), atol=1e-5)
    np.testing.assert_allclose(adapt.Emulated(strength=0.0)(large, small + tilt, small), jax.nn.log_softmax(large), atol=1e-5)
    other = jax.random.normal(KEYS[3], (4, 9))  # two fine-tunings blended: one on top of the other
    both = adapt.Emulated(strength=0.3)(adapt.Emulated(strength=0.7)(large, small + tilt, small), small + other, small)
    np.testing.assert_allclose(both, jax.nn.log_softmax(large + 0.7 * tilt + 0.3 * other), atol=1e-5)
    impossible = adapt.Emulated(floor=5.0)(large, small, small.at[:, 0].set(-1e9))
    others = jnp.log1p(-jax.nn.softmax(small)[:, 0])  # what the small base's other tokens lose by having a rival
    gained = (impossible - large)[:, 0] - (impossible - large)[:, 1]
    np.testing.assert_allclose(gained, 5.0 - others, atol=1e-5)  # and not 1e9


def test_distillation_from_oneself_is_cross_entropy():
    logits, targets = jax.random.normal(KEYS[0], (6, 5)), jnp.array([0, 1, 2, 3, 4, 0])
    plain = -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits), targets[:, None], 1))
    assert float(adapt.distilled(logits, logits, targets, 3.0)) == pytest.approx(float(plain), rel=1e-5)
    assert adapt.distilled(logits, logits + KEYS.shape[0] * jax.random.normal(KEYS[1], (6, 5)), targets, 3.0) > plain


def test_distillation_is_the_divergence_of_the_student_from_the_teacher():
    """One place, two tokens: teacher (.9, .1), student (.5, .5), target 0; KL(teacher || student) = .9 ln 1.8 + .1 ln .2."""
    logits, teacher = jnp.log(jnp.array([[0.5, 0.5]])), jnp.log(jnp.array([[0.9, 0.1]]))
    wanted = -np.log(0.5) + 2.0 * (0.9 * np.log(1.8) + 0.1 * np.log(0.2))
    assert float(adapt.distilled(logits, teacher, jnp.array([0]), 2.0)) == pytest.approx(wanted, rel=1e-5)


def test_new_rows_in_the_hull_never_win():
    old = jax.random.normal(KEYS[2], (20, 6))
    new = adapt.hull_rows(KEYS[3], old, 7)
    logits = jax.random.normal(KEYS[4], (500, 6)) @ jnp.concatenate([old, new]).T
    assert np.all(np.argmax(logits, axis=1) < 20)
    assert adapt.cross_row(lambda x: 2 * x, old).shape == (6,)
    np.testing.assert_allclose(adapt.cross_row(jnp.square, old), old.mean(0) ** 2, rtol=1e-5)  # and not the mean square


def test_adapters_reach_into_a_network():
    data = jax.jit(TINY.sample)(jax.random.key(2))
    params, apply = jax.jit(TINY.init)(jax.random.key(3), data), jax.jit(TINY.apply)
    path = "layer0_mixer/q/kernel"
    adapter = adapt.lora(KEYS[5], params["layer0_mixer"]["q"]["kernel"], 2)
    same = apply(adapt.adapted(params, {path: adapter}), data.test.tokens)[0]
    np.testing.assert_array_equal(same, apply(params, data.test.tokens)[0])
    trained = adapt.LowRank(a=adapter.a, core=adapter.core, b=jnp.ones_like(adapter.b))
    other = apply(adapt.adapted(params, {path: trained}), data.test.tokens)[0]
    assert np.max(np.abs(other - same)) > 1e-3
    with pytest.raises(ValueError, match="no parameter 'layer9/kernel' to adapt; choose from"):
        adapt.adapted(params, {"layer9/kernel": adapter})


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: adapt.lora(KEYS[0], KERNEL, 9), "1 <= rank <= 8"),
        (lambda: adapt.bone(KERNEL, 5), r"rank must divide 12; got 5. Choose from \[1, 2, 3, 4, 6, 12\]"),
        (lambda: adapt.bat(KERNEL, 3), r"rank must divide 12 and 8; got 3. Choose from \[1, 2, 4\]"),
        (lambda: adapt.bone(KERNEL, 0), "rank must divide 12; got 0"),
        (lambda: adapt.hull_rows(KEYS[0], KERNEL, -1), "count must be at least 1 new row; got -1"),
        (lambda: adapt.lora_fair([KERNEL], [KERNEL], jnp.array([0.5, 0.5])), "of the same clients; got 1, 1 and 2"),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()
