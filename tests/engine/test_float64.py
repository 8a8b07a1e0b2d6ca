"""Runs made again in float64: stable ones drift by rounding, chaotic ones by their size; steps that draw are refused."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import pytest

import jaxscale as js
from jaxscale.records import record


class State(NamedTuple):
    x: jax.Array


@record
class Logistic:
    """x -> r x (1 - x): chaotic at r = 4, where float32's rounding doubles every step; a fixed point below 3."""

    r: float
    noise: float = 0.0

    def sample(self, key):
        return jax.random.uniform(key, minval=0.2, maxval=0.4)

    def init(self, key, data):
        del key
        return State(data)

    def step(self, key, state, data):
        del key, data
        return State(self.r * state.x * (1 - state.x))

    def observe(self, state, data):
        del data
        return {"x": state.x, "high": (state.x > 0.5).astype(jnp.float32)}


@record
class Jittered(Logistic):
    """The same with a random push."""

    def step(self, key, state, data):
        del data
        return State(self.r * state.x * (1 - state.x) + 1e-3 * jax.random.normal(key))


def stored(system, r, folder):
    js.sweep(lambda r: system(r=r), grid={"r": [r]}, seeds=24, times=[0, 60], store=folder, progress=False)
    return js.verify(folder, lambda r: system(r=r), cells=24, float64=True)


def test_rounding_is_told_from_chaos(tmp_path):
    calm, wild = stored(Logistic, 2.8, tmp_path / "calm"), stored(Logistic, 4.0, tmp_path / "wild")
    assert calm and calm.float64["x"].worst < 1e-6 and calm.float64["high"].changed == 0
    assert wild.float64["x"].typical > 1e-2 and wild.float64["high"].changed > 0.1
    assert "of the verdicts change" in str(wild) and jnp.ones(2).dtype == jnp.float32


def test_steps_that_draw_are_refused(tmp_path):
    with pytest.raises(ValueError, match="whose steps draw nothing"):
        stored(Jittered, 2.8, tmp_path / "drawn")
    with pytest.raises(ValueError, match="pass the experiment"):
        js.verify(tmp_path / "drawn", float64=True)
