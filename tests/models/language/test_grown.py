"""Whole decoders grown: the same function, moments of the grown gradient, and training that goes on where it was."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscale.data.markov import Markov
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.dynamics.transferred import Transferred
from jaxscale.models.language import grown
from jaxscale.models.language.attention import Attention, LinearAttention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.experts import Experts
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.language.recurrent import QuasiLstm, ReluRnn
from jaxscale.models.language.s4d import S4D
from jaxscale.models.language.tensor_roles import by_path, roles

TWO_HEADS = Attention(heads=2)
TOKENS = jax.random.randint(jax.random.key(0), (3, 8), 0, 7)


def decoder(mixer=TWO_HEADS, **options):
    options = {"width": 12, "depth": 2, "hidden": 2} | options
    return Decoder(vocabulary=7, context=8, mixer=mixer, mup=getattr(mixer, "mup", False), base=8, **options)


NETWORKS = {
    "attention": decoder(),
    "qk-norm": decoder(Attention(heads=2, qk_norm=True, rope=False), learned_positions=True),
    "muP": decoder(Attention(heads=2, mup=True)),
    "experts": decoder(experts=3),
    "linear": decoder(LinearAttention(heads=2), hidden=0),
    "quasi-LSTM": decoder(QuasiLstm()),
    "RNN": decoder(ReluRnn()),
    "S4D": decoder(S4D(modes=3)),
}


def trained(network):
    """Parameters of no particular symmetry, made without compiling."""
    shapes = jax.eval_shape(network.init, jax.random.key(1), TOKENS)["params"]
    rng = np.random.default_rng(2)

    def one(path, leaf):
        drawn = rng.normal(size=leaf.shape) / max(1, leaf.shape[0] if leaf.ndim > 1 else 1) ** 0.5
        near_one = path[-1].key in ("scale", "log_decay", "skip", "frequency")
        return jnp.asarray(1 + 0.1 * drawn if near_one else drawn - 3.0 * (path[-1].key == "log_step"), jnp.float32)

    return jax.tree_util.tree_map_with_path(one, shapes)


def logits(network, params):
    return np.asarray(jax.jit(lambda p: network.apply({"params": p}, TOKENS)[0])(params))


@pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)
def test_a_decoder_grown_in_width_computes_what_it_did(network):
    """To 1e-5 in the logits; and the moments that go with it are those of the grown network's own gradient."""
    network = network.clone(depth=1)  # compiling is what takes time
    params = trained(network)
    wide, more = grown.widened(network, params, 3)
    assert more["embed"].shape == (7, 36) and wide.width == 36

    def both(net, params):
        """Gradient of some loss, and logits, in one program."""

        def loss(params):
            logits = net.apply({"params": params}, TOKENS)[0]
            return jnp.mean(jnp.sin(logits)), logits

        return jax.jit(jax.grad(loss, has_aux=True))(params)

    (before, said), (after, wide_said) = both(network, params), both(wide, more)
    np.testing.assert_allclose(wide_said, said, atol=1e-5)
    first, second = grown.widened_moments(network, before, jax.tree.map(jnp.square, before), 3)
    for found, square, wanted in zip(*map(jax.tree.leaves, (first, second, after))):
        scale = float(jnp.max(jnp.abs(wanted)))
        np.testing.assert_allclose(found, wanted, atol=2e-5 * scale)
        np.testing.assert_allclose(square, wanted**2, atol=4e-5 * scale**2)


def test_aki_takes_new_units_from_the_layer_above():
    network = decoder()
    params = trained(network)
    wide, more = grown.widened(network, params, 2, how="aki")
    q = [params[f"layer{i}_mixer"]["q"]["kernel"] / 2 for i in (0, 1)]
    found = more["layer0_mixer"]["q"]["kernel"]
    np.testing.assert_array_equal(found, np.block([[q[0], q[1]], [q[0], q[1]]]))
    np.testing.assert_array_equal(more["layer1_mixer"]["q"]["kernel"], np.block([[q[1], q[1]], [q[1], q[1]]]))
    assert np.max(np.abs(logits(wide, more) - logits(network, params))) > 0.1
    head = more["embed"][:, :12], more["readout"]["kernel"][:12]
    np.testing.assert_array_equal(head[0], params["embed"])
    np.testing.assert_array_equal(head[1], params["readout"]["kernel"] / 2)


