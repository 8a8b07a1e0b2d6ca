"""Worlds against their grammar, token by token: strings shown twice, stories, digits in sequence."""

import contextlib

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from assertions import assert_mean

from jaxscale.data.markov import Markov
from jaxscale.data.modular import ModularAddition
from jaxscale.data.noise import NoisyLabels
from jaxscale.data.parity import SparseParity
from jaxscale.data.repeats import Repeats
from jaxscale.data.sequential_digits import SequentialDigits
from jaxscale.data.stories import Stories
from jaxscale.data.world import Example, batch
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.language.token_mlp import TokenMlp
from jaxscale.records import check, replace

KEY = jax.random.key(0)


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


def test_noise_leaves_what_is_held_out_alone():
    """Of worlds with a table: the held-out pairs are the world's, none of them trained on, and clean."""
    world = ModularAddition(p=7)
    noisy = NoisyLabels(world=world, share=1.0)
    network = Decoder(vocabulary=7, context=2, mixer=Attention(heads=1), width=4, depth=0)
    model = LanguageModel(world=noisy, network=network, batch=4, evaluation=4)
    data = model.sample(KEY)
    jax.tree.map(np.testing.assert_array_equal, data.test, world.held_out(data.frozen))
    assert float(noisy.entropy_floor(data.frozen)) == 0.0
    with pytest.raises(ValueError, match="NoisyLabels has none; give a batch"):
        check(replace(model, batch=0))
    assert not hasattr(NoisyLabels(world=Repeats()), "next_class")


def test_fresh_chains_cost_what_counting_leaves():
    """Bayes' loss by hand on one sequence; no chain's own entropy, and the same for every run."""
    world = Markov(vocabulary=3, context=4, concentration=0.5, fresh=True)
    seen = Example(jnp.array([0, 1, 0, 1]), jnp.array([1, 0, 1, 2]), jnp.ones(4))
    np.testing.assert_allclose(jnp.exp(world.smoothed(seen)), [1 / 3, 1 / 3, 1.5 / 2.5, 0.5 / 2.5], rtol=1e-6)
    world = replace(world, vocabulary=8, context=24, concentration=0.3)
    floors = {float(world.entropy_floor(world.sample(jax.random.key(i)))) for i in range(3)}
    seen = jax.jit(lambda key: batch(world, key, world.sample(key), 2000))(jax.random.key(5))
    loss = -np.asarray(jax.jit(jax.vmap(world.smoothed))(seen)).mean(axis=1)
    assert len(floors) == 1
    assert_mean(loss - floors.pop(), 0.0, precision=0.02, sigmas=4)
    known = Markov(vocabulary=8, concentration=0.3)
    entropies = [float(known.entropy_floor(known.sample(jax.random.key(i)))) for i in range(8)]
    assert loss.mean() > max(entropies)  # who knows the chain pays less


@pytest.mark.parametrize("outputs, fits", [(0, True), (2, True), (6, True), (1, False)])
def test_parities_have_two_answers(outputs, fits):
    """A readout may be as small as the answers, and no smaller."""
    world = SparseParity(tasks=4, bits=8)
    network = TokenMlp(vocabulary=6, context=9, width=4, outputs=outputs)
    model = LanguageModel(world=world, network=network, batch=4, evaluation=4)
    with contextlib.nullcontext() if fits else pytest.raises(ValueError, match="outputs=1 and the world 2 answers"):
        check(model)


def test_a_users_network_with_too_few_outputs_is_refused():
    class Small(nn.Module):
        @nn.compact
        def __call__(self, tokens):
            return nn.Dense(3)(nn.Embed(6, 4)(tokens))

    model = LanguageModel(world=Markov(vocabulary=6, context=5), network=Small(), batch=2, evaluation=2)
    data = model.sample(KEY)
    with pytest.raises(ValueError, match=r"logits of shape \(2, 5, 3\), and Markov needs .* at least 6"):
        model.observe(model.init(KEY, data), data)
