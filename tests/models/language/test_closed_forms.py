"""Closed forms by numpy and scipy: losses, scores, discretisations, positions, readouts, adapters, ghost batches."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.signal
import scipy.special
from assertions import close_to_the_largest

from jaxscale.data.repeats import Repeats
from jaxscale.fitting.double_precision import float64
from jaxscale.models.language import adapt, s4d
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.ghost_norm import GhostBatchNorm
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.language.s4d import S4D
from jaxscale.models.language.taps import Tap
from jaxscale.models.language.tensor_roles import adam_rates
from jaxscale.models.networks import network
from jaxscale.records import replace

KEY = jax.random.key(0)
TOKENS = jax.random.randint(jax.random.key(9), (3, 5), 0, 6)


def decoder(mixer=None, **more):
    mixer = Attention(heads=2) if mixer is None else mixer
    return Decoder(**(dict(vocabulary=6, context=8, mixer=mixer, width=8, depth=1, hidden=2) | more))


def made(module, tokens=TOKENS):
    init, apply = network(module)
    return jax.jit(init)(KEY, tokens), jax.jit(apply)


def host(tree):
    """The same in numpy float64."""
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), tree)


def layer_norm(x, scale):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * scale


class Bigram(nn.Module):
    """A table of logits, and a number added to all of them."""

    @nn.compact
    def __call__(self, tokens):
        return nn.Embed(6, 6)(tokens) + self.param("shift", nn.initializers.zeros, ())


def test_z_loss_is_the_mean_square_of_log_z():
    """loss(c) - loss(0) = c <(log Z)^2>; a shift of all logits has slope 2 c <log Z>, and none in the cross-entropy."""
    plain = LanguageModel(world=Repeats(vocabulary=6, length=3), network=Bigram(), batch=4, evaluation=2)
    data = plain.sample(KEY)
    params, seen = plain.init(KEY, data), plain.examples(data, KEY)
    params = jax.tree.map(lambda p: 3 * p + 0.5, params)
    (loss, slope), (penalised, steep) = (
        jax.value_and_grad(replace(plain, z_loss=c).loss)(params, data, KEY) for c in (0.0, 0.3)
    )
    logits = host(params["Embed_0"]["embedding"])[np.asarray(seen.tokens)] + float(params["shift"])
    log_z = np.log(np.exp(logits).sum(-1))
    weight = np.asarray(seen.weight)
    assert set(np.unique(weight)) == {0.0, 1.0}
    assert float(penalised - loss) == pytest.approx(0.3 * np.average(log_z**2, weights=weight), rel=1e-4)
    assert float(slope["shift"]) == pytest.approx(0, abs=1e-6)
    assert float(steep["shift"]) == pytest.approx(2 * 0.3 * np.average(log_z, weights=weight), rel=1e-4)


@pytest.mark.parametrize("mup", [False, True])
def test_largest_score_and_log_z_by_hand(mup):
    """max |q k| over K / sqrt(K0) (muP, K0 = 32 / 3) or sqrt(K), turned as complex numbers; <log sum exp>."""
    width, heads = 12, 3
    module = decoder(Attention(heads=heads, mup=mup), width=width, depth=2, mup=mup)
    model = LanguageModel(world=Repeats(vocabulary=6, length=4), network=module, batch=2, evaluation=6)
    data = jax.jit(model.sample)(jax.random.key(1))
    params = jax.jit(model.init)(jax.random.key(3), data)
    params = jax.tree.map(lambda p: 1.5 * p, params)
    params["readout"] = {"kernel": jax.random.normal(jax.random.key(4), (width, 6))}  # zero at the start of muP
    found, sites = jax.jit(lambda p: (model.observe(p, data), model.activations(p, data)))(params)
    own, tokens = host(params), np.asarray(data.test.tokens)
    turn = np.exp(1j * np.arange(7)[:, None] * 10_000.0 ** (-np.arange(0, 4, 2) / 4))[:, None]  # (T, 1, K / 2)
    streams = own["embed"][tokens], np.asarray(sites["layer0/out"], np.float64)
    largest, unmasked = 0.0, 0.0
    for layer, stream in enumerate(streams):
        x = layer_norm(stream, own[f"layer{layer}_norm1"]["scale"])
        q, k = ((x @ own[f"layer{layer}_mixer"][name]["kernel"]).reshape(6, 7, heads, 4) for name in "qk")
        q, k = (turn * (y[..., 0::2] + 1j * y[..., 1::2]) for y in (q, k))
        score = np.abs(np.einsum("bthk,bshk->bhts", q, k.conj()).real) / (4 / (32 / 3) ** 0.5 if mup else 2)
        largest, unmasked = max(largest, np.tril(score).max()), max(unmasked, score.max())
    assert unmasked > 1.01 * largest  # the future would have won
    assert float(found["max_score"]) == pytest.approx(largest, rel=1e-4)
    logits = layer_norm(np.asarray(sites["layer1/out"], np.float64), own["final_norm"]["scale"])
    logits = logits @ own["readout"]["kernel"] * ((32 / width) ** 0.5 if mup else 1)
    log_z = np.average(np.log(np.exp(logits).sum(-1)), weights=np.asarray(data.test.weight))
    assert float(found["log_z"]) == pytest.approx(log_z, rel=1e-4)


def discretised(pole, step, bilinear):
    """(2, 2) and (2,) real form of the discrete A and B of one mode x' = pole x + u, by scipy."""
    a = np.array([[pole.real, -pole.imag], [pole.imag, pole.real]])
    b = np.array([[1.0], [0.0]])
    if bilinear:
        found, driven, *_ = scipy.signal.cont2discrete((a, b, np.eye(2), np.zeros((2, 1))), step, method="bilinear")
        return found, driven[:, 0]
    both = scipy.linalg.expm(step * np.block([[a, b], [np.zeros((1, 3))]]))  # of (x, u) with u held
    return both[:2, :2], both[:2, 2]


