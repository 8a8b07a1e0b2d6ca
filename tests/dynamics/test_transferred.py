"""Transfer: from scratch it is the system, otherwise the source's tensors but for those that begin afresh."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxscale.dynamics.trained import Trained
from jaxscale.dynamics.transferred import Transferred
from jaxscale.models.language.model import TINY as LANGUAGE
from jaxscale.models.language.roles import Role, roles

SYSTEM = Trained(model=LANGUAGE, learning_rate=0.01)
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
    source = Trained(model=LANGUAGE, learning_rate=0.05)
    plain, moved = begun(SYSTEM), begun(Transferred(system=SYSTEM, source=source, steps=3))
    kinds = jax.tree.leaves(roles(plain.params), is_leaf=lambda r: isinstance(r, Role))
    for role, a, b in zip(kinds, jax.tree.leaves(plain.params), jax.tree.leaves(moved.params)):
        assert np.array_equal(a, b) == (role.kind in ("input", "readout")), role
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(plain.memory), jax.tree.leaves(moved.memory)))


def test_another_architecture_is_refused():
    wide = Trained(model=dataclasses.replace(LANGUAGE, network=LANGUAGE.network.clone(width=12)), learning_rate=0.05)
    with pytest.raises(ValueError, match=r"the same parameters; .* differ in .*embed"):
        begun(Transferred(system=SYSTEM, source=wide, steps=1))


def test_no_steps_backwards():
    with pytest.raises(ValueError, match="must not be negative; got -1"):
        Transferred(system=SYSTEM, source=SYSTEM, steps=-1).check()
