"""Entropy floors against enumeration: hidden Markov models by summing over all paths, hierarchies by listing every string."""

import itertools
from collections import defaultdict

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from assertions import assert_mean

from jaxscale.data.facts import FactConflict
from jaxscale.data.hierarchy import Hierarchy
from jaxscale.data.hmm import Hmm
from jaxscale.data.markov import stationary
from jaxscale.data.stories import Stories
from jaxscale.data.world import batch
from jaxscale.records import check

KEY = jax.random.key(0)


@pytest.mark.parametrize("shared", [True, False])
def test_the_forward_algorithm_sums_over_all_paths(shared):
    """log p(target | tokens before) from the sum of p(path, words) over every sequence of classes."""
    world = Hmm(classes=3, words=4, context=3, shared=shared)
    frozen = jax.jit(world.sample)(KEY)
    seen = jax.jit(lambda key: batch(world, key, frozen, 6))(jax.random.key(1))
    chain, words = (np.asarray(part, np.float64) for part in frozen)
    start = np.asarray(stationary(frozen.chain), np.float64)

    def chance(string):
        total = 0.0
        for path in itertools.product(range(3), repeat=len(string)):
            p = start[path[0]] * np.prod([chain[i, j] for i, j in zip(path, path[1:])])
            total += p * np.prod([words[i, w] for i, w in zip(path, string)])
        return total

    found = np.asarray(jax.jit(jax.vmap(lambda one: world.forward(frozen, one)))(seen.tokens))
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)
    for row, tokens in zip(found, np.asarray(seen.tokens).tolist()):
        for t in range(1, 4):
            for word in range(world.vocabulary):
                wanted = chance([*tokens[:t], word]) / chance(tokens[:t])
                assert row[t - 1, word] == pytest.approx(wanted, rel=1e-4, abs=1e-7)
    if shared:  # the floor is the mean over places of H(words up to it and the next) - H(words up to it)
        every = [{s: chance(s) for s in itertools.product(range(4), repeat=n)} for n in (1, 2, 3, 4)]
        entropy = [-sum(p * np.log(p) for p in strings.values()) for strings in every]
        assert float(jax.jit(world.entropy_floor)(frozen)) == pytest.approx(np.mean(np.diff(entropy)), abs=1e-3)


def test_words_of_their_own_have_the_chains_floor_and_shared_ones_are_harder_to_foresee():
    own, shared = Hmm(classes=4, words=6, context=24), Hmm(classes=4, words=6, context=24, shared=True)
    frozen = jax.jit(own.sample)(KEY)
    seen = jax.jit(lambda key: batch(own, key, frozen, 400))(jax.random.key(2))
    p = np.asarray(jax.jit(jax.vmap(lambda one: own.forward(frozen, one)))(seen.tokens))
    each = -np.log(np.take_along_axis(p, np.asarray(seen.targets)[..., None], axis=-1)[..., 0]).mean(axis=1)
    assert_mean(each, float(own.entropy_floor(frozen)), precision=0.02)
    both = jax.jit(shared.sample)(KEY)
    floor = float(jax.jit(shared.entropy_floor)(both))
    frequency = np.asarray(stationary(both.chain) @ both.words)
    assert 0 < floor < -np.sum(frequency * np.log(frequency))  # the past says something, no more than all
    with pytest.raises(ValueError, match="do not say their class"):
        shared.next_class(both, seen)
    with pytest.raises(ValueError, match="classes and words of at least 1"):
        check(Hmm(classes=0))


@pytest.mark.parametrize("classes, synonyms, branching", [(3, 2, 2), (2, 3, 2), (3, 1, 2), (2, 2, 3)])
def test_the_next_token_of_a_hierarchy_by_listing_every_string(classes, synonyms, branching):
    """Mean over places of H(prefix and token) - H(prefix), from all derivations of a small grammar."""
    world = Hierarchy(features=3, classes=classes, synonyms=synonyms, branching=branching, levels=2, predict="next")
    frozen = jax.jit(world.sample)(jax.random.key(3))
    rules = np.asarray(frozen)
    chance = defaultdict(float)
    expansions = list(itertools.product(range(synonyms), repeat=1 + branching))
    for label, (top, *below) in itertools.product(range(classes), expansions):
        string = [token for symbol, rule in zip(rules[0][label, top], below) for token in rules[1][symbol, rule]]
        chance[tuple(string)] += 1 / (classes * len(expansions))

    def entropy(length):
        prefixes = defaultdict(float)
        for string, p in chance.items():
            prefixes[string[:length]] += p
        return -sum(p * np.log(p) for p in prefixes.values())

    wanted = np.mean([entropy(t + 1) - entropy(t) for t in range(1, branching**2)])
    assert float(jax.jit(world.entropy_floor)(frozen)) == pytest.approx(wanted, rel=1e-4, abs=1e-6)
    classify = Hierarchy(features=3, classes=classes, synonyms=synonyms, levels=2)
    assert jnp.all(classify.entropy_floor(frozen) == 0)


def test_what_label_noise_leaves_of_copies():
    """Copies come out as shown in 1 - .6 + .6 / 3 of the cases, each other attribute in .2; memory is certain."""
    world = FactConflict(entities=5, attributes=3, copying=0.5, label_noise=0.6, conflict=0.3)
    frozen = world.sample(KEY)
    seen = jax.jit(lambda key: batch(world, key, frozen, 20_000))(jax.random.key(2))
    first, shown, asked = np.asarray(seen.tokens).T
    copies = asked >= 3 + 5
    as_shown = (np.asarray(seen.targets)[:, -1] == shown)[copies]
    assert_mean(as_shown.astype(float), 0.6, precision=0.01)
    assert_mean(copies.astype(float), 0.5, precision=0.01)
    assert np.all(np.asarray(seen.targets)[~copies, -1] == np.asarray(frozen)[asked[~copies] - 3])
    assert float(world.entropy_floor(frozen)) == pytest.approx(-0.5 * (0.6 * np.log(0.6) + 0.4 * np.log(0.2)), rel=1e-5)


def test_stories_of_one_name_are_equally_likely():
    """Without fillers 3 verbs and 2 objects make 6 stories a name: ln 6 nats over the 11 tokens that follow it."""
    world = Stories(names=4, objects=2, states=2, filler=0)
    frozen = world.sample(KEY)
    seen = jax.jit(lambda key: batch(world, key, frozen, 12_000))(jax.random.key(2))
    stories, counts = np.unique(np.column_stack([seen.tokens[:, 0], seen.targets]), axis=0, return_counts=True)
    assert len(stories) == 4 * 6 and stories.shape[1] == 12
    assert np.abs(counts - 500).max() < 4.5 * np.sqrt(500)
    assert float(world.entropy_floor(frozen)) == pytest.approx(np.log(6) / 11, rel=1e-6)
    more = Stories(names=4, objects=2, states=2, filler=5)
    assert float(more.entropy_floor(frozen)) == pytest.approx((np.log(6) + 5 * np.log(6)) / 16, rel=1e-6)
