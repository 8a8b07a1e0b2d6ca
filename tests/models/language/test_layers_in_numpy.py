"""Layers at every place, and starts, against numpy written from the papers' equations."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscale.models.language import s4d
from jaxscale.models.language.attention import Attention, LinearAttention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.recurrent import QuasiLstm, ReluRnn
from jaxscale.models.networks import network
from jaxscale.records import check

TOKENS = jax.random.randint(jax.random.key(9), (3, 8), 0, 6)


def layer(mixer, **more):
    """What a layer reads in numpy, its parameters, and its sites; norms have scales that are not one."""
    init, apply = network(Decoder(vocabulary=6, context=8, mixer=mixer, width=8, depth=1, hidden=0, **more))
    params = jax.jit(init)(jax.random.key(0), TOKENS)
    params["layer0_norm1"]["scale"] = jnp.linspace(0.5, 2.0, 8)
    sites = jax.jit(apply)(params, TOKENS)[1]
    own = jax.tree.map(lambda p: np.asarray(p, np.float64), params)
    x = own["embed"][np.asarray(TOKENS)]
    return normalised(x, own["layer0_norm1"]["scale"]), own["layer0_mixer"], sites


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def normalised(x, scale):
    x = x - x.mean(-1, keepdims=True)
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + 1e-6) * scale


def turned(x):
    """Pairs of features of (B, T, H, K) turned by t 10000^(-2 j / K), as complex numbers."""
    t, j = np.arange(x.shape[1]), np.arange(x.shape[-1] // 2)
    z = (x[..., 0::2] + 1j * x[..., 1::2]) * np.exp(1j * t[:, None] * 1e4 ** (-2 * j / x.shape[-1]))[:, None]
    return np.stack([z.real, z.imag], -1).reshape(x.shape)


@pytest.mark.parametrize("qk_norm", [False, True])
@pytest.mark.parametrize("tied, learned", [(True, False), (False, True)])
def test_a_decoder_from_tokens_to_logits(qk_norm, tied, learned):
    """Two pre-norm blocks of softmax attention and a GELU perceptron, query by query."""
    module = Decoder(vocabulary=6, context=8, mixer=Attention(heads=2, rope=not learned, qk_norm=qk_norm), width=8, depth=2,
                     hidden=3, tied=tied, learned_positions=learned)  # fmt: skip
    init, apply = network(module)
    params = jax.tree.map(lambda p: p * jnp.linspace(0.5, 1.5, p.shape[-1]).reshape((1,) * (p.ndim - 1) + (-1,)),
                          jax.jit(init)(jax.random.key(0), TOKENS))  # fmt: skip
    own = jax.tree.map(lambda p: np.asarray(p, np.float64), params)
    x = own["embed"][np.asarray(TOKENS)] + (own["positions"][None] if learned else 0)
    for layer_ in ("layer0", "layer1"):
        mixer, y = own[f"{layer_}_mixer"], normalised(x, own[f"{layer_}_norm1"]["scale"])
        q, k, v = ((y @ mixer[name]["kernel"]).reshape(3, 8, 2, 4) for name in "qkv")
        if qk_norm:
            q, k = normalised(q, 1), normalised(k, 1)
        if not learned:
            q, k = turned(q), turned(k)
        heads = np.zeros_like(v)
        for t in range(8):
            weight = np.exp(np.einsum("bhk,bshk->bhs", q[:, t], k[:, : t + 1]) / 2)
            heads[:, t] = np.einsum("bhs,bshk->bhk", weight / weight.sum(-1, keepdims=True), v[:, : t + 1])
        x = x + heads.reshape(3, 8, 8) @ mixer["out"]["kernel"]
        h = normalised(x, own[f"{layer_}_norm2"]["scale"]) @ own[f"{layer_}_up"]["kernel"]
        h = 0.5 * h * (1 + np.tanh(np.sqrt(2 / np.pi) * (h + 0.044715 * h**3)))
        x = x + h @ own[f"{layer_}_down"]["kernel"]
    x = normalised(x, own["final_norm"]["scale"])
    wanted = x @ own["embed"].T / 8**0.5 if tied else x @ own["readout"]["kernel"]
    np.testing.assert_allclose(jax.jit(apply)(params, TOKENS)[0], wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("mup", [False, True])
def test_linear_attention_at_every_place(mup):
    """y_t = sum over s <= t of (q_t k_s) v_s / (t sqrt(K)); under muP over K / sqrt(K0), K0 = 16 at the base width of 32."""
    x, own, sites = layer(LinearAttention(heads=2, mup=mup), mup=mup)
    q, k, v = ((x @ own[name]["kernel"]).reshape(3, 8, 2, 4) for name in "qkv")
    y = np.zeros((3, 8, 2, 4))
    for t in range(8):
        for s in range(t + 1):
            y[:, t] += (q[:, t] * k[:, s]).sum(-1, keepdims=True) * v[:, s] / ((t + 1) * (4 / 4 if mup else 2))
    np.testing.assert_allclose(sites["layer0/heads"], y, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(sites["layer0/mixer"], y.reshape(3, 8, 8) @ own["out"]["kernel"], rtol=1e-3, atol=1e-4)


def test_a_quasi_lstm_by_its_gates():
    x, own, sites = layer(QuasiLstm())
    forget, write, new, read = (x @ own[name]["kernel"] for name in ("forget", "write", "new", "read"))
    c, hidden = np.zeros((3, 8)), np.zeros_like(x)
    for t in range(8):
        c = sigmoid(forget[:, t] + 1) * c + sigmoid(write[:, t]) * np.tanh(new[:, t])
        hidden[:, t] = sigmoid(read[:, t]) * np.tanh(c)
    np.testing.assert_allclose(sites["layer0/hidden"], hidden, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(sites["layer0/mixer"], hidden @ own["out"]["kernel"], rtol=1e-3, atol=1e-4)


def test_a_relu_network_step_by_step():
    x, own, sites = layer(ReluRnn(rank=3))
    h, hidden = np.zeros((3, 8)), np.zeros_like(x)
    for t in range(8):
        h = np.maximum(h @ own["recurrent"].T + x[:, t] @ own["input"]["kernel"], 0)
        hidden[:, t] = h
    np.testing.assert_allclose(sites["layer0/hidden"], hidden, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(sites["layer0/mixer"], hidden @ own["out"]["kernel"], rtol=1e-3, atol=1e-4)


def test_poles_at_the_start():
    """Lin -1/2 + i pi n; Inv -1/2 + i (N / pi) (N / (2 n + 1) - 1); Real -(n + 1); random -1/2 + i exp(normal)."""
    np.testing.assert_allclose(s4d.initial_poles("lin", 3), [-0.5, -0.5 + 3.14159265j, -0.5 + 6.28318531j], rtol=1e-8)
    np.testing.assert_allclose(s4d.initial_poles("inv", 2), [-0.5 + 3.81971863j, -0.5 + 0.42441318j], rtol=1e-8)
    np.testing.assert_allclose(s4d.initial_poles("real", 3), [-1, -2, -3])
    logs = np.log(np.asarray(s4d.initial_poles("random", 4000, jax.random.key(0)).imag))
    error = 1 / np.sqrt(4000)
    assert abs(logs.mean()) < 4 * error and abs(logs.std() - 1) < 4 * error / np.sqrt(2) and error < 0.02


@pytest.mark.parametrize("heads", [0, 3])
def test_heads_of_linear_attention_are_checked(heads):
    with pytest.raises(
        ValueError, match=rf"LinearAttention.heads must divide the width 8; got {heads}. Choose from \[1, 2, 4, 8\]"
    ):
        check(Decoder(vocabulary=6, context=8, mixer=LinearAttention(heads=heads), width=8))
    check(Decoder(vocabulary=6, context=8, mixer=LinearAttention(heads=2), width=8))
    with pytest.raises(ValueError, match="muP is of the whole network"):
        check(Decoder(vocabulary=6, context=8, mixer=LinearAttention(heads=2), width=8, mup=True))
