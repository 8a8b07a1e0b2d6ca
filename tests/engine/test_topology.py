"""Hardware that is not there: lowering for every platform, and the chips' own compilers where they are installed."""

import importlib.util
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscale as js
from jaxscale.discovery import discover
from jaxscale.engine.ask.request import Request
from jaxscale.engine.forecast import chips
from jaxscale.engine.forecast.lowering import lowered
from jaxscale.engine.forecast.topology import narrow_products, plan_topology, reference
from jaxscale.engine.run.cost import step_cost
from jaxscale.engine.run.executable import Executable
from jaxscale.engine.run.executables import program_of

STUDIES = discover("jaxscale.studies", "STUDY")
SWEEPS = [(study, name) for study in STUDIES.values() for name in study.experiments]
FIRST = {name: next(iter(study.experiments)) for name, study in STUDIES.items()}  # a study's other sweeps are of its kind
BY_COST = [
    pytest.param(study, name, marks=() if study.quick else pytest.mark.slow)
    for study, name in SWEEPS
    if study.quick or name == FIRST[study.name]
]
no_tpu = pytest.mark.skipif(importlib.util.find_spec("libtpu") is None, reason="the TPU's compiler, libtpu, is not installed")
no_gpu = pytest.mark.skipif(
    importlib.util.find_spec("jax_cuda12_plugin") is None, reason="the GPU's compiler, jax_cuda12_plugin, is not installed"
)


def bucket(study, name, scale="accelerator"):
    """The request and the first program of one sweep of a study."""
    request = Request.make(study.experiments[name], **study.at(scale)[name], devices=jax.devices()[:1], checked=True)
    return request, program_of(request, request.grid.buckets()[0])


@pytest.mark.usefixtures("corpora")
@pytest.mark.parametrize("study, name", BY_COST, ids=lambda x: getattr(x, "name", x))
def test_every_study_lowers_for_every_platform(study, name):
    _, program = bucket(study, name)
    assert lowered(program) == {"cpu": "ok", "cuda": "ok", "tpu": "ok"}


@js.record
class Products:
    """A scan of ten products inside a step."""

    gain: float

    def sample(self, key):
        return jax.random.normal(key, (6, 6))

    def init(self, key, data):
        return jnp.ones(6)

    def step(self, key, state, data):
        return jax.lax.scan(lambda x, _: (self.gain * (data @ x), None), state, length=10)[0]

    def observe(self, state, data):
        return {"first": state[0]}


def products(gain):
    return Products(gain=gain)


def test_loop_bodies_count_as_often_as_they_run():
    request = Request.make(products, grid={"gain": [0.1]}, times=[0, 1], devices=jax.devices()[:1])
    cost = step_cost(program_of(request, {}))
    assert cost.product_flops["float32", "highest"] == 10 * 2 * 6 * 6
    assert cost.products == {("[6, 6] x [6]", "float32", "highest"): 10} and cost.open_loops == 0
    assert 720 <= cost.flops <= 720 + 200


@js.record
class Spectrum:
    """What a TPU cannot do: eigenvalues of a matrix that is not symmetric."""

    gain: float

    def sample(self, key):
        return jax.random.normal(key, (3, 3))

    def init(self, key, data):
        return jnp.zeros(())

    def step(self, key, state, data):
        return jnp.abs(jnp.linalg.eigvals(self.gain * data)).max()

    def observe(self, state, data):
        return {"largest": state}


def test_a_plan_says_where_a_program_cannot_go():
    arguments = dict(grid={"gain": [0.1]}, times=[0, 1], devices=jax.devices()[:1], width=2)
    text = str(js.plan(lambda gain: Spectrum(gain=gain), **arguments))
    assert "lowers for cpu" in text and "NOT for tpu: NotImplementedError" in text
    assert "lowers for cpu, cuda, tpu" in str(js.plan(products, **arguments))


@pytest.mark.parametrize(
    "text, found", [("v5e:16x16", ("v5e", (16, 16))), ("A100:8", ("A100", (8,))), ("v6e", ("v6e", (1, 1)))]
)
def test_names_of_topologies(text, found):
    assert chips.parse(text) == found


@pytest.mark.parametrize("text", ["v9:2x2", "v5e:0x2", "v5e:axb", "", "v5e:99999x99999"])
def test_bad_topologies(text):
    with pytest.raises(ValueError, match="topology"):
        chips.parse(text)


