"""Soft prompts: a prompt of embeddings is a prefix of tokens, and transfer against its two parts."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscale.data.drift import Drift
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.prompt_transfer import PromptTransfer
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.language.prompt import Prompted
from jaxscale.models.language.token_mlp import TokenMlp
from jaxscale.records import check
from jaxscale.simulation import simulate

KEY = jax.random.key(0)
NETWORK = Decoder(vocabulary=8, context=9, mixer=Attention(heads=2), width=8, depth=2, hidden=2)


def prompted(angle=0.0, length=3, network=NETWORK):
    world = Drift(angle=angle, vocabulary=8, context=6)
    return Prompted(model=LanguageModel(world=world, network=network, batch=4, evaluation=32), length=length)


def transfer(angle=1.0, **changes):
    return PromptTransfer(target=prompted(), source=prompted(angle), learning_rate=0.05, before=20, **changes)


def test_a_prompt_of_embeddings_is_a_prefix_of_tokens():
    one = prompted()
    data = jax.jit(one.sample)(KEY)
    prefix, tokens = jnp.array([5, 0, 3]), data.own.test.tokens[:4]
    prompt = data.trunk["embed"][prefix]
    logits, _ = jax.jit(one.apply)(prompt, data, tokens)
    read = jnp.concatenate([jnp.tile(prefix, (4, 1)), tokens], axis=1)
    plain, _ = jax.jit(one.model.apply)(data.trunk, read)
    np.testing.assert_allclose(logits, plain[:, 3:], rtol=1e-5, atol=1e-5)


def test_only_the_prompt_is_trained_and_the_loss_falls():
    system = Descent(model=prompted(), learning_rate=0.05, rule=AdamW())
    found = jax.jit(lambda: simulate(system, KEY, np.array([0, 200])))()
    assert float(found["loss"][1]) < float(found["loss"][0]) - 0.05 and float(found["excess"][1]) > 0
    state = jax.jit(lambda: system.init(KEY, system.sample(KEY)))()
    assert state.params.shape == (3, 8)


def test_transfer_without_teacher_is_plain_training_of_a_prompt():
    system = transfer()
    data = jax.jit(system.sample)(KEY)
    state = jax.jit(system.init)(KEY, data)
    step = jax.jit(system.step)(jax.random.key(7), state, data)
    gradient = jax.jit(jax.grad(system.target.loss))(state.prompt, data, jax.random.key(7))
    plain = Descent(model=system.target, learning_rate=0.05, rule=AdamW())
    expected = state.prompt + plain.optimizer().update(gradient, plain.optimizer().init(state.prompt), state.prompt)[0]
    np.testing.assert_allclose(step.prompt, expected, rtol=1e-4, atol=1e-6)


def test_what_is_inherited_and_what_is_taught():
    system = transfer()
    data = jax.jit(system.sample)(KEY)
    begin = jax.jit(lambda inherit, angle: dataclasses.replace(transfer(angle), inherit=inherit).init(KEY, data))
    fresh, vanilla = begin(0.0, 1.0), begin(1.0, 1.0)
    np.testing.assert_array_equal(vanilla.prompt, vanilla.teacher)
    np.testing.assert_array_equal(fresh.teacher, vanilla.teacher)
    assert not np.allclose(fresh.prompt, fresh.teacher)
    like, unlike = (float(begin(0.0, angle).similarity) for angle in (0.0, np.pi))
    assert 0.2 < like <= 1 and unlike < like

    step = jax.jit(lambda strength, state: dataclasses.replace(system, strength=strength).step(KEY, state, data).prompt)
    same = fresh._replace(prompt=fresh.teacher)  # the divergence has its minimum of 0 here, and so no gradient
    np.testing.assert_allclose(step(5.0, same), step(0.0, same), rtol=1e-3, atol=1e-5)
    assert not np.allclose(step(5.0, fresh), step(0.0, fresh), atol=1e-4)
    opposed = fresh._replace(similarity=jnp.array(-0.5))  # a task that is predicted to harm teaches nothing
    np.testing.assert_array_equal(step(5.0, opposed), step(0.0, opposed))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: check(prompted(length=4)), "needs a network of context 10; got 9. Train one that is as long"),
        (
            lambda: check(dataclasses.replace(prompted(), model=dataclasses.replace(prompted().model, z_loss=0.1))),
            "without taps, probes and z_loss",
        ),
        (lambda: check(prompted(length=0)), "length must be at least 1 and spread >= 0; got 0 and 0.1"),
        (lambda: check(dataclasses.replace(transfer(), source=prompted(length=2))), "one length; got target 3 and source 2"),
        (lambda: check(dataclasses.replace(transfer(), learning_rate=0.0)), "learning_rate > 0 and before >= 1; got 0.0"),
    ],
)  # fmt: skip
def test_bad_prompts(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_network_without_embeddings_takes_no_prompt():
    one = prompted(network=TokenMlp(vocabulary=8, context=6))
    with pytest.raises(ValueError, match="needs a network with the site 'embed'; this one has"):
        one.init(KEY, one.sample(KEY))
