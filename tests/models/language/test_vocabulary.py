"""Decoders that learn new words: the old ones stay as they were, and the new are where they should be."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from test_grown import TOKENS, decoder, trained

from jaxscale.models.language import vocabulary

FORMS = {"untied": {}, "tied": {"tied": True}, "classes": {"outputs": 3}, "as many": {"outputs": 7}}


def logits(network, params, tokens=TOKENS):
    return np.asarray(jax.jit(lambda p: network.apply({"params": p}, tokens)[0])(params))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_new_tokens_inside_the_hull_are_never_the_likeliest(form):
    network = decoder(**form)
    params = trained(network)
    larger, more = vocabulary.hull_expanded(jax.random.key(3), network, params, 5)
    before, after = logits(network, params), logits(larger, more)
    np.testing.assert_allclose(after[..., : before.shape[-1]], before, atol=1e-6)
    new = after[..., before.shape[-1] :]
    assert larger.vocabulary == 12 and new.shape[-1] == (0 if form.get("outputs") == 3 else 5)
    assert np.all(new <= before.max(-1, keepdims=True) + 1e-5) and np.all(new >= before.min(-1, keepdims=True) - 1e-5)
    assert len(np.unique(more["embed"], axis=0)) == 12
    read = logits(larger, more, TOKENS + 5)  # 7..11 are words now
    assert np.all(np.isfinite(read)) and jax.tree.structure(more) == jax.tree.structure(params)


@functools.partial(jax.jit, static_argnums=0)
def state(network, params, token):
    return network.apply({"params": params}, token[None, None])[1]["final"][0, 0]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_crossed_token_is_embedded_as_the_state_of_its_references_mean(form):
    network = decoder(**form)
    params = trained(network)
    larger, more = vocabulary.crossed(network, params, [[1, 4], [2]])
    np.testing.assert_array_equal(more["embed"][:7], params["embed"])
    np.testing.assert_allclose(more["embed"][8], state(network, params, jnp.array(2)), atol=1e-6)  # of one reference: its own
    middle = dict(params) | {"embed": params["embed"].at[0].set((params["embed"][1] + params["embed"][4]) / 2)}
    np.testing.assert_allclose(more["embed"][7], state(network, middle, jnp.array(0)), atol=1e-6)
    before, after = logits(network, params), logits(larger, more)
    np.testing.assert_allclose(after[..., : before.shape[-1]], before, atol=1e-6)
    if not form or form.get("outputs") == 7:
        np.testing.assert_allclose(after[..., 7:], np.stack([before[..., [1, 4]].mean(-1), before[..., 2]], -1), atol=1e-5)


@pytest.mark.parametrize("references", [[], [[]], [[1], [7]], [[-1]]])
def test_references_that_are_none(references):
    network = decoder()
    with pytest.raises(ValueError, match=r"groups of tokens of 0..6, none of them empty; got \["):
        vocabulary.crossed(network, trained(network), references)
