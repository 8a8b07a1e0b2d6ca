"""Closed forms by numpy and scipy: losses, scores, discretisations, positions, readouts, muP, adapters, wrappers, worlds."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.signal
import scipy.special

from jaxscale.data.modular import ModularAddition
from jaxscale.data.repeats import Repeats
from jaxscale.data.sequential_digits import SequentialDigits
from jaxscale.data.stories import Stories
from jaxscale.data.world import batch
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.dynamics.rules.momentum import Momentum
from jaxscale.dynamics.tracked import Tracked
from jaxscale.dynamics.trained import State, Trained
from jaxscale.dynamics.watched import Watched
from jaxscale.fit.float64 import float64
from jaxscale.models.language import adapt, s4d
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.ghost_norm import GhostBatchNorm
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.language.roles import adam_rates
from jaxscale.models.language.s4d import S4D
from jaxscale.models.language.taps import Tap
from jaxscale.models.network import network
from jaxscale.record import check, replace
from jaxscale.theory import multilinear_skills

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


def close_to_the_largest(found, wanted, share):
    """Apart by at most a share of the largest entry."""
    found, wanted = np.asarray(found), np.asarray(wanted)
    assert np.max(np.abs(found - wanted)) <= share * np.max(np.abs(wanted))


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
    """max |q k| over K (muP) or sqrt(K) over places that may be looked at, q and k turned as complex numbers; <log sum exp>."""
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
        score = np.abs(np.einsum("bthk,bshk->bhts", q, k.conj()).real) / (4 if mup else 2)
        largest, unmasked = max(largest, np.tril(score).max()), max(unmasked, score.max())
    assert unmasked > 1.01 * largest  # the future would have won
    assert float(found["max_score"]) == pytest.approx(largest, rel=1e-4)
    logits = layer_norm(np.asarray(sites["layer1/out"], np.float64), own["final_norm"]["scale"])
    logits = logits @ own["readout"]["kernel"] * ((32 / width) ** 0.5 if mup else 1)
    log_z = np.average(np.log(np.exp(logits).sum(-1)), weights=np.asarray(data.test.weight))
    assert float(found["log_z"]) == pytest.approx(log_z, rel=1e-4)


@pytest.mark.parametrize("length", [2, 5, 7])
def test_repeats_count_where_copying_can_know(length):
    """A string of distinct tokens twice; a place counts if and only if its token has been seen, and then copying is right."""
    world = Repeats(vocabulary=7, length=length)
    check(world)
    seen = jax.jit(lambda key: batch(world, key, (), 300))(jax.random.key(1))
    both = np.concatenate([seen.tokens, seen.targets[:, -1:]], axis=1)
    np.testing.assert_array_equal(both[:, :length], both[:, length:])
    np.testing.assert_array_equal(both[:, 1:], seen.targets)
    assert all(len(set(row)) == length for row in both.tolist())
    for tokens, targets, weight in zip(*(np.asarray(part).tolist() for part in seen)):
        for t, token in enumerate(tokens):
            assert weight[t] == float(token in tokens[:t])
            assert not weight[t] or targets[t] == tokens[tokens.index(token) + 1]
    count = np.apply_along_axis(np.bincount, 0, both[:, :length], minlength=7)  # every token is as likely at every place
    assert np.abs(count - 300 / 7).max() < 4.5 * (300 * 6 / 49) ** 0.5
    for bad in (1, 8):
        with pytest.raises(ValueError, match=f"length must lie in 2..vocabulary=7; got {bad}"):
            check(replace(world, length=bad))


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
    value, gate = np.split(bent @ mine["out"]["kernel"], 2, axis=-1)
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


@pytest.mark.parametrize("alpha", [0.4, 0.8])
def test_best_loss_for_a_compute_of_multilinear_skills(alpha):
    """Over N in time C / N the least loss falls as C^(-alpha / (2 + alpha)), at N ~ C^(1 / (2 + alpha)); one sum by zeta."""
    count = 20_000
    compute, sizes = np.geomspace(1e6, 1e9, 9), np.geomspace(20, count, 80)
    with float64():
        pairs = jnp.asarray(np.stack(np.broadcast_arrays(compute[:, None] / sizes, sizes), axis=-1).reshape(-1, 2))
        loss = lambda pair: multilinear_skills.loss(pair[0], alpha=alpha, skills=pair[1], count=count)  # noqa: E731
        found = np.asarray(jax.jit(lambda pairs: jax.lax.map(loss, pairs))(pairs)).reshape(9, 80)
    best = found.argmin(axis=1)
    assert np.all((best > 0) & (best < 79))
    slope = np.polyfit(np.log(compute), np.log(found.min(axis=1)), 1)[0]
    assert -slope == pytest.approx(multilinear_skills.exponents(alpha)["compute"], abs=0.02)
    assert -slope == pytest.approx(alpha / (2 + alpha), abs=0.02)
    assert np.polyfit(np.log(compute), np.log(sizes[best]), 1)[0] == pytest.approx(1 / (2 + alpha), abs=0.05)
    time, able, k = compute[3] / sizes[50], np.floor(sizes[50]), np.arange(1, 2_000_000)
    p = k ** -(1 + alpha) / scipy.special.zeta(1 + alpha)
    left = np.where(k <= able, 1 - 1 / (1 + 999 * np.exp(-2 * p * time)), 1.0)
    rest = 1 - p.sum()
    assert found[3, 50] == pytest.approx((np.sum(p * left**2) + rest) / 2, rel=1e-6)


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


def additive(**more):
    """A language model that learns from its whole training table, so that no step draws anything."""
    network_ = decoder(**(dict(vocabulary=5, context=2) | more))
    return LanguageModel(world=ModularAddition(p=5), network=network_, batch=0, evaluation=1)


def path_of(system, steps, start=None):
    """Data, and the states 0 .. steps of a plain loop."""
    data = jax.jit(system.sample)(jax.random.key(1))
    states = [jax.jit(system.init)(jax.random.key(2), data)] if start is None else [start]
    step = jax.jit(system.step)
    for t in range(steps):
        states.append(step(jax.random.key(t), states[-1], data))
    return data, states


def test_gradients_and_updates_by_role_in_numpy():
    """Root mean squares over all entries of embeddings and positions, of the readout, of the norms, of all else."""
    model = additive(learned_positions=True)
    system = Watched(system=Trained(model=model, learning_rate=0.01), sharpness=False)
    data, states = path_of(system, 3)
    found = jax.jit(system.observe)(states[-1], data)
    before, params = (state.inner.params for state in states[-2:])
    gradient = jax.jit(jax.grad(model.loss))(params, data, KEY)
    update = jax.tree.map(jnp.subtract, params, before)
    known = {"embed": "input", "positions": "input", "readout": "readout"}

    def role(path):
        return known.get(path[0].key, "vector" if "norm" in path[0].key else "hidden")

    for kind, tree in (("gradient", gradient), ("update", update)):
        leaves = jax.tree_util.tree_leaves_with_path(tree)
        for name in ("input", "readout", "vector", "hidden"):
            entries = np.concatenate([np.ravel(leaf) for path, leaf in leaves if role(path) == name]).astype(np.float64)
            assert float(found[f"{kind}_{name}"]) == pytest.approx(np.sqrt(np.mean(entries**2)), rel=1e-3)
    assert {name for name in found if name.startswith(("gradient_", "update_"))} == {
        f"{kind}_{name}" for kind in ("gradient", "update") for name in ("input", "readout", "vector", "hidden")
    }


def test_distance_from_the_start_in_numpy():
    """Euclidean distance of all parameters together from the first ones of a plain loop, and every site's movement."""
    model = additive()
    plain = Trained(model=model, learning_rate=0.02)
    data, states = path_of(plain, 4)
    _, tracked = path_of(Tracked(system=plain), 4)
    look, inside = jax.jit(Tracked(system=plain).observe), jax.jit(model.activations)
    flat = [np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(s.params)]).astype(np.float64) for s in states]
    then = inside(states[0].params, data)
    for t in (0, 1, 4):
        found, now = look(tracked[t], data), inside(states[t].params, data)
        distance = np.linalg.norm(flat[t] - flat[0])
        assert float(found["distance"]) == pytest.approx(distance, rel=1e-4, abs=1e-7)
        assert float(found["relative_distance"]) == pytest.approx(distance / np.linalg.norm(flat[0]), rel=1e-4, abs=1e-7)
        for name in ("embed", "layer0/pattern", "final", "logits"):
            moved = np.sqrt(np.mean((np.asarray(now[name]) - np.asarray(then[name])) ** 2))
            assert float(found[f"moved_{name}"]) == pytest.approx(moved, rel=1e-3, abs=1e-7)
    assert {f"moved_{name}" for name in then} <= set(found)


