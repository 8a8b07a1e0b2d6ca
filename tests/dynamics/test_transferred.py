"""Transfer: from scratch it is the system, otherwise the source's tensors but for those that begin afresh."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxscale.data.markov import Markov
from jaxscale.data.text import CharacterText
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.dynamics.transferred import Transferred
from jaxscale.models.language import model as language_model
from jaxscale.models.language.tensor_roles import Role, roles
from jaxscale.records import check

LANGUAGE = language_model.TINY()

SYSTEM = Descent(model=LANGUAGE, learning_rate=0.01, rule=AdamW())
KEY = jax.random.key(0)


def begun(system):
    @jax.jit
    def run():
        data = system.sample(KEY)
        return system.init(jax.random.key(1), data)

    return run()


def test_from_scratch_it_is_the_system():
    plain, none = begun(SYSTEM), begun(Transferred(system=SYSTEM, source=SYSTEM, steps=0))
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(plain), jax.tree.leaves(none)))


def test_what_is_fresh_is_the_systems_own_and_the_rest_is_trained():
    source = Descent(model=LANGUAGE, learning_rate=0.05, rule=AdamW())
    plain, moved = begun(SYSTEM), begun(Transferred(system=SYSTEM, source=source, steps=3))
    kinds = jax.tree.leaves(roles(plain.params), is_leaf=lambda r: isinstance(r, Role))
    for role, a, b in zip(kinds, jax.tree.leaves(plain.params), jax.tree.leaves(moved.params)):
        assert np.array_equal(a, b) == (role.kind in ("input", "readout")), role
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(plain.memory), jax.tree.leaves(moved.memory)))


def test_another_architecture_is_refused():
    model = dataclasses.replace(LANGUAGE, network=LANGUAGE.network.clone(width=12))
    wide = Descent(model=model, learning_rate=0.05, rule=AdamW())
    with pytest.raises(ValueError, match=r"the same parameters; .* differ in .*embed"):
        begun(Transferred(system=SYSTEM, source=wide, steps=1))


@pytest.mark.parametrize("shared", [False, True])
def test_the_source_is_trained_on_a_disorder_of_its_own_or_on_the_systems(shared):
    """Made by hand; the relabelling world has none, so one with a random table is taken."""
    model = dataclasses.replace(LANGUAGE, world=Markov(vocabulary=6, context=5))
    system = Descent(model=model, learning_rate=0.05, rule=AdamW())

    @jax.jit
    def by_hand():
        key_data, key_init, key_step = jax.random.split(jax.random.fold_in(jax.random.key(1), 1), 3)
        seen = system.sample(KEY if shared else key_data)
        state = system.init(key_init, seen)
        for t in range(3):
            state = system.step(jax.random.fold_in(key_step, t), state, seen)
        return state.params

    moved = begun(Transferred(system=system, source=system, steps=3, fresh=(), shared=shared)).params
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), moved, by_hand())


def test_texts_that_spell_differently_are_refused_and_can_be_given_one_alphabet(tmp_path):
    for name, letters in (("one", "abc "), ("other", "xbca ")):
        (tmp_path / name).write_text(letters * 50)
    source, system = (
        Descent(
            model=dataclasses.replace(LANGUAGE, world=CharacterText(source=str(tmp_path / name), context=5)), learning_rate=0.1
        , rule=AdamW())
        for name in ("one", "other")
    )
    with pytest.raises(
        ValueError, match=r"tokens spell ' abc'... where the system's spell ' abcx'...; give CharacterText\(letters"
    ):
        check(Transferred(system=system, source=source, steps=1, fresh=()))
    check(Transferred(system=system, source=source, steps=1))
    one = dataclasses.replace(source.model.world, letters=system.model.world.spell(range(5)))
    same = Descent(model=dataclasses.replace(LANGUAGE, world=one), learning_rate=0.1, rule=AdamW())
    check(Transferred(system=system, source=same, steps=1, fresh=()))


@pytest.mark.parametrize("fresh", [("embedding", "readout"), "input"])
def test_roles_that_are_none(fresh):
    with pytest.raises(ValueError, match="must be a tuple of roles among .*'input'.*; got "):
        Transferred(system=SYSTEM, source=SYSTEM, fresh=fresh).check()


def test_no_steps_backwards():
    with pytest.raises(ValueError, match="a whole number, not negative; got -1"):
        Transferred(system=SYSTEM, source=SYSTEM, steps=-1).check()
