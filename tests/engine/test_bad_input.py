"""A wrong argument fails before anything compiles, and the message names it and says what to do."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscale as js
from jaxscale.engine.run.executable import Executable


@js.record
class Walk:
    rate: jax.Array
    d: int = js.static(default=2)

    def check(self):
        if self.rate > 1:
            raise ValueError(f"Walk.rate must not exceed 1; got {self.rate}.")

    def sample(self, key):
        return jnp.zeros(())

    def init(self, key, data):
        return jnp.zeros(self.d)

    def step(self, key, state, data):
        return state + self.rate

    def observe(self, state, data):
        return {"first": state[0]}


class Vector(Walk):
    def observe(self, state, data):
        return {"state": state}


class Wave(Walk):
    def observe(self, state, data):
        return {"wave": state[0] * 1j}


class Coin(Walk):
    def observe(self, state, data):
        return {"coin": jax.random.key(0)}


for kind in (Vector, Wave, Coin):
    jax.tree_util.register_pytree_node(kind, lambda s: ((s.rate,), s.d), lambda d, c, kind=kind: kind(rate=c[0], d=d))


def walk(rate, d=2):
    return Walk(rate=rate, d=d)


@pytest.fixture(autouse=True)
def _nothing_compiles(monkeypatch):
    def compiled(*arguments, **options):
        pytest.fail("compiled before the arguments were checked")

    monkeypatch.setattr(Executable, "compile_program", compiled)


def refuse(error, match, experiment=walk, **changes):
    common = dict(grid={"rate": [0.5]}, times=[0, 3], width=2, devices=jax.devices()[:1], progress=False)
    with pytest.raises(error, match=match):
        js.sweep(experiment, **(common | changes))


@pytest.mark.parametrize(
    "grid, error, match",
    [
        ({"rate": [0.5], "alpha": [1.0]}, TypeError, "not 'alpha'; rename the axis, or add the parameter"),
        ({"rate": [0.5], "d": [2, 3]}, TypeError, r"Walk\.d .*Sweep it with static={'d': ...}, not grid="),
        ({"rate": []}, ValueError, r"grid\['rate'\] must be a non-empty list"),
        ({"rate": [[0.5, 0.6]]}, ValueError, r"grid\['rate'\] must be a non-empty list .*\(1, 2\)"),
        ({"rate": [0.5, 0.6, 0.5]}, ValueError, r"grid\['rate'\] repeats a value; drop repeats"),
        ({"rate": [0.5, 0.5 + 1e-9]}, ValueError, r"grid\['rate'\] repeats a value"),  # the run sees 32 bits
        ({"rate": ["slow"]}, TypeError, r"grid\['rate'\] must hold numbers.*static={'rate': ...}"),
        ({"rate": [0.5, np.inf]}, ValueError, r"grid\['rate'\] must be finite; got inf"),
        ({"rate": [0.5, 2.0]}, ValueError, r"(?s)Walk\.rate must not exceed 1; got 2.*the grid point {'rate': 2.0}"),
    ],
    ids=[
        "unknown axis",
        "traced static",
        "empty",
        "matrix",
        "repeated",
        "repeated in 32 bits",
        "text",
        "infinite",
        "corner",
    ],
)
def test_grid(grid, error, match):
    refuse(error, match, grid=grid)


@pytest.mark.parametrize("name", ["seed", "data", "init", "time"])
def test_reserved_names(name):
    refuse(ValueError, f"'{name}' is part of every result .*rename", grid={name: [0.5]})
    refuse(ValueError, f"'{name}' is part of every result .*rename", static={name: [1]})


@pytest.mark.parametrize(
    "static, error, match",
    [
        ({"rate": [0.5]}, ValueError, "'rate' stands in grid= and in static=; keep one"),
        ({"d": []}, ValueError, r"static\['d'\] must hold at least one value"),
        ({"d": [2, 2]}, ValueError, r"static\['d'\] repeats a value"),
        ({"d": [(2, 3)]}, TypeError, r"static\['d'\] must hold plain numbers or text.*look it up"),
    ],
    ids=["also in grid", "empty", "repeated", "tuple"],
)
def test_static(static, error, match):
    refuse(error, match, static=static)


@pytest.mark.parametrize(
    "times, match",
    [
        ([0, 5, 5], "increase from 0 or more.*Sort them and drop repeats"),
        ([0, 5, 3], "increase from 0 or more.*Sort them and drop repeats"),
        ([-1, 5], r"increase from 0 or more; got \[-1, 5\]"),
        ([0, 1.5], "whole step numbers; got 1.5"),
        ([0, np.nan], "whole step numbers; got nan"),
        ([], "non-empty list of step numbers.*log_times"),
        ([[0, 1]], "non-empty list of step numbers.*log_times"),
        ([0, 2**31], r"below 2\*\*31 steps"),
    ],
    ids=str,
)
def test_times(times, match):
    refuse(ValueError, match, times=times)


@pytest.mark.parametrize(
    "seeds, match",
    [
        (0, r"seeds\['seed'\] must be a whole number, at least 1; got 0"),
        (-3, r"seeds\['seed'\] must be a whole number, at least 1; got -3"),
        (2.0, r"seeds\['seed'\] must be a whole number, at least 1; got 2.0"),
        (True, r"seeds\['seed'\] must be a whole number, at least 1; got True"),
        ({"data": 2, "init": 0}, r"seeds\['init'\] must be a whole number, at least 1; got 0"),
        ({"data": 2}, r"seeds must be a number or {'data': ..., 'init': ...}; got keys \['data'\]"),
        ({"data": 2, "noise": 2}, r"seeds must be a number or .*got keys \['data', 'noise'\]"),
    ],
    ids=str,
)
def test_seeds(seeds, match):
    refuse(ValueError, match, seeds=seeds)


@pytest.mark.parametrize("width", [1, 0, -2, 2.5])
def test_width(width):
    refuse(ValueError, "width must be a whole number, at least 2", width=width)


def test_share_of_an_unknown_axis():
    refuse(
        ValueError,
        r"share names 'alpha', which is no axis.*choose from \['rate', 'd'\]",
        share=("alpha",),
        static={"d": [2]},
    )


@pytest.mark.parametrize(
    "kind, found", [(Wave, "'wave' must be a real number or a flag; got complex64"), (Coin, "'coin' must be .*got key")]
)
def test_observable_that_is_no_real_number(kind, found):
    refuse(TypeError, f"observable {found}.*Return its real and imaginary parts", lambda rate: kind(rate=rate))


def test_observable_that_is_no_scalar():
    refuse(ValueError, r"observable 'state' must be a scalar; got shape \(2,\)\. Reduce it", lambda rate: Vector(rate=rate))


def test_plan_refuses_too():
    with pytest.raises(ValueError, match=r"grid\['rate'\] must be a non-empty list"):
        js.plan(walk, grid={"rate": []}, times=[0, 3])


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("value", [-(2**31) - 1, -1e39])
def test_values_beyond_32_bits(value):
    refuse((ValueError, OverflowError), "rate", lambda rate: Walk(rate=rate * 0), grid={"rate": [value]})


@pytest.mark.parametrize("name", ["first", "diverged_at"])
def test_an_axis_named_like_an_observable(name):
    refuse(ValueError, name, lambda **coords: Walk(rate=coords[name]), grid={name: [0.5]})