STEPS = np.array([1e-3, 2e-2, 0.3])


@pytest.mark.parametrize("bilinear", [False, True], ids=["hold", "bilinear"])
@pytest.mark.parametrize("start", ["lin", "legs", "real"])
def test_state_space_models_are_scipys(start, bilinear):
    """A and B are expm of the augmented real system (zero-order hold) or Tustin's rule; convolution = recurrence to 1e-10."""
    poles, modes, length = s4d.initial_poles(start, 4), 4, 24
    rng = np.random.default_rng(0)
    c = rng.normal(size=(3, modes)) + 1j * rng.normal(size=(3, modes))
    u = rng.normal(size=(2, length, 3))
    with float64():
        a_DN = jnp.asarray(np.broadcast_to(poles, (3, modes)))
        found = [np.asarray(part) for part in s4d.discrete(a_DN, jnp.asarray(STEPS), bilinear)]
        kernel = s4d.kernel(a_DN, jnp.asarray(c), jnp.asarray(STEPS), length, bilinear)
        long = np.asarray(s4d.convolved(jnp.asarray(u), kernel))
        loop = np.asarray(s4d.recurrent(jnp.asarray(u), a_DN, jnp.asarray(c), jnp.asarray(STEPS), bilinear))
    assert long.dtype == np.float64
    y = np.zeros_like(u)
    for channel, step in enumerate(STEPS):
        for mode, pole in enumerate(poles):
            a, b = discretised(pole, step, bilinear)
            assert found[0][channel, mode] == pytest.approx(a[0, 0] + 1j * a[1, 0], rel=1e-11)
            assert found[1][channel, mode] == pytest.approx(b[0] + 1j * b[1], rel=1e-11)
            x, read = np.zeros((2, 2)), 2 * np.array([c[channel, mode].real, -c[channel, mode].imag])
            for t in range(length):
                x = x @ a.T + u[:, t, channel, None] * b
                y[:, t, channel] += x @ read
    for channel in range(3):
        close_to_the_largest(long[..., channel], y[..., channel], 1e-10)
        close_to_the_largest(loop[..., channel], y[..., channel], 1e-10)


@pytest.mark.parametrize("start", ["lin", "legs"])
def test_zero_order_hold_is_exact_at_small_steps(start):
    """B = (exp(a step) - 1) / a in float32 to 1e-6 at the smallest step of the default range, by expm1."""
    poles, low = s4d.initial_poles(start, 4), S4D().step_range[0]
    _, found = s4d.discrete(jnp.asarray(poles)[None], jnp.array([low]), False)
    wanted = np.expm1(poles * np.float64(np.float32(low))) / poles
    assert np.max(np.abs(np.asarray(found)[0] - wanted) / np.abs(wanted)) < 1e-6