@pytest.mark.parametrize("network", [NETWORKS[n] for n in ("attention", "experts", "S4D")], ids=("attention", "experts", "S4D"))
@pytest.mark.parametrize("how", ["stack", "interpolate"])
def test_quiet_blocks_change_nothing_and_loud_ones_are_copies(network, how):
    params = trained(network)
    deep, more = grown.deepened(network, params, 4, how=how, quiet=True)
    np.testing.assert_allclose(logits(deep, more), logits(network, params), atol=1e-6)
    loud = grown.deepened(network, params, 4, how=how)[1]
    origin = {"stack": [0, 1, 0, 1], "interpolate": [0, 0, 1, 1]}[how]
    for new, old in enumerate(origin):
        for leaf, wanted in zip(jax.tree.leaves(loud[f"layer{new}_mixer"]), jax.tree.leaves(params[f"layer{old}_mixer"])):
            np.testing.assert_array_equal(leaf, wanted)
    assert jax.tree.structure(loud) == jax.tree.structure(jax.eval_shape(deep.init, jax.random.key(0), TOKENS)["params"])


def test_a_descendant_repeats_its_stages():
    network = decoder()
    params = trained(network)
    deep, more = grown.staged(network, params, (1, 3))
    assert deep.depth == 4
    for new, old in enumerate([0, 1, 1, 1]):
        np.testing.assert_array_equal(more[f"layer{new}_mixer"]["q"]["kernel"], params[f"layer{old}_mixer"]["q"]["kernel"])
    assert jax.tree.structure(more) == jax.tree.structure(jax.eval_shape(deep.init, jax.random.key(0), TOKENS)["params"])
    same, unchanged = grown.staged(network, params, (1, 1))
    np.testing.assert_array_equal(logits(same, unchanged), logits(network, params))
    with pytest.raises(ValueError, match=r"at least 1 for each of the 2 stages; got \[3\]"):
        grown.staged(network, params, [3])


@pytest.mark.parametrize("top", [1, 2, 4])
def test_a_decoder_of_experts_computes_what_it_did(top):
    network = decoder()
    params = trained(network)
    mixture, more = grown.upcycled(jax.random.key(3), network, params, 4, top=top)
    np.testing.assert_allclose(logits(mixture, more), logits(network, params), atol=1e-5)
    assert jax.tree.structure(more) == jax.tree.structure(jax.eval_shape(mixture.init, jax.random.key(0), TOKENS)["params"])
    routers = [np.asarray(more[f"layer{i}_experts"]["router"]) for i in range(network.depth)]
    assert not np.array_equal(*routers[:2])
    for router in routers:  # N(0, .02^2): tokens are spread from the first step on
        assert np.sqrt(np.mean(router**2)) == pytest.approx(0.02, rel=4 / np.sqrt(2 * router.size))


def test_training_goes_on_from_where_the_small_network_was():
    """Pre-training, growth and training in one system: its first loss is the small one's last; a narrow start is not."""
    network = decoder()
    world = Markov(vocabulary=7, context=8)

    def system(net):
        return Descent(model=LanguageModel(world=world, network=net, batch=4, evaluation=8), learning_rate=0.01, rule=AdamW())

    wide = grown.widened(network, trained(network), 2)[0]
    source, steps = system(network), 20
    grows = Transferred(
        system=system(wide), source=source, steps=steps, fresh=(), grow=lambda p: grown.widened(network, p, 2)[1]
    )
    same = Transferred(system=source, source=source, steps=steps, fresh=())
    data = jax.jit(source.sample)(jax.random.key(4))
    losses = []
    for one in (grows, same):
        state = jax.jit(one.init)(jax.random.key(5), data)
        losses.append(float(jax.jit(one.observe)(state, data)["loss"]))
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    pair = Transferred(system=system(wide), source=source, steps=steps, fresh=(), grow=lambda p: grown.widened(network, p, 2))
    with pytest.raises(TypeError, match="must give parameters; got a tuple"):
        jax.eval_shape(pair.init, jax.random.key(5), data)
    narrow = Transferred(system=system(wide), source=source, steps=steps, fresh=())
    with pytest.raises(ValueError, match="or give grow"):
        jax.eval_shape(narrow.init, jax.random.key(5), data)


