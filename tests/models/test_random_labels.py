"""Two certificates decide whether labels are realisable: against a linear program."""

import jax
import numpy as np
import pytest
from scipy.optimize import linprog

import jaxscale as js
from jaxscale.dynamics.newton import Newton
from jaxscale.dynamics.until import Until
from jaxscale.models.random_labels import RandomLabels
from jaxscale.studies.cover_capacity import decided


def test_every_decision_is_that_of_a_linear_program():
    model = RandomLabels(d=5, alpha=2.0, alpha_max=2.0)
    system = Until(system=Newton(model=model), when=decided)
    keys = jax.random.split(jax.random.key(0), 60)
    found = jax.jit(jax.vmap(lambda key: js.simulate(system, key, [0, 80])))(keys)
    assert np.all(found["stopped"][:, -1])
    for key, separated in zip(keys, found["separated"][:, -1]):
        points = np.asarray(model.sample(jax.random.split(key, 3)[0]).points, float)
        program = linprog(np.zeros(5), A_ub=-points, b_ub=-np.ones(10), bounds=(None, None))
        assert bool(separated) == (program.status == 0)


def test_fewer_points_than_dimensions_are_always_separated():
    system = Until(system=Newton(model=RandomLabels(d=8, alpha=0.5)), when=decided)
    found = jax.vmap(lambda key: js.simulate(system, key, [40]))(jax.random.split(jax.random.key(1), 20))
    assert np.all(found["separated"])


def test_newton_finds_the_minimum_of_a_logistic_loss():
    model = RandomLabels(d=3, alpha=12.0, alpha_max=12.0)
    found = js.simulate(Newton(model=model), jax.random.key(2), [0, 30])
    assert found["balance"][-1] < 1e-5 and found["loss"][-1] < found["loss"][0]


@pytest.mark.parametrize("fields", [dict(alpha=4.0), dict(alpha=0.01), dict(alpha=0.0)])
def test_bad_input(fields):
    with pytest.raises(ValueError, match="RandomLabels.alpha"):
        RandomLabels(**(dict(d=4) | fields)).check()
    with pytest.raises(ValueError, match="Newton.ridge"):
        Newton(model=RandomLabels(d=4, alpha=1.0), ridge=-1.0).check()