@pytest.mark.parametrize("bilinear", [False, True], ids=["hold", "bilinear"])
def test_an_s4d_layer_by_a_loop_over_time(bilinear):
    """From its parameters: x = A x + B u, y = 2 Re C x + D u, GELU, value times sigmoid of gate."""
    mixer = S4D(modes=3, bilinear=bilinear, step_range=(0.05, 0.5))
    params, apply = made(decoder(mixer, hidden=0))
    sites, own = apply(params, TOKENS)[1], host(params)
    mine = own["layer0_mixer"]
    u = layer_norm(own["embed"][np.asarray(TOKENS)], own["layer0_norm1"]["scale"])
    pole, step = -np.exp(mine["log_decay"]) + 1j * mine["frequency"], np.exp(mine["log_step"])[:, None]
    a, b = np.exp(step * pole), (np.exp(step * pole) - 1) / pole
    if bilinear:
        a, b = (1 + step * pole / 2) / (1 - step * pole / 2), step / (1 - step * pole / 2)
    read = mine["readout_modes"][0] + 1j * mine["readout_modes"][1]
    x, y = np.zeros((3, 8, 3), complex), np.zeros_like(u)
    for t in range(u.shape[1]):
        x = a * x + b * u[:, t, :, None]
        y[:, t] = 2 * (read * x).sum(-1).real + mine["skip"] * u[:, t]
    np.testing.assert_allclose(sites["layer0/state_out"], y, rtol=1e-4, atol=1e-5)
    bent = y * (1 + np.tanh((2 / np.pi) ** 0.5 * (y + 0.044715 * y**3))) / 2
    value, gate = (bent @ mine[name]["kernel"] for name in ("out", "gate"))
    np.testing.assert_allclose(sites["layer0/mixer"], value / (1 + np.exp(-gate)), rtol=1e-4, atol=1e-5)


def silent(prefix, layers, length):
    """Taps after which nobody looks at the first `prefix` places."""
    mask = (jnp.arange(length) < prefix).astype(jnp.float32)
    return {f"layer{i}/scores": Tap(mask=mask, value=-1e30) for i in range(layers)}