def test_roles_say_which_axes_grow():
    kinds = by_path(roles(trained(decoder(S4D(modes=3), experts=2))))
    axes = {path: (role.reads, role.makes) for path, role in kinds.items()}
    assert axes["embed"] == (None, -1) and axes["readout/kernel"] == (-2, None)
    assert axes["layer0_mixer/out/kernel"] == axes["layer1_experts/up"] == (-2, -1)
    assert axes["layer0_mixer/readout_modes"] == axes["layer0_mixer/frequency"] == (None, -2)
    assert axes["layer0_experts/router"] == (-2, None) and axes["final_norm/scale"] == (None, -1)
    assert roles({"router": jnp.ones(3)})["router"].kind == "vector"  # a user's own


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: grown.widened(decoder(tied=True), {}, 2), "tied=False"),
        (lambda: grown.widened(decoder(), {}, 0), "times >= 1"),
        (lambda: grown.widened(decoder(), {}, 2, how="net"), "'fpi' or 'aki'"),
        (lambda: grown.deepened(decoder(), {}, 3), "a multiple of the 2 layers"),
        (lambda: grown.deepened(decoder(), {}, 0), "at least the 2 blocks"),
        (lambda: grown.deepened(decoder(depth=0), {}, 2), "at least the 0 blocks"),
        (lambda: grown.upcycled(jax.random.key(0), decoder(hidden=0), {}, 2), "hidden=0"),
        (lambda: decoder(experts=2, top=3).check(), "1 <= top <= experts"),
        (lambda: decoder(Attention(heads=2, mup=True), experts=2).check(), "muP of a router"),
        (lambda: grown.deepened(*alien("project"), 4, quiet=True), "'layer0_mixer' has .'project'.."),
    ],
)
def test_bad_input(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_other_parameters_are_refused():
    other, wrapped = trained(decoder(ReluRnn())), {"params": trained(decoder())}
    for call in (
        lambda params: grown.widened(decoder(), params, 2), lambda params: grown.deepened(decoder(), params, 4),
        lambda params: grown.upcycled(jax.random.key(0), decoder(), params, 2),
    ):  # fmt: skip
        for params in (other, wrapped):
            with pytest.raises(TypeError, match="not those of this Attention decoder of width 12 and depth 2: they differ in"):
                call(params)
    with pytest.raises(TypeError, match="which axes of 'layer0_mixer/table' of this Alien"):
        grown.widened(*alien("table"), 2)


class Alien(nn.Module):
    """A user's mixer, with a leaf of its own."""

    last: str

    @nn.compact
    def __call__(self, x, sites, layer):
        return x + self.param(self.last, nn.initializers.ones, (3, 5)).sum()


def alien(last):
    network = decoder(Alien(last))
    return network, trained(network)


def test_experts_that_are_not_chosen_say_nothing():
    """In numpy: the softmax over the two best scores, of those two perceptrons alone."""
    keys = jax.random.split(jax.random.key(6), 4)
    up, down = jax.random.normal(keys[0], (4, 5, 7)), jax.random.normal(keys[1], (4, 7, 5))
    router, x = jax.random.normal(keys[2], (5, 4)), jax.random.normal(keys[3], (9, 5))
    found = jax.jit(lambda x: Experts(up=up, down=down, router=router, top=2)(x))(x)
    for row, token in zip(np.asarray(found), np.asarray(x)):
        scores = token @ np.asarray(router)
        best = np.argsort(scores)[-2:]
        gates = np.exp(scores[best]) / np.exp(scores[best]).sum()
        wanted = sum(g * np.asarray(jax.nn.gelu(token @ up[e]) @ down[e]) for g, e in zip(gates, best))
        np.testing.assert_allclose(row, wanted, rtol=1e-4, atol=1e-5)
