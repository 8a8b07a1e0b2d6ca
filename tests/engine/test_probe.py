"""The width: measured on the real step, chosen on useful throughput, kept."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscale as js
from jaxscale.engine.ask.request import Request
from jaxscale.engine.place import probe, width
from jaxscale.engine.place.probe import pick
from jaxscale.engine.place.width import SHARED_WIDTH, choose_width, usual_width
from jaxscale.engine.run.executables import program_of


@js.record
class Decay:
    rate: float

    def sample(self, key):
        return jax.random.normal(key, (4, 4))

    def init(self, key, data):
        return jnp.ones(4)

    def step(self, key, state, data):
        return self.rate * (data @ state)

    def observe(self, state, data):
        return {"first": state[0]}


def decay(rate):
    return Decay(rate=rate)


COMMON = dict(grid={"rate": [0.1, 0.2]}, seeds=4, times=[0, 50], devices=jax.devices()[:1])


def test_measured_on_request_and_recorded(tmp_path, monkeypatch):
    monkeypatch.setattr(probe, "STEADY_SECONDS", 1e-4)
    monkeypatch.setattr(probe, "MAX_WIDTH", 32)
    first = js.sweep(decay, **COMMON, width="measure", store=tmp_path, progress=False)
    settings = json.loads((tmp_path / "manifest.json").read_text())["buckets"]["{}"]
    assert settings["probe"]["why"] == "measured" and len(settings["probe"]["rates"]) >= 2 and settings["lane_bytes"] == 80
    assert str(settings["width"]) in settings["probe"]["rates"]
    monkeypatch.setattr(width, "measure", None)  # a resume must not measure again
    again = js.sweep(decay, **(COMMON | {"seeds": 5}), width="measure", store=tmp_path, progress=False)
    assert again.attrs["width"] == first.attrs["width"] and again.isel(seed=slice(4)).equals(first)


def test_only_long_stored_runs_are_measured_unasked(monkeypatch):
    asked = []
    monkeypatch.setattr(width, "measure", lambda *a: asked.append(1) or {16: 1.0})
    monkeypatch.setattr(width, "WORTH_SECONDS", 60.0)
    short, long = (Request.make(decay, **(COMMON | {"times": [0, t]})) for t in (50, 10**9))
    assert choose_width(short, program_of(short, {}), stored=True).why.startswith("rule of thumb")
    assert choose_width(long, program_of(long, {}), stored=False).why == "rule of thumb"
    assert not asked
    assert choose_width(long, program_of(long, {}), stored=True).why == "measured" and asked


@pytest.mark.parametrize(
    "rates, at_once, can_stop, width",
    [
        ({16: 1.0, 32: 1.05, 64: 1.02}, 1000, False, 16),  # within the noise: the usual width stays
        ({16: 1.0, 32: 1.5, 64: 3.0}, 10**6, True, 64),
        ({16: 1.0, 256: 1.3}, 1000, True, 16),  # the last wide block would idle for longer than it saves
        ({16: 1.0, 256: 1.3}, 1000, False, 256),
    ],
)
def test_the_width_of_the_largest_useful_rate(rates, at_once, can_stop, width):
    assert pick(rates, 16, at_once, 1, can_stop) == width


def test_shared_disorder_makes_products_wide():
    own, shared = (Request.make(decay, **(COMMON | {"seeds": s})) for s in (4, {"data": 2, "init": 2}))
    assert usual_width(shared, program_of(shared, {})) == SHARED_WIDTH > usual_width(own, program_of(own, {}))


def test_a_probe_stops_where_memory_does(monkeypatch):
    def rate(request, program, width):
        if width > 16:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory")
        return float(width)

    monkeypatch.setattr(probe, "rate", rate)
    request = Request.make(decay, **COMMON)
    assert set(probe.measure(request, program_of(request, {}), 8)) == {4, 8, 16}


def test_planning_and_resuming_many_cells_stays_cheap(tmp_path):
    """Counts, not seconds: nothing on the host is done per pair of cells or per lane beyond arrays."""
    values = np.linspace(0.1, 0.2, 500)
    calls = []

    def counted(rate):
        calls.append(1)
        return decay(rate)

    js.sweep(counted, grid={"rate": values}, times=[0, 1], store=tmp_path, width=16, progress=False)
    calls.clear()
    again = js.sweep(counted, grid={"rate": values}, times=[0, 1], store=tmp_path, width=16, progress=False)
    assert again.attrs["runs_computed"] == 0 and len(calls) < 500 + 20


def test_a_pilot_tells_how_long_runs_are_that_stop(monkeypatch):
    """The last recorded step is an upper limit only: runs that stop at once are not worth a probe, whatever it is."""
    monkeypatch.setattr(width, "measure", None)  # must not be reached
    brief = js.Until(Decay(rate=0.1), when=lambda system, state, data: jnp.array(True))
    request = Request.make(lambda rate: js.Until(Decay(rate=rate), when=brief.when), **(COMMON | {"times": [0, 2 * 10**9]}))
    assert "are not worth a probe" in choose_width(request, program_of(request, {}), stored=True).why
    monkeypatch.setattr(probe, "PILOT_SECONDS", 0.0)
    assert probe.pilot(request, program_of(request, {}), 2) == np.inf
