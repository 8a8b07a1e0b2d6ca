"""What is no network, or no tap, is answered on the way in; random streams that are not drawn from are none of its business."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import jaxscale as js
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.models.language import model as language_model
from jaxscale.models.language.taps import Tap
from jaxscale.models.networks import network

TINY = language_model.TINY()

RULE = AdamW()
TOKENS = jnp.array([[0, 1, 2]])


class Dropped(nn.Module):
    deterministic: bool = False

    @nn.compact
    def __call__(self, tokens):
        return nn.Dropout(0.5, deterministic=self.deterministic)(nn.Embed(4, 4)(tokens))


class NnxDropped(nnx.Module):
    def __init__(self, rngs, deterministic=False):
        self.table, self.dropout = nnx.Embed(4, 4, rngs=rngs), nnx.Dropout(0.5, deterministic=deterministic, rngs=rngs)

    def __call__(self, tokens):
        return self.dropout(self.table(tokens))


class Averaged(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        return nn.BatchNorm(use_running_average=True)(nn.Embed(4, 4)(tokens))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (3, "takes a flax.linen.Module, e.g. .* got int"),
        (nn.Embed, r"takes a module, not its class; give Embed\(...\)"),
        (nnx.Embed, r"calls Embed\(rngs\): missing a required argument: 'features'. Give lambda rngs"),
        (nnx.Linear(2, 1, rngs=nnx.Rngs(0)), "this Linear has them already; give what builds it"),
        (Dropped(), "Dropped draws random numbers: .*deterministic=True"),
        (NnxDropped, "NnxDropped holds random streams, .* dropout must be deterministic"),
        (Averaged(), r"parameters only; Averaged also keeps \['batch_stats'\]"),
    ],
)
def test_no_networks(module, message):
    with pytest.raises(TypeError, match=message):
        init, apply = network(module)
        apply(init(jax.random.key(0), TOKENS), TOKENS)


@pytest.mark.parametrize("module", [Dropped(deterministic=True), lambda rngs: NnxDropped(rngs, deterministic=True)])
def test_dropout_that_drops_nothing(module):
    init, apply = network(module)
    params = init(jax.random.key(0), TOKENS)
    (table,) = jax.tree.leaves(params)
    np.testing.assert_array_equal(apply(params, TOKENS), table[TOKENS])


def swept(network=TINY.network, *, grid=None, width=None, rule=RULE, taps=None):
    def experiment(learning_rate, width=width):
        own = network.clone(width=width) if width is not None else network
        return Descent(model=dataclasses.replace(TINY, network=own, taps=taps), learning_rate=learning_rate, rule=rule)

    return js.sweep(experiment, grid=grid or {"learning_rate": [0.1]}, times=[0, 1], progress=False)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"rule": AdamW}, TypeError, r"AdamW is a class where one of its kind is needed; give AdamW\(...\)"),
        (
            {"grid": {"learning_rate": [0.1], "width": [8, 16]}}, TypeError,
            "Decoder.width fixes the compiled program, .* Sweep it with static={'width'",
        ),
        (
            {"taps": {"layer0/pattern": Tap(mask=jnp.ones((3, 1)))}}, ValueError,
            r"at the site 'layer0/pattern': Tap.mask must broadcast against .* \(4, 2, 5, 5\); got \(3, 1\)",
        ),
        ({"taps": {"layer0/pattern": 0.0}}, TypeError, r"what taps the site 'layer0/pattern' must be a Tap\(.* got float"),
    ],
)  # fmt: skip
def test_parts_of_another_kind(options, error, message):
    with pytest.raises(error, match=message):
        swept(**options)


class Flat(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        return nn.Dense(6)(jax.nn.one_hot(tokens, 6).reshape(len(tokens), -1))


def test_logits_without_places():
    model = dataclasses.replace(TINY, network=Flat())
    with pytest.raises(ValueError, match=r"gives logits of shape \(2, 6\), and Relabelling needs"):
        jax.eval_shape(lambda key: model.loss(model.init(key, data := model.sample(key)), data, key), jax.random.key(0))