def shrunk(model, factor):
    return replace(model, taps={"embed": Tap(gradient=factor)})


def moves(rule, factors, rates, epsilons, steps):
    """How far {embedding, readout} go in each lane, (lanes, ...), with the embedding's gradient times the lane's factor."""
    model = additive()
    data = jax.jit(model.sample)(jax.random.key(1))
    params = jax.jit(model.init)(jax.random.key(2), data)

    @jax.jit
    @jax.vmap
    def run(factor, rate, epsilon):
        own = replace(rule, epsilon=epsilon) if isinstance(rule, AdamW) else rule
        system = Trained(model=shrunk(model, factor), learning_rate=rate, rule=own)
        start = State(params, system.optimizer().init(params))
        end = jax.lax.fori_loop(0, steps, lambda t, state: system.step(KEY, state, data), start).params
        return end["embed"] - params["embed"], end["readout"]["kernel"] - params["readout"]["kernel"]

    return [np.asarray(part) for part in run(*(jnp.asarray(part) for part in (factors, rates, epsilons)))]


def test_adam_does_not_see_the_shrink_of_embedding_gradients():
    """Adam without clipping is blind to a constant factor, unless epsilon is large; and descent takes a tenth of the step."""
    lanes = [1.0, 0.1, 1.0, 0.1], [0.01, 0.01, 10.0, 10.0], [1e-20, 1e-20, 1e3, 1e3]
    for part in moves(AdamW(), *lanes, steps=5):
        close_to_the_largest(part[1], part[0], 1e-3)
    one = moves(AdamW(), *lanes, steps=1), moves(Momentum(beta=0.0), [1.0, 0.1], [1.0, 1.0], [0.0, 0.0], steps=1)
    for embed, readout in one:
        assert np.max(np.abs(embed[-2])) > 1e-4
        close_to_the_largest(embed[-1], 0.1 * embed[-2], 1e-2)
        close_to_the_largest(readout[-1], readout[-2], 1e-5)


