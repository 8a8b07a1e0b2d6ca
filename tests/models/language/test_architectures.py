"""Causality, positions, exact bounds, parallel forms against recurrences, taps."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxscale as js
from jaxscale.data.markov import Markov
from jaxscale.models.language import model as language_model
from jaxscale.models.language import recurrent, s4d
from jaxscale.models.language.attention import Attention, LinearAttention, rotated
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.language.recurrent import QuasiLstm, ReluRnn
from jaxscale.models.language.s4d import S4D
from jaxscale.models.language.taps import Tap
from jaxscale.models.language.tensor_roles import HIDDEN, INPUT, READOUT, VECTOR, adam_rates, roles
from jaxscale.models.language.token_mlp import TokenMlp
from jaxscale.models.networks import network

TINY = language_model.TINY()

MIXERS = {
    "attention": Attention(heads=2), "qk norm": Attention(heads=2, qk_norm=True), "no rope": Attention(heads=2, rope=False),
    "linear": LinearAttention(heads=2), "quasi-LSTM": QuasiLstm(), "rank 2": ReluRnn(rank=2), "S4D": S4D(modes=4),
    "S4D bilinear": S4D(modes=4, start="legs", bilinear=True),
}  # fmt: skip
TOKENS = jax.random.randint(jax.random.key(9), (3, 8), 0, 6)


def decoder(mixer, **more):
    return Decoder(**(dict(vocabulary=6, context=8, mixer=mixer, width=8, depth=2, hidden=2) | more))


def made(module):
    init, apply = network(module)
    return jax.jit(init)(jax.random.key(0), TOKENS), jax.jit(apply)


@pytest.mark.parametrize("mixer", MIXERS.values(), ids=MIXERS)
def test_the_future_is_not_seen(mixer):
    params, apply = made(decoder(mixer))
    logits, _ = apply(params, TOKENS)
    assert logits.shape == (3, 8, 6) and np.all(np.isfinite(logits))
    changed, _ = apply(params, TOKENS.at[:, 5].add(1) % 6)
    np.testing.assert_allclose(changed[:, :5], logits[:, :5], atol=2e-5)
    assert np.max(np.abs(changed[:, 5:] - logits[:, 5:])) > 1e-3


def test_rotary_scores_depend_on_distance_alone():
    q, k = (jnp.tile(jax.random.normal(key, (1, 1, 1, 6)), (1, 9, 1, 1)) for key in jax.random.split(jax.random.key(1)))
    scores = jnp.einsum("bthk,bshk->ts", rotated(q), rotated(k))
    for distance in range(1, 5):
        np.testing.assert_allclose(jnp.diagonal(scores, -distance), scores[distance, 0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(jnp.linalg.norm(rotated(q), axis=-1), jnp.linalg.norm(q, axis=-1), rtol=1e-5)


def test_query_key_norm_bounds_the_scores():
    params, apply = made(decoder(Attention(heads=2, qk_norm=True)))
    large = jax.tree.map(lambda p: 100 * p, params)
    _, sites = apply(large, TOKENS)
    scores = jnp.abs(sites["layer0/scores"])
    assert np.max(scores) <= 2.0 * (1 + 1e-5) and np.max(scores) > 1.0  # sqrt(4)


def test_without_positions_attention_does_not_know_the_order():
    params, apply = made(decoder(Attention(heads=2, rope=False), depth=1))
    turned = TOKENS[:, jnp.array([3, 1, 2, 0, 4, 5, 6, 7])]
    np.testing.assert_allclose(apply(params, turned)[0][:, -1], apply(params, TOKENS)[0][:, -1], atol=1e-5)


@pytest.mark.parametrize("bilinear", [False, True])
@pytest.mark.parametrize("start", ["lin", "inv", "legs", "real", "random"])
def test_convolution_is_the_recurrence(start, bilinear):
    a = jnp.asarray(s4d.initial_poles(start, 5, jax.random.key(9)))[None] * jnp.ones((3, 1))
    keys = jax.random.split(jax.random.key(2), 3)
    c = jax.random.normal(keys[0], (3, 5)) + 1j * jax.random.normal(keys[1], (3, 5))
    step, x = jnp.array([0.01, 0.05, 0.1]), jax.random.normal(keys[2], (2, 40, 3))
    long = s4d.convolved(x, s4d.kernel(a, c, step, 40, bilinear))
    np.testing.assert_allclose(long, s4d.recurrent(x, a, c, step, bilinear), rtol=1e-3, atol=1e-4)


def test_poles_of_legs():
    poles = s4d.legs_poles(64)
    np.testing.assert_allclose(poles.real, -0.5, atol=1e-10)
    np.testing.assert_allclose(poles.imag[-3:], [258.2, 433.0, 1303.3], rtol=1e-3)
    np.testing.assert_allclose(np.sort(s4d.initial_poles("inv", 32).imag)[-3:], [240.4, 414.2, 1283.4], rtol=1e-3)


def test_the_input_of_legs_is_hippos_in_its_eigenvectors():
    """Normal part -1/2 + antisymmetric: the poles and |B| diagonalise it, and 2 Re sum |B|^2 is the norm of half its input."""
    poles, sizes = s4d.legs_modes(8)
    n = np.arange(8)
    root = np.sqrt(2 * n + 1)
    normal = -np.tril(np.outer(root, root), -1) - np.diag(n + 1.0) + np.outer(root, root) / 2
    response = np.array([np.linalg.inv(s * np.eye(8) - normal) @ root / 2 @ root / 2 for s in (0.3, 2.0, 9.0)])
    modes = np.array([2 * (sizes**2 / (s - poles)).sum().real for s in (0.3, 2.0, 9.0)])
    np.testing.assert_allclose(modes, response, rtol=1e-10)


def test_random_poles_are_each_channels_own():
    params, _ = made(decoder(S4D(modes=3, start="random"), depth=1))
    turns = np.asarray(params["layer0_mixer"]["frequency"])
    assert len(np.unique(turns)) == turns.size and np.all(turns > 0)
    other = jax.jit(network(decoder(S4D(modes=3, start="random"), depth=1))[0])(jax.random.key(77), TOKENS)
    assert not np.any(turns == np.asarray(other["layer0_mixer"]["frequency"]))
    with pytest.raises(ValueError, match="'random' with a key"):
        s4d.initial_poles("random", 3)


def test_long_kernels_keep_their_digits():
    """Powers of A by exp(a step l), and not by the logarithm of A: to 3e-6 of the largest entry after a thousand steps."""
    a, c = s4d.initial_poles("legs", 16)[None], np.ones((1, 16), complex)
    for bilinear in (False, True):
        found = s4d.kernel(jnp.asarray(a), jnp.asarray(c), jnp.array([1e-3]), 1024, bilinear)
        step = float(np.float32(1e-3))
        base = (1 + a[0] * step / 2) / (1 - a[0] * step / 2) if bilinear else np.exp(a[0] * step)
        driven = step / (1 - a[0] * step / 2) if bilinear else (base - 1) / a[0]
        wanted = 2 * (driven[:, None] * base[:, None] ** np.arange(1024)).sum(0).real
        assert np.abs(np.asarray(found)[0] - wanted).max() < 3e-6 * np.abs(wanted).max()


def test_the_quasi_lstm_in_parallel_is_the_loop():
    keep = jax.random.uniform(jax.random.key(3), (2, 12, 4))
    new = jax.random.normal(jax.random.key(4), (2, 12, 4))
    cell, loop = jnp.zeros((2, 4)), []
    for t in range(12):
        cell = keep[:, t] * cell + new[:, t]
        loop.append(cell)
    np.testing.assert_allclose(recurrent.recurrence(keep, new), jnp.stack(loop, axis=1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("rank", [0, 1, 5])
def test_recurrent_weights_of_a_rank_have_the_norm_of_the_full_ones(rank):
    w = recurrent.low_rank(jax.random.key(5), 16, rank, 1.25)
    full = recurrent.low_rank(jax.random.key(5), 16, 0, 1.25)
    assert np.linalg.matrix_rank(np.asarray(w), tol=1e-4) == (rank or 16)
    assert float(jnp.linalg.norm(w)) == pytest.approx(float(jnp.linalg.norm(full)), rel=1e-5)


def test_linear_attention_is_a_fast_weight_matrix():
    params, apply = made(decoder(LinearAttention(heads=2), depth=1, hidden=0))
    _, sites = apply(params, TOKENS)
    q, k, v = (sites[f"layer0/{name}"] for name in "qkv")
    fast = jnp.einsum("bshk,bshv->bhkv", k, v) / 8  # what all eight places have written
    np.testing.assert_allclose(
        jnp.einsum("bhk,bhkv->bhv", q[:, -1], fast) / 2.0, sites["layer0/heads"][:, -1], rtol=1e-3, atol=1e-5
    )


def test_tied_readout_has_no_matrix_of_its_own():
    params, _ = made(decoder(Attention(heads=2), tied=True))
    assert "readout" not in params
    with pytest.raises(ValueError, match="tied reads out over the vocabulary"):
        decoder(Attention(heads=2), tied=True, outputs=3).check()


def test_taps_read_clamp_scale_ablate_and_shrink_gradients():
    model = LanguageModel(world=Markov(vocabulary=6, context=8), network=decoder(Attention(heads=2)), batch=4, evaluation=8)
    data = jax.jit(model.sample)(jax.random.key(0))
    params = jax.jit(model.init)(jax.random.key(1), data)
    apply = jax.jit(model.apply)
    plain, sites = apply(params, TOKENS)
    first = jnp.zeros((8, 8)).at[:, 0].set(1.0)
    _, clamped = apply(params, TOKENS, {"layer0/pattern": Tap(mask=jnp.array([1.0, 0.0])[:, None, None], value=first)})
    np.testing.assert_array_equal(clamped["layer0/pattern"][:, 0], jnp.broadcast_to(first, (3, 8, 8)))
    np.testing.assert_array_equal(clamped["layer0/pattern"][:, 1], sites["layer0/pattern"][:, 1])
    _, silent = apply(params, TOKENS, {"layer1/mlp": Tap(scale=0.0), "layer1/mixer": Tap(mask=1.0)})
    np.testing.assert_allclose(silent["layer1/out"], sites["layer0/out"], atol=1e-6)
    np.testing.assert_array_equal(apply(params, TOKENS, {"embed": Tap(gradient=0.1)})[0], plain)

    def embedding_gradient(taps):
        return jax.jit(jax.grad(lambda p: jnp.sum(model.apply(p, TOKENS, taps)[0] ** 2)))(params)

    whole, shrunk = embedding_gradient({}), embedding_gradient({"embed": Tap(gradient=0.1)})
    np.testing.assert_allclose(shrunk["embed"], 0.1 * whole["embed"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(shrunk["readout"]["kernel"], whole["readout"]["kernel"], rtol=1e-5)
    with pytest.raises(ValueError, match="no site 'layer7/q' in this network to tap; choose from"):
        model.apply(params, TOKENS, {"layer7/q": Tap()})


class Plain(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        return nn.Embed(6, 6)(tokens)


class Switched(nn.Module):
    @nn.compact
    def __call__(self, tokens, train=False):  # no place for taps
        return nn.Embed(6, 6)(tokens)


class PlainNnx(nnx.Module):
    def __init__(self, rngs):
        self.table = nnx.Embed(6, 6, rngs=rngs)

    def __call__(self, tokens):
        return self.table(tokens)


@pytest.mark.parametrize("module", [Plain(), Switched(), lambda rngs: PlainNnx(rngs)], ids=["Linen", "switch", "NNX"])
def test_taps_need_a_network_that_takes_them(module):
    model = dataclasses.replace(TINY, network=module, taps={"embed": Tap(scale=0.0)})
    with pytest.raises(ValueError, match="taps need a network that is called as network.tokens, taps."):
        jax.eval_shape(lambda key: model.loss(model.init(key, model.sample(key)), model.sample(key), key), jax.random.key(0))


@pytest.mark.slow
def test_an_intervention_is_a_lane():
    """One compiled program serves every clamp, and lane 0 is the network alone."""
    world = Markov(vocabulary=6, context=8)

    def experiment(strength):
        taps = {"layer0/mixer": Tap(scale=strength)}
        model = LanguageModel(world=world, network=decoder(Attention(heads=2)), batch=2, evaluation=4, taps=taps)
        return js.Descent(model, learning_rate=0.01)

    runs = js.sweep(
        experiment, grid={"strength": [0.0, 0.5, 1.0]}, seeds=2, times=[0, 2], width=2, share="strength", progress=False
    )
    assert runs.attrs["compiles"] <= 2
    loss = runs["loss"].isel(time=0)
    assert len(np.unique(loss.isel(seed=0).values)) == 3


def test_roles():
    params, _ = made(decoder(Attention(heads=2), learned_positions=True))
    found = roles(params)
    assert found["embed"].kind == INPUT and found["positions"].kind == INPUT
    assert found["readout"]["kernel"][:3] == (READOUT, 8, 6) and found["layer0_up"]["kernel"][:3] == (HIDDEN, 8, 16)
    assert found["final_norm"]["scale"].kind == VECTOR
    rates = adam_rates(params, 4)
    assert rates["layer0_up"]["kernel"] == 0.5 and rates["layer0_down"]["kernel"] == 0.5 and rates["embed"] == 1.0
    wide = adam_rates(made(decoder(Attention(heads=2), width=32))[0], 32)
    assert wide["layer0_mixer"]["q"]["kernel"] == 1.0  # at the base width it is the standard parametrisation


def test_a_perceptron_on_one_hot_tokens():
    params, apply = made(TokenMlp(vocabulary=6, context=8, width=5, depth=2))
    logits, sites = apply(params, TOKENS)
    onehot = jax.nn.one_hot(TOKENS, 6).reshape(3, -1)
    np.testing.assert_allclose(sites["layer0"], nn.relu(onehot @ params["embed"].reshape(48, 5)), rtol=1e-4, atol=1e-5)
    assert logits.shape == (3, 1, 6)


def test_any_flax_network_enters():
    from flax import nnx

    class Bigram(nn.Module):
        @nn.compact
        def __call__(self, tokens):
            return nn.Embed(6, 6)(tokens)

    class Nnx(nnx.Module):
        def __init__(self, rngs):
            self.table = nnx.Embed(6, 6, rngs=rngs)

        def __call__(self, tokens):
            return self.table(tokens)

    for module in (Bigram(), Nnx):
        model = LanguageModel(world=Markov(vocabulary=6, context=8), network=module, batch=4, evaluation=8)
        found = js.simulate(js.Descent(model, learning_rate=5.0), jax.random.key(0), [0, 40])
        assert found["loss"][1] < found["loss"][0] and found["excess"][1] > -0.2
    with pytest.raises(TypeError, match="must build an nnx.Module; it built int"):
        network(lambda rngs: 3)[0](jax.random.key(0), TOKENS)


@pytest.mark.parametrize(
    "network_, message",
    [
        (decoder(Attention(heads=8)), "rotary positions turn pairs, so the head width must be even; got 8 / 8 heads = 1"),
        (decoder(Attention(heads=3)), "heads must divide the width 8; got 3"),
        (decoder(Attention(heads=0)), "heads must divide the width 8; got 0"),
        (decoder(Attention(heads=2), context=4), "the network's context is 4 and the world's 8"),
        (decoder(Attention(heads=2), vocabulary=5), "the network's vocabulary is 5 and the world's 6"),
        (decoder(S4D(start="best")), "S4D needs a start of .* got 'best'"),
        (decoder(S4D(modes=0)), "modes >= 1"),
        (decoder(S4D(step_range=(0.1, 0.01))), "smallest <= largest step"),
        (decoder(ReluRnn(rank=9)), r"rank must lie in 0..8"),
    ],
)
def test_bad_networks(network_, message):
    model = LanguageModel(world=Markov(vocabulary=6, context=8), network=network_)
    with pytest.raises(ValueError, match=message):
        js.sweep(lambda rate: js.Descent(model, learning_rate=rate), grid={"rate": [0.1]}, times=[0, 1], progress=False)
    with pytest.raises(ValueError, match="batch=0 takes a whole training table, and Markov has none"):
        LanguageModel(world=Markov(), network=None, batch=0).check()
