"""What worlds draw, and not only what they say of it: frequencies, starts, ranges, held-out parts, and refusals."""

from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from assertions import assert_mean

from jaxscale.data import text, words
from jaxscale.data.delay import Delay
from jaxscale.data.drift import Drift
from jaxscale.data.facts import FactConflict
from jaxscale.data.hierarchy import Hierarchy
from jaxscale.data.hmm import Hmm
from jaxscale.data.margin import margin_density
from jaxscale.data.markov import Markov, Unigram
from jaxscale.data.modular import ModularAddition
from jaxscale.data.noise import NoisyLabels
from jaxscale.data.parity import SparseParity
from jaxscale.data.pcfg import Pcfg
from jaxscale.data.world import batch
from jaxscale.records import check


def drawn(world, count=20_000):
    frozen = jax.jit(world.sample)(jax.random.key(1))
    return frozen, jax.tree.map(np.asarray, jax.jit(lambda key: batch(world, key, frozen, count))(jax.random.key(2)))


def assert_shares(tokens, shares):
    """Every token as often as it should be, in standard errors, which are small."""
    for token, share in enumerate(shares):
        assert_mean(tokens == token, share, precision=0.01)


def test_a_markov_chain_begins_as_it_goes_on():
    world = Markov(vocabulary=4, context=2, concentration=0.5)
    frozen, seen = drawn(world)
    rows = np.asarray(jax.tree.leaves(frozen)[0], np.float64)
    values, vectors = np.linalg.eig(rows.T)
    at = np.argmin(np.abs(values - 1))
    assert_shares(seen.tokens[:, 0], np.real(vectors[:, at] / vectors[:, at].sum()))


@pytest.mark.parametrize("concentration", [0.2, 2.0])
@pytest.mark.parametrize(
    "make", [lambda c: Markov(vocabulary=6, context=2, concentration=c), lambda c: Hmm(classes=6, concentration=c)]
)
def test_rows_of_chains_are_dirichlet(make, concentration):
    """E sum p^2 = (a + 1) / (V a + 1)."""
    found = jax.jit(jax.vmap(make(concentration).sample))(jax.random.split(jax.random.key(3), 800))
    table = next(leaf for leaf in jax.tree.leaves(found) if leaf.shape[-2:] == (6, 6))
    assert_mean(jnp.sum(table**2, -1).mean(-1), (concentration + 1) / (6 * concentration + 1), precision=0.01)


def test_uniform_draws():
    for world, count in ((Drift(vocabulary=5, context=1), 5), (Delay(vocabulary=4, context=8, delay=3.0), 4)):
        assert_shares(drawn(world)[1].tokens[:, 0], np.full(count, 1 / count))
    assert_shares(drawn(Hierarchy(features=4, classes=4, synonyms=2, levels=1))[1].targets[:, -1], np.full(4, 0.25))


def test_noisy_answers_are_answers():
    _, seen = drawn(NoisyLabels(world=SparseParity(tasks=2, bits=8), share=1.0))
    assert set(np.unique(seen.targets[:, -1])) == {0, 1}
    assert_mean(seen.targets[:, -1], 0.5, precision=0.01)


def test_tasks_of_parity_by_rank_and_bits_past_a_word():
    world = SparseParity(tasks=4, bits=40, k=2, alpha=0.5)
    weight = np.arange(1, 5) ** -1.5
    np.testing.assert_allclose(world.frequencies(), weight / weight.sum(), rtol=1e-5)
    _, seen = drawn(world)
    bits = seen.tokens[:, 1:]
    for at in (0, 7):
        assert_mean(bits[:, at] == bits[:, at + 32], 0.5, precision=0.01)


@pytest.mark.parametrize("exponent", [0.0, 2.0])
def test_facts_are_remembered_by_rank(exponent):
    """Entities of pure memory, the first token of all that have facts: attributes come first in the vocabulary."""
    world = FactConflict(entities=4, attributes=3, exponent=exponent, copying=0.0, conflict=0.0)
    _, seen = drawn(world)
    inside = (seen.tokens >= 3) & (seen.tokens < 7)
    entity = seen.tokens[np.arange(len(inside)), inside.argmax(1)][inside.any(1)] - 3
    weight = np.arange(1, 5.0) ** -exponent
    assert_shares(entity, weight / weight.sum())


def test_what_is_trained_on_stops_before_what_is_held_out(tmp_path):
    file = tmp_path / "counted"
    file.write_text(" ".join(f"w{i}" for i in range(400)))
    world = words.WordText(source=str(file), context=3, words=500)
    check(world)
    _, seen = drawn(world, 4000)
    spelt = {int(word[1:]) for word in world.spell(np.unique(seen.targets).tolist()).split()}
    assert max(spelt) == 359 and world.read("w360") == [0]  # the last tenth's own are rare
    file = tmp_path / "letters"
    file.write_text("".join(chr(256 + i) for i in range(400)))
    _, seen = drawn(text.CharacterText(source=str(file), context=3, alphabet=0), 4000)
    assert seen.targets.max() == 359


def test_the_commonest_characters_are_kept_and_the_others_become_one(tmp_path):
    file = tmp_path / "mixed"
    file.write_text("aaabbc\ufffd" * 50)
    codes, symbols = text.encoded(str(file), 3)
    assert symbols == "\ufffdab" and np.bincount(codes).tolist() == [100, 150, 100]
    prose = text.load("pydoc")
    kept = {letter for letter, _ in Counter(prose).most_common(9)}
    assert set(text.encoded("pydoc", 10)[1]) == kept | {"\ufffd"}


def test_a_file_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.txt").write_text("hello " * 100)
    assert text.load("~/mine.txt").startswith("hello")


def test_floors_of_frequencies_that_vanish():
    for world in (Unigram(exponent=40.0), Pcfg(exponent=60.0)):
        floor = float(jax.jit(world.entropy_floor)(jax.jit(world.sample)(jax.random.key(0))))
        assert 0 <= floor < 1e-3


@pytest.mark.parametrize(
    ("world", "message"),
    [
        (ModularAddition(p=5, share=0.01), "0.01 of 25 are 0"),
        (ModularAddition(p=5, share=0.99), "0.99 of 25 are 25"),
        (Hierarchy(synonyms=0), "synonyms >= 1 .* synonyms=0"),
        (Pcfg(rules=20), "Pcfg needs .* 1 <= rules <= symbols, .* got 8, 3 and 20"),
        (Pcfg(rules=0), "got 8, 3 and 0"),
        (Drift(sharpness=np.inf), "a finite sharpness >= 0; .* inf"),
        (Unigram(exponent=np.nan), "Unigram.exponent must not be negative; got nan"),
        (FactConflict(exponent=-1.0), "FactConflict.exponent must not be negative; got -1.0"),
    ],
)
def test_worlds_that_are_none(world, message):
    with pytest.raises(ValueError, match=message):
        check(world)


def test_a_density_that_cannot_be_normalised():
    with pytest.raises(ValueError, match="chi must be above -1, .* got -1"):
        margin_density(jax.random.key(0), 4, 2, -1)