def test_the_shrink_leaves_a_tied_readouts_gradient():
    """Loss and all other gradients are what they were; a tied embedding's gradient is (as readout) + factor (as input)."""
    model = additive(tied=True)
    data = jax.jit(model.sample)(jax.random.key(1))
    params = jax.jit(model.init)(jax.random.key(2), data)
    slope = jax.jit(lambda factor: jax.value_and_grad(shrunk(model, factor).loss)(params, data, KEY))
    (value, none), (other, some), (last, whole) = (slope(factor) for factor in (0.0, 0.3, 1.0))
    assert value == other == last
    np.testing.assert_allclose(some["embed"], none["embed"] + 0.3 * (whole["embed"] - none["embed"]), rtol=1e-4, atol=1e-7)
    assert np.max(np.abs(none["embed"])) > 1e-3 and np.max(np.abs(whole["embed"] - none["embed"])) > 1e-3
    for tree in (none, some, whole):
        tree.pop("embed")
    jax.tree.map(lambda a, b, c: (np.testing.assert_array_equal(a, c), np.testing.assert_array_equal(b, c)), none, some, whole)


def readout_step(width, mup):
    """Logits before and after a step of Adam of a decoder without blocks, its final site, the table that it learns from."""
    model = additive(mixer=Attention(heads=2, mup=mup), width=width, depth=0, mup=mup, base=8)
    system = Trained(model=model, learning_rate=0.01, rule=AdamW(epsilon=1e-20), mup=8 if mup else 0)
    data, (before, after) = path_of(system, 1)
    table = model.world.training(data.frozen)
    (old, sites), (new, _) = (jax.jit(model.apply)(s.params, table.tokens) for s in (before, after))
    return np.asarray(old), np.asarray(new), np.asarray(sites["final"], np.float64), jax.tree.map(np.asarray, table)


def test_a_readout_under_mup_is_table_8s():
    """Weights 0, output x base / D, Adam's rate eta: one step from 0 makes the logits -eta (base / D) x sign(gradient)."""
    for width in (8, 32):
        old, new, x, table = readout_step(width, True)
        assert np.all(old == 0)
        wrong = 1 / 5 - np.eye(5)[table.targets]
        gradient = np.einsum("nt,ntd,ntv->dv", table.weight, x, wrong)
        assert np.min(np.abs(gradient)) > 1e-5  # every sign is known
        np.testing.assert_allclose(new, -0.01 * 8 / width * x @ np.sign(gradient), rtol=1e-4, atol=1e-6)


