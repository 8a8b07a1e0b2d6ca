"""What a user's methods return is answered with the name of their class, before anything compiles."""

import jax
import jax.numpy as jnp
import pytest

import jaxscale as js
from jaxscale.engine.run import answers
from jaxscale.engine.run.executable import Executable
from jaxscale.engine.run.program import Program


def model(**methods):
    """A walk whose methods are replaced."""
    usual = {
        "sample": lambda self, key: jnp.zeros(()),
        "init": lambda self, key, data: (jnp.zeros(()), jnp.zeros(2)),
        "step": lambda self, key, state, data: (state[0] + self.rate, state[1]),
        "observe": lambda self, state, data: {"x": state[0]},
    }
    return js.record(type("MyWalk", (), {"__annotations__": {"rate": float}, **usual, **methods}))


def sweep(kind):
    return js.sweep(lambda rate: kind(rate=rate), grid={"rate": [0.1, 0.2]}, seeds=2, times=[0, 2], progress=False)


@pytest.mark.parametrize("methods, message", [
    ({"observe": lambda *_: None}, r"MyWalk.observe must return a dict from names to numbers; got None"),
    ({"observe": lambda self, state, data: state[1]}, r"observe must return a dict .*; got an array float32\[2\]"),
    ({"observe": lambda self, state, data: {1: state[0]}}, r"observe must return a dict from names to numbers; got dict"),
    ({"observe": lambda *_: {"x": "no"}}, r"MyWalk.observe: 'x' must be a number; got str 'no'"),
    ({"observe": lambda *_: {"x": None}}, r"MyWalk.observe: 'x' must be a number; got None"),
    ({"step": lambda *_: None}, r"MyWalk.step must return a state like the one it is given; got None. Is a return missing"),
    ({"step": lambda self, key, state, data: state[0]}, r"MyWalk.step must return a state like .*, a tree .*\(\*, \*\)"),
    ({"step": lambda self, key, state, data: (state[1], state[1])}, r"float32\[\], float32\[2\]; got float32\[2\], float32"),
    ({"step": lambda self, key, state, data: (state[0].astype(int), state[1])}, r"float32\[2\]; got int32\[\]"),
    ({"init": lambda *_: None}, r"MyWalk.init must return the state at step 0; got None"),
    ({"init": lambda *_: "a"}, r"MyWalk.init must return an array or a tree of them; got str 'a'"),
    ({"sample": lambda *_: {"a": "b"}}, r"MyWalk.sample must return an array or a tree of them; got dict"),
    ({"stopped": lambda *_: None}, r"MyWalk.stopped must return one flag; got None"),
    ({"stopped": lambda self, state, data: state[1] > 0}, r"MyWalk.stopped must return one flag; got an array of shape \(2,\)"),
])  # fmt: skip
def test_what_is_wrong_is_said_of_the_users_class(monkeypatch, methods, message):
    monkeypatch.setattr(Executable, "compile_program", lambda *_: pytest.fail("compiled first"))
    with pytest.raises(TypeError, match=message):
        sweep(model(**methods))


def test_what_is_right_runs():
    """Plain numbers as observables, no data, flags of Python."""
    kind = model(sample=lambda *_: None, observe=lambda self, state, data: {"x": state[0], "two": 2.0, "yes": True})
    found = sweep(kind)
    assert set(found.data_vars) == {"x", "two", "yes", "diverged_at"} and bool(found["yes"].all())
    assert float(found["two"].min()) == 2.0 and jax.tree.structure(kind(rate=0.1)).num_leaves == 1


def test_checking_traces_nothing(monkeypatch):
    """Or the program of every store would be another."""
    kind = model(init=lambda self, key, data: (0.0, jnp.zeros(2)))  # a weak type, which an array made of it would lose
    asked = dict(static={}, dtypes={"rate": jnp.dtype("float32")}, shared=False, root=0, precision="highest")
    checked = Program(lambda rate: kind(rate=rate), **asked).fingerprint
    monkeypatch.setattr(answers, "moved", lambda new, old, system: new)
    assert checked == Program(lambda rate: kind(rate=rate), **asked).fingerprint
