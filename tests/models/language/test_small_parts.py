"""Counted flops against the compiler's, ghost batches, noisy labels, digits as sequences, the multilinear skill model."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from assertions import assert_mean

from jaxscale.data.modular import ModularAddition
from jaxscale.data.noise import NoisyLabels
from jaxscale.data.relabel import Relabelling
from jaxscale.data.sequential_digits import SequentialDigits
from jaxscale.data.world import batch, zipf
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.fitting.double_precision import float64
from jaxscale.models.language import model as language_model
from jaxscale.models.language.attention import Attention, LinearAttention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.flops import flops_per_token, mfu, steps_in, throughput
from jaxscale.models.language.ghost_norm import GhostBatchNorm, sqrt_rate
from jaxscale.models.language.recurrent import QuasiLstm, ReluRnn
from jaxscale.models.language.s4d import S4D
from jaxscale.models.language.tensor_roles import by_path
from jaxscale.models.multilinear_skills import MultilinearSkills, Params
from jaxscale.models.networks import network
from jaxscale.records import check
from jaxscale.simulation import simulate
from jaxscale.theory import multilinear_skills

LANGUAGE = language_model.TINY()


@pytest.mark.parametrize("mixer", [Attention(heads=2), LinearAttention(heads=2), QuasiLstm(), S4D(), ReluRnn()])
def test_flops_are_the_compilers(mixer):
    """Within 10 %, of every mixer; of the ReLU network at context 1, since the compiler counts a loop's body once."""
    context = 1 if isinstance(mixer, ReluRnn) else 32
    module = Decoder(vocabulary=64, context=context, mixer=mixer, width=64)
    init, apply = network(module)
    tokens = jax.random.randint(jax.random.key(0), (128 // context, context), 0, 64)

    def loss(params):
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(apply(params, tokens)[0], tokens))

    params = jax.jit(init)(jax.random.key(1), tokens)
    cost = jax.jit(jax.grad(loss)).lower(params).compile().cost_analysis()
    counted = (cost[0] if isinstance(cost, list) else cost)["flops"]
    assert flops_per_token(module) * tokens.size == pytest.approx(counted, rel=0.1)
    used = mfu(module, batch=4, steps_per_second=10.0, lanes=8, peak=1e12)
    assert used == pytest.approx(8 * 10 * 4 * context * flops_per_token(module) / 1e12)


def test_a_mixer_without_flops_is_asked_for_them():
    with pytest.raises(TypeError, match=r"Dense has no flops\(width, context\); give it one"):
        flops_per_token(Decoder(vocabulary=4, context=4, mixer=nn.Dense(8)))


def test_ghost_batches_are_normalised_by_themselves():
    init, apply = network(GhostBatchNorm(group=4))
    x = jax.random.normal(jax.random.key(2), (12, 5)) * 3 + 1
    params = init(jax.random.key(3), x)
    y = apply(params, x).reshape(3, 4, 5)
    np.testing.assert_allclose(y.mean(1), 0, atol=1e-5)
    np.testing.assert_allclose(y.std(1), 1, rtol=1e-3)
    other = apply(params, x.at[0].add(9.0)).reshape(3, 4, 5)
    np.testing.assert_array_equal(other[1:], y[1:])
    assert sqrt_rate(0.1, 256, 64) == pytest.approx(0.2)
    with pytest.raises(ValueError, match="must divide the 12 rows; got 5"):
        network(GhostBatchNorm(group=5))[0](jax.random.key(0), x)
    with pytest.raises(ValueError, match=r"got 0. Choose from \[1, 2, 3, 4, 6, 12\]"):
        network(GhostBatchNorm(group=0))[0](jax.random.key(0), x)


def test_labels_are_noisy_in_training_alone():
    world = NoisyLabels(world=Relabelling(classes=4, labels=4), share=0.5)
    check(world)
    seen = jax.jit(lambda key: batch(world, key, (), 2000))(jax.random.key(0))
    clean = jnp.where(seen.tokens[:, 0] == seen.tokens[:, 4], seen.tokens[:, 1], seen.tokens[:, 3])
    wrong = np.mean(np.asarray(seen.targets[:, -1] != clean))
    assert abs(wrong - 0.5 * 7 / 8) < 0.04 and np.all(seen.targets[:, :-1] == 0)
    unseen = jax.jit(jax.vmap(lambda k: world.unseen(k, ())))(jax.random.split(jax.random.key(1), 200))
    right = jnp.where(unseen.tokens[:, 0] == unseen.tokens[:, 4], unseen.tokens[:, 1], unseen.tokens[:, 3])
    np.testing.assert_array_equal(unseen.targets[:, -1], right)
    assert NoisyLabels(world=ModularAddition(p=5)).vocabulary == 5
    with pytest.raises(ValueError, match="share must lie in 0..1"):
        check(NoisyLabels(share=2.0))


def test_digits_as_sequences():
    pytest.importorskip("sklearn")
    world = SequentialDigits()
    check(world)
    seen = jax.jit(lambda key: batch(world, key, (), 300))(jax.random.key(0))
    assert seen.tokens.shape == (300, 64) and int(seen.tokens.max()) == 16
    assert len(np.unique(seen.targets[:, -1])) == 10
    train = {tuple(row) for row in np.asarray(batch(world, jax.random.key(1), (), 4000).tokens).tolist()}
    unseen = jax.jit(jax.vmap(lambda k: world.unseen(k, ())))(jax.random.split(jax.random.key(2), 50))
    assert not train & {tuple(row) for row in np.asarray(unseen.tokens).tolist()}


def test_steps_that_hours_buy():
    """The published tables: GPT small and medium, and the smallest quasi-LSTM. Rounding down gives one less for two of them."""
    assert steps_in(6, 55_416, batch=128, context=512) == 18_265
    assert steps_in(24, 55_416, batch=256, context=512) == 36_529
    assert steps_in(96, 16_618, batch=256, context=512) == 43_817
    assert steps_in(6, 94_781, batch=80, context=512) == 49_982
    with pytest.raises(ValueError, match="batch and context >= 1"):
        steps_in(6, 1e4, batch=0, context=512)


def test_tokens_a_second_are_counted(monkeypatch):
    """With a clock that gives a second a look: steps, sequences and places of one repeat."""
    clock = iter(range(100))
    monkeypatch.setattr("jaxscale.models.language.flops.time.perf_counter", lambda: next(clock))
    system = Descent(model=LANGUAGE, learning_rate=0.01, rule=AdamW())
    assert throughput(system, steps=3, repeats=2) == 3 * 2 * 5
    with pytest.raises(ValueError, match="at least 1; got 0, 2, 2"):
        throughput(system, steps=0, repeats=2)


def test_flops_count_every_matrix_of_the_experts():
    module = Decoder(vocabulary=8, context=4, mixer=Attention(heads=2), width=8, depth=2, experts=3)
    params = jax.eval_shape(module.init, jax.random.key(0), jnp.zeros((1, 4), int))["params"]
    matrices = sum(leaf.size for path, leaf in by_path(params).items() if leaf.ndim > 1 and path != "embed")
    assert flops_per_token(module) == 6 * matrices + 12 * 2 * 8 * 4


@pytest.mark.parametrize("alpha", [0.4, 0.8])
def test_exponents_of_multilinear_skills(alpha):
    with float64():
        t = jnp.geomspace(3e3, 3e5, 12)
        in_time = np.asarray(multilinear_skills.loss(t, alpha=alpha, count=200_000))
        n = np.geomspace(30, 1000, 8)
        in_size = np.array([float(multilinear_skills.loss(1e12, alpha=alpha, skills=k)) for k in n])
    known = multilinear_skills.exponents(alpha)
    assert -np.polyfit(np.log(np.asarray(t)), np.log(in_time), 1)[0] == pytest.approx(known["time"], abs=0.03)
    assert -np.polyfit(np.log(n), np.log(in_size), 1)[0] == pytest.approx(known["size"], abs=0.03)


def test_a_skill_is_gradient_flow():
    a = b = 0.1**0.5
    dt, p = 1e-3, 0.7
    for _ in range(5000):
        a, b = a + dt * p * (1 - a * b) * b, b + dt * p * (1 - a * b) * a
    assert float(multilinear_skills.strength(5.0, p, start=0.1)) == pytest.approx(a * b, rel=1e-3)


def test_multilinear_skills_trained_are_the_theorys():
    """Descent in small steps follows the flow's loss; minibatches have its gradient on average."""
    model = MultilinearSkills(skills=12, alpha=0.6)
    system = Descent(model, rule=optax.sgd, learning_rate=0.05)
    times = np.array([0, 200, 1000, 4000])
    found = jax.jit(lambda: simulate(system, jax.random.key(0), times))()
    p = np.asarray(zipf(12, 1.6), np.float64)
    grown = np.asarray(multilinear_skills.strength(0.05 * times[:, None], p[None]))
    np.testing.assert_allclose(found["loss"], (p * (1 - grown) ** 2).sum(1) / 2, rtol=0.02, atol=1e-6)
    np.testing.assert_array_equal(found["learned"], (grown >= 0.5).sum(1))
    twice = MultilinearSkills(skills=3, target=2.0).observe(Params(jnp.array([1.1, 0.9, 2.0]), jnp.ones(3)), jnp.ones(3))
    assert float(twice["learned"]) == 2  # at half of the target
    noisy = MultilinearSkills(skills=12, alpha=0.6, batch=8)
    params = Params(jnp.linspace(0.1, 1, 12), jnp.linspace(0.5, 1.2, 12))
    data = noisy.sample(jax.random.key(0))
    draws = jax.jit(jax.vmap(lambda key: jax.grad(noisy.loss)(params, data, key).a))(jax.random.split(jax.random.key(1), 4000))
    exact = jax.grad(model.loss)(params, data, jax.random.key(0)).a
    for k in (0, 3, 11):
        assert_mean(draws[:, k], float(exact[k]), precision=0.02)
    with pytest.raises(ValueError, match="0 < start < target"):
        check(MultilinearSkills(start=2.0))