@pytest.mark.parametrize("rope", [True, False], ids=["rotary", "learned"])
def test_relative_positions_do_not_see_a_shift(rope):
    """Behind three places that nobody looks at, a string has the logits that it has alone, unless positions are learned."""
    params, apply = made(decoder(Attention(heads=2, rope=rope), depth=2, learned_positions=not rope))
    alone, sites = apply(params, TOKENS)
    late, shifted = apply(params, jnp.pad(TOKENS, ((0, 0), (3, 0))), silent(3, 2, 8))
    scores = np.tril(sites["layer0/scores"]), np.tril(shifted["layer0/scores"][:, :, 3:, 3:])
    if rope:
        np.testing.assert_allclose(scores[1], scores[0], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(late[:, 3:], alone, rtol=1e-4, atol=1e-4)
    else:
        assert np.max(np.abs(scores[1] - scores[0])) > 1e-2 and np.max(np.abs(late[:, 3:] - alone)) > 1e-2


def test_rows_of_learned_positions_move_with_their_tokens():
    """Attention sees pairs of token and position: both reordered, the last logits stay; the table alone, they move."""
    params, apply = made(decoder(Attention(heads=2, rope=False), learned_positions=True))
    order = np.array([2, 0, 3, 1, 4])
    table = params["positions"]
    moved = params | {"positions": table.at[:5].set(table[order])}
    logits, sites = apply(params, TOKENS)
    same, reordered = apply(moved, TOKENS[:, order])
    np.testing.assert_allclose(sites["embed"], params["embed"][TOKENS] + table[None, :5], rtol=1e-6)
    np.testing.assert_array_equal(reordered["embed"], sites["embed"][:, order])
    np.testing.assert_allclose(same[:, -1], logits[:, -1], rtol=1e-4, atol=1e-5)
    other, _ = apply(moved, TOKENS)
    assert np.max(np.abs(other[:, -1] - logits[:, -1])) > 1e-3


@pytest.mark.parametrize("mup", [False, True])
def test_tied_logits_are_overlaps_with_the_embedding(mup):
    """final @ embed^T / sqrt(D), times sqrt(base / D) under muP, and V D parameters fewer than untied."""
    (params, apply), (untied, _) = (
        made(decoder(Attention(heads=2, mup=mup), tied=tied, mup=mup, base=2)) for tied in (True, False)
    )
    logits, sites = apply(params, TOKENS)
    wanted = np.asarray(sites["final"], np.float64) @ host(params["embed"]).T / 8**0.5 * (0.5 if mup else 1)
    np.testing.assert_allclose(logits, wanted, rtol=1e-5, atol=1e-6)
    size, more = (sum(leaf.size for leaf in jax.tree.leaves(p)) for p in (params, untied))
    assert more - size == 6 * 8


def test_twice_alpha_is_twice_the_update():
    """LoRA adds (alpha / r) a b; a doubled alpha doubles it bit for bit, and so the readout's logits move twice as far."""
    params, apply = made(decoder())
    kernel, rank = params["readout"]["kernel"], 3
    b = jax.random.normal(jax.random.key(4), (rank, 6))
    half, whole, usual = (replace(adapt.lora(KEY, kernel, rank, alpha=alpha), b=b) for alpha in (1.7, 3.4, None))
    one, two = half.delta(kernel), whole.delta(kernel)
    np.testing.assert_allclose(one, 1.7 / 3 * host(half.a) @ host(b), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(usual.delta(kernel), host(half.a) @ host(b), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(two, 2 * one)
    x = jax.random.normal(jax.random.key(5), (4, 8))
    np.testing.assert_array_equal(x @ two, 2 * (x @ one))
    plain, near, far = (
        apply(p, TOKENS)[0] for p in (params, *(adapt.adapted(params, {"readout/kernel": m}) for m in (half, whole)))
    )
    assert np.max(np.abs(near - plain)) > 0.1
    np.testing.assert_allclose(far - plain, 2 * (near - plain), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(12, 4), (6, 5, 4)])
def test_ghost_batches_by_a_loop(shape):
    """scale (x - mean) / sqrt(variance + 1e-5) + shift, group after group of consecutive rows, each feature by itself."""
    init, apply = network(GhostBatchNorm(group=3))
    x = jax.random.normal(jax.random.key(2), shape) * jnp.arange(1.0, 5).reshape((1,) * (len(shape) - 1) + (4,)) - 2
    params = {"scale": jnp.arange(4.0) + 0.5, "shift": jnp.arange(4.0) - 1}
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a.shape, b.shape), params, init(KEY, x))
    wanted = []
    for rows in np.split(np.asarray(x, np.float64), shape[0] // 3):
        mean = sum(rows) / 3
        spread = np.sqrt(sum((row - mean) ** 2 for row in rows) / 3 + 1e-5)
        wanted += [(row - mean) / spread * np.asarray(params["scale"]) + np.asarray(params["shift"]) for row in rows]
    np.testing.assert_allclose(apply(params, x), wanted, rtol=2e-4, atol=2e-4)


def test_ghost_batches_of_one_value_have_a_gradient():
    """A feature that is the same in all rows of a group, such as a dead ReLU, becomes the shift; its gradient is finite."""
    init, apply = network(GhostBatchNorm(group=2))
    x = jnp.array([[1.0, 0.0], [2.0, 0.0], [0.5, 0.0], [0.5, 1.0]])
    params = init(KEY, x)
    np.testing.assert_array_equal(apply(params, x)[:2, 1], 0)
    assert np.all(np.isfinite(jax.grad(lambda x: jnp.sum(apply(params, x) ** 2))(x)))


def test_modes_of_a_state_space_have_rates_without_a_width():
    """A mode's pole and readout belong to one channel: their fan-in does not grow with D, so muP leaves their rates."""
    rates = adam_rates(made(decoder(S4D(modes=3), width=16))[0], 8)["layer0_mixer"]
    assert rates["out"]["kernel"] == 0.5 and rates["skip"] == 1 and rates["log_step"] == 1
    assert [rates[name] for name in ("log_decay", "frequency", "readout_modes")] == [1, 1, 1]
