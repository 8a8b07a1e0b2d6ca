"""Stop rules: what stops stays, what counts is counted, and a wrong name is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscale.dynamics.until import Until, above, below
from jaxscale.protocol import has_stopped
from jaxscale.records import check, record
from jaxscale.simulation import simulate

KEY = jax.random.key(0)
TIMES = np.arange(8)


@record
class Counter:
    """Its height grows by `pace` a step; it may stop by itself."""

    pace: float = 1.0
    top: float = 1e9

    def sample(self, key):
        return ()

    def init(self, key, data):
        return jnp.array(0.0)

    def step(self, key, state, data):
        return state + self.pace

    def stopped(self, state, data):
        return state >= self.top

    def observe(self, state, data):
        return {"height": state}


def run(system):
    return {name: value.tolist() for name, value in jax.jit(lambda: simulate(system, KEY, TIMES))().items()}


def test_a_stopped_run_is_frozen_and_says_when():
    found = run(Until(system=Counter(), when=above("height", 2.5)))
    assert found["height"] == [0, 1, 2, 3, 3, 3, 3, 3]
    assert found["steps"] == [0, 1, 2, 3, 3, 3, 3, 3]
    assert found["stopped"] == [False] * 3 + [True] * 5


def test_below_and_the_exact_level_does_not_count():
    found = run(Until(system=Counter(pace=-1.0), when=below("height", -2.0)))
    assert found["steps"] == [0, 1, 2, 3, 3, 3, 3, 3]


def test_looking_every_third_step_stops_on_a_third_step():
    found = run(Until(system=Counter(), when=above("height", 3.5), every=3))
    assert found["height"] == found["steps"] == [0, 3, 6, 6, 6, 6, 6, 6]
    assert found["stopped"] == [False, False] + [True] * 6


def test_a_rule_that_holds_at_the_start_stops_at_step_zero():
    found = run(Until(system=Counter(), when=below("height", 1.0)))
    assert found["height"] == found["steps"] == [0] * 8 and found["stopped"] == [True] * 8


def test_a_censored_run_says_so():
    found = run(Until(system=Counter(), when=above("height", 100.0)))
    assert found["stopped"] == [False] * 8 and found["steps"][-1] == 7


def test_lanes_stop_apart():
    systems = jax.vmap(lambda pace: simulate(Until(system=Counter(pace=pace), when=above("height", 3.5)), KEY, TIMES))
    assert systems(jnp.array([1.0, 2.0, 0.1]))["steps"][:, -1].tolist() == [4, 2, 7]


def test_the_wrapped_system_may_stop_too():
    """`stopped` for the sweep; the recorded flag must agree, or a finished run would pass for a censored one."""
    system = Until(system=Counter(top=2.0), when=above("height", 100.0))
    state = system.init(KEY, ())
    for _ in range(3):
        state = system.step(KEY, state, ())
    assert has_stopped(system, state, ())
    assert system.observe(state, ())["stopped"]


def test_an_unknown_observable_is_refused_with_the_choices():
    with pytest.raises(ValueError, match=r"'loss', not observed by Counter; choose from \['height'\]"):
        simulate(Until(system=Counter(), when=below("loss", 1.0)), KEY, TIMES)


def test_equal_rules_are_equal():
    assert below("loss", 1.0) == below("loss", 1.0) != above("loss", 1.0)
    assert hash(below("loss", 1.0)) == hash(below("loss", 1.0))


def test_a_stride_below_one_is_refused():
    with pytest.raises(ValueError, match=r"Until\.every must be at least 1 step; got 0"):
        check(Until(system=Counter(), when=below("height", 1.0), every=0))