def test_a_readout_moves_by_as_much_at_any_width_under_mup_alone():
    """The first step of Adam moves logits by D^0 in muP, and by D^1 in the standard parametrisation."""
    widths = np.array([64, 512])
    size = {
        mup: [np.sqrt(np.mean((new - old) ** 2)) for old, new, *_ in (readout_step(width, mup) for width in widths.tolist())]
        for mup in (True, False)
    }
    growth = {mup: np.log(b / a) / np.log(8) for mup, (a, b) in size.items()}
    assert abs(growth[True]) < 0.1 and growth[False] == pytest.approx(1.0, abs=0.15)


def test_modes_of_a_state_space_have_rates_without_a_width():
    """A mode's pole and readout belong to one channel: their fan-in does not grow with D, so muP leaves their rates."""
    rates = adam_rates(made(decoder(S4D(modes=3), width=16))[0], 8)["layer0_mixer"]
    assert rates["out"]["kernel"] == 0.5 and rates["skip"] == 1 and rates["log_step"] == 1
    assert [rates[name] for name in ("log_decay", "frequency", "readout_modes")] == [1, 1, 1]


@pytest.mark.parametrize("filler", [0, 3])
def test_stories_by_their_grammar(filler):
    """NAME VERB OBJECT . FILLER... NAME has OBJECT . NAME is STATE . with agreement; tokens in the order that is documented."""
    world = Stories(names=6, objects=5, states=3, filler=filler)
    check(world)
    frozen = world.sample(jax.random.key(3))
    seen, probes = jax.jit(lambda key: (batch(world, key, frozen, 400), world.probes(key, frozen, 40)))(jax.random.key(1))
    story = np.concatenate([seen.tokens, seen.targets[:, -1:]], axis=1)
    np.testing.assert_array_equal(story[:, 1:], seen.targets)
    assert np.all(np.asarray(seen.weight) == 1) and story.shape[1] == world.context + 1 == 12 + filler
    objects, states, verbs, aux, fillers = 6, 11, 14, 20, 24
    stop = world.vocabulary - 1
    assert stop == fillers + 6
    name, verb, thing = story[:, :3].T
    plural = (name >= 3).astype(int)
    assert set(name) == set(range(6)) and set(thing) == set(range(objects, states))
    assert set(verb) == set(range(verbs, aux)) and np.all((verb - verbs) % 2 == plural)
    later = story[:, 4 + filler :]
    full = np.full_like(name, stop)
    state = states + np.asarray(frozen)[thing - objects]
    wanted = np.stack([name, aux + plural, thing, full, name, aux + 2 + plural, state, full], axis=1)
    np.testing.assert_array_equal(later, wanted)
    assert np.all(story[:, 3] == stop)
    between = story[:, 4 : 4 + filler]
    assert np.all((between >= fillers) & (between < stop)) and len(np.unique(between)) == (6 if filler else 0)
    for kind, (read, low, high) in {
        "grammar": ((0, objects), aux, aux + 2), "consistency": ((aux, aux + 2), objects, states),
        "entailment": ((aux + 2, fillers), states, verbs),
    }.items():  # fmt: skip
        probe = jax.tree.map(np.asarray, probes[kind])
        rows = np.arange(40)
        last = probe.tokens[rows, probe.at]
        assert np.all((last >= read[0]) & (last < read[1]))
        np.testing.assert_array_equal(probe.right, probe.tokens[rows, probe.at + 1])
        for token in (probe.right, probe.wrong):
            assert np.all((token >= low) & (token < high))
        assert np.all(probe.right != probe.wrong)


def test_sequential_digits_are_scikit_learns():
    """Tokens are the 0 .. 16 of scikit-learn's pixels, in rows, with their digits; exactly the last fifth is held out."""
    datasets = pytest.importorskip("sklearn.datasets")
    raw = datasets.load_digits()
    label = {tuple(row): digit for row, digit in zip(raw.data.astype(int).tolist(), raw.target.tolist())}
    assert len(label) == 1797
    world = SequentialDigits()
    assert (world.vocabulary, world.context) == (17, 64)
    held, seen = (
        jax.jit(lambda keys, draw=draw: jax.vmap(lambda key: draw(key, ()))(keys))(jax.random.split(KEY, count))
        for draw, count in ((world.unseen, 4000), (world.example, 8000))
    )
    found = []
    for part in (held, seen):
        rows = [tuple(row) for row in np.asarray(part.tokens).tolist()]
        np.testing.assert_array_equal([label[row] for row in rows], part.targets[:, -1])
        np.testing.assert_array_equal(part.weight, np.broadcast_to(np.arange(64) == 63, part.weight.shape))
        found.append(set(rows))
    assert len(found[0]) == 360 and not found[0] & found[1] and 1437 - 20 < len(found[1]) <= 1437