@pytest.mark.parametrize(
    "line, narrow",
    [
        ("%c = f32[4] convolution(%a, %b), operand_precision={highest,highest}", False),
        ("%c = f32[4] convolution(%low, %b)", True),
        ("%c = f32[4] dot(bf16[4,4] %x, %b)", True),
        ("ROOT %r = (bf16[4], s32[4]) reduce(%a, %low)", False),
    ],
)
def test_products_in_bfloat16_are_seen(line, narrow):
    assert narrow_products(f"%low = bf16[4] convert(%a)\n{line}\n") == narrow


def test_float32_products_cost_passes():
    chip = chips.CHIPS["v5e"]
    assert chip.rate("bfloat16", "highest") == chip.rate("float32", "default") == 6 * chip.rate("float32", "highest")


def test_an_experiment_that_cannot_be_imported():
    with pytest.raises(TypeError, match="top of an importable module"):
        reference(lambda gain: None)


def test_a_compiler_that_is_not_there(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match=r"libtpu: pip install 'jaxscale\[tpu\]'"):
        plan_topology(STUDIES["sgd_noise"].experiments["chain"], "v5e", times=[0, 1])


def test_a_compiler_that_dies_is_a_failed_check(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(sys, "executable", "/bin/false")
    dead = plan_topology(STUDIES["sgd_noise"].experiments["chain"], "v5e", grid={"points": [8]}, times=[0, 1])
    assert not dead.fits and "ended with 1" in str(dead) and "FAILED" in str(dead)
    assert len(dead.buckets) == 1  # one child a bucket, and not one after the other for ever
    several = dict(grid={"points": [8.0]}, static={"chi": (0, 1)}, times=[0, 1])
    assert len(plan_topology(STUDIES["sgd_noise"].experiments["scaling"], "v5e", **several).buckets) == 2


def test_bad_arguments_are_refused_before_any_child(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(sys, "executable", "/nowhere")
    experiment = STUDIES["sgd_noise"].experiments["chain"]
    with pytest.raises(TypeError, match="the experiment takes"):
        plan_topology(experiment, "v5e", grid={"point": [8.0]}, times=[0, 1])
    with pytest.raises(ValueError, match="not sizes="):
        plan_topology(experiment, "v5e", grid={}, sizes={"points": [8, 16]}, times=[0, 1])


@no_tpu
@pytest.mark.slow
@pytest.mark.parametrize("study, name", SWEEPS, ids=lambda x: getattr(x, "name", x))
def test_accelerator_scale_fits_one_v5e(study, name):
    arguments = dict(study.at("accelerator")[name])
    arguments["static"] = {axis: values[:1] for axis, values in arguments.get("static", {}).items()}  # the first bucket: time
    plan = plan_topology(study.experiments[name], "v5e:1x1", **arguments)
    assert plan.fits, plan
    (found,) = plan.buckets
    assert found["bytes_per_chip"] < chips.CHIPS["v5e"].memory and found["lanes_per_chip"] >= min(64, found["lanes"])
    assert not found["bfloat16"] and all(precision == "highest" for _, _, precision, _ in found["products"])


@no_tpu
@pytest.mark.slow
@pytest.mark.parametrize(
    "topology, told", [("v6e:4x4", "16 x v6e"), ("v5e:16x16", "256 x v5e"), ("v5p:2x2x1", "4 x v5p"), ("v5p", "1 x v5p")]
)
def test_a_pod_exchanges_nothing(topology, told):
    study = STUDIES["sgd_noise"]
    whole = plan_topology(study.experiments["chain"], topology, **study.at("accelerator")["chain"])
    assert whole.fits and whole.buckets[0]["collectives"] == {} and told in str(whole)


@no_gpu
@pytest.mark.slow
@pytest.mark.parametrize("topology", ["A100", "H100", "T4"])
def test_gpu(topology):
    study = STUDIES["overparameterised_sensing"]
    arguments = dict(study.at("accelerator")["sensing"])
    arguments["static"] = {axis: values[:1] for axis, values in arguments.get("static", {}).items()}
    plan = plan_topology(study.experiments["sensing"], topology, **arguments)
    assert plan.fits and plan.buckets[0]["bytes_per_chip"] > 0, plan


def test_one_device_holds_what_it_says():
    request, program = bucket(STUDIES["sgd_noise"], "chain", "smoke")
    executable = Executable(program, request.devices, 4, 2, 1)
    memory = executable.advance.memory_analysis()
    assert memory.argument_size_in_bytes >= 8 * (program.lane_bytes + 8)  # state, data and keys of 8 rows
    assert np.isfinite(executable.temporary_bytes)
