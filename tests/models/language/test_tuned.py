"""Adapters of a frozen network: what they begin with, what moves, what does not."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.models.language import model as language_model
from jaxscale.models.language import tuned
from jaxscale.models.language.prompt import Prompted
from jaxscale.models.language.recurrent import ReluRnn
from jaxscale.models.language.tensor_roles import by_path
from jaxscale.models.language.tuned import Tuned
from jaxscale.records import check
from jaxscale.simulation import simulate

MODEL = language_model.TINY()

KEY = jax.random.key(0)
METHODS = {
    "LoRA": tuned.Lora(rank=2, alpha=4.0), "EVA": tuned.Eva(rank=2), "LoRA-SB": tuned.LoraSb(rank=2, rate=0.05),
    "Bone": tuned.Bone(rank=2), "BAT": tuned.Bat(rank=2),
}  # fmt: skip
KERNELS = {f"layer0_{name}/kernel": (8, 8) for name in ("mixer/q", "mixer/k", "mixer/v", "mixer/out")}
KERNELS |= {"layer0_up/kernel": (8, 16), "layer0_down/kernel": (16, 8)}
NUMBERS = {  # trained, by hand, of an (i, o) kernel at rank 2
    "LoRA": lambda i, o: 2 * (i + o), "EVA": lambda i, o: 2 * (i + o), "LoRA-SB": lambda i, o: 4, "Bone": lambda i, o: 2 * o,
    "BAT": lambda i, o: 2 * o,
}  # fmt: skip


@functools.cache
def begun(method, **options):
    model = Tuned(model=MODEL, method=method, **options)
    data = jax.jit(model.sample)(KEY)
    return model, data, model.init(KEY, data)


@pytest.mark.parametrize("name", METHODS)
def test_what_is_trained_and_where_it_begins(name):
    model, data, params = begun(METHODS[name])
    assert set(params) == set(KERNELS)
    for path, sides in KERNELS.items():
        assert sum(leaf.size for leaf in params[path].values()) == NUMBERS[name](*sides)
    found = jax.jit(model.observe)(params, data)["loss"]
    plain = jax.jit(MODEL.observe)(data.trunk, data.own)["loss"]
    assert found < plain if name == "LoRA-SB" else found == plain  # LoRA-SB has taken the first step already


@pytest.mark.parametrize("name", [n if n in ("LoRA", "LoRA-SB") else pytest.param(n, marks=pytest.mark.slow) for n in METHODS])
def test_the_loss_falls(name):
    """Under weight decay, which reaches nothing but what is trained."""
    many = dataclasses.replace(MODEL, evaluation=256)  # four sequences would not tell .2 nats
    system = Descent(model=Tuned(model=many, method=METHODS[name]), learning_rate=0.01, rule=AdamW(decay=0.1))
    found = jax.jit(lambda: simulate(system, KEY, np.array([0, 150])))()
    assert float(found["loss"][1]) < float(found["loss"][0]) - 0.2


@pytest.mark.parametrize("name", METHODS)
def test_what_is_not_adapted_stays(name):
    """Once what is trained has moved, all adapted kernels differ from the trunk's, and nothing else does."""
    model, data, params = begun(METHODS[name])
    merged = model.merged(jax.tree.map(lambda leaf: leaf + 0.01, params), data)
    for path, leaf in by_path(merged).items():
        assert np.array_equal(leaf, by_path(data.trunk)[path]) == (path not in KERNELS)


def test_eva_looks_at_what_each_layer_reads():
    _, data, params = begun(tuned.Eva(rank=3))
    own = jax.random.split(jax.random.split(KEY, 4)[3], 1)[0]
    _, sites = jax.jit(lambda data: MODEL.apply(data.trunk, MODEL.examples(data.own, own).tokens))(data)
    x = np.asarray(sites["embed"], np.float64)
    x = (
        (x - x.mean(-1, keepdims=True))
        / np.sqrt(x.var(-1, keepdims=True) + 1e-6)
        * np.asarray(data.trunk["layer0_norm1"]["scale"])
    )
    x = np.asarray(x).reshape(-1, 8)
    _, s, vt = np.linalg.svd(x - x.mean(0), full_matrices=False)
    a = np.asarray(params["layer0_mixer/q/kernel"]["a"])
    np.testing.assert_allclose(a @ a.T, vt[:3].T @ vt[:3], atol=1e-3 * s[0] / (s[2] - s[3]))
    np.testing.assert_array_equal(a, params["layer0_mixer/v/kernel"]["a"])  # layers that read the same share the directions


def test_eva_gives_ranks_to_the_layers_that_use_them():
    model, data, params = begun(tuned.Eva(rank=3, most=2.0, draws=3), where=("out", "layer0_up"))
    kept = {path: np.any(leaf["a"] != 0, axis=0) for path, leaf in params.items()}
    ranks = [int(one.sum()) for one in kept.values()]
    assert sum(ranks) == 3 * 2 and len(set(ranks)) > 1 and max(ranks) <= 6
    grads = jax.jit(jax.grad(model.loss))(params, data, KEY)
    for path, leaf in grads.items():  # what is not kept never moves: a and b are both zero there
        assert np.all(leaf["a"] == 0) and np.array_equal(np.any(leaf["b"] != 0, axis=1), kept[path])
    with pytest.raises(ValueError, match="draws >= 1 and most >= 1; got 0 and 1.0"):
        check(Tuned(model=MODEL, method=tuned.Eva(draws=0)))


def test_a_core_moves_by_the_projected_gradient():
    """One step of plain descent on LoRA-SB's core, put back: the full gradient projected onto its two subspaces."""
    model, data, params = begun(tuned.LoraSb(rank=2, rate=1e-4))
    moved = jax.jit(jax.grad(model.loss))(params, data, KEY)
    full = by_path(jax.jit(jax.grad(MODEL.loss))(model.merged(params, data), data.own, KEY))
    for path in KERNELS:
        start = data.start[path]
        np.testing.assert_allclose(moved[path]["core"], start.a.T @ full[path] @ start.b.T, rtol=1e-3, atol=1e-6)


def test_adapters_go_where_they_are_sent():
    _, _, params = begun(tuned.Lora(rank=2), where=("q", "v"))
    assert set(params) == {"layer0_mixer/q/kernel", "layer0_mixer/v/kernel"}
    with pytest.raises(ValueError, match="'query' names no hidden matrix; choose from parts of"):
        begun(tuned.Lora(), where=("q", "query"))
    with pytest.raises(ValueError, match="draws must be at least 1"):
        check(Tuned(model=MODEL, method=tuned.LoraSb(draws=0)))
    one = dataclasses.replace(MODEL, batch=1)
    with pytest.raises(ValueError, match="EVA needs as many places in its sequences as ranks, 6; got 5. Raise batch"):
        jax.eval_shape(Tuned(model=one, method=tuned.Eva(rank=6)).sample, KEY)
    with pytest.raises(TypeError, match="must be a record with trains and begin"):
        Tuned(model=MODEL, method=4).check()
    recurrent = dataclasses.replace(MODEL, network=MODEL.network.clone(mixer=ReluRnn()))
    with pytest.raises(ValueError, match="'layer0_mixer/recurrent' is none"):
        jax.eval_shape(Tuned(model=recurrent, method=tuned.Eva(rank=2)).sample, KEY)
    with pytest.raises(ValueError, match="1 <= rank <= 8"):
        jax.eval_shape(Tuned(model=MODEL, method=tuned.Lora(rank=9)).sample, KEY)


def test_a_trained_trunk_is_taken():
    trunk = jax.tree.map(lambda leaf: leaf + 1.0, jax.jit(MODEL.init)(KEY, jax.jit(MODEL.sample)(KEY)))
    data = jax.jit(Tuned(model=MODEL, trunk=trunk, method=tuned.Bone(rank=2)).sample)(KEY)
    assert jax.tree.all(jax.tree.map(lambda a, b: bool(jnp.all(a == b)), data.trunk, trunk))


def test_another_networks_trunk_is_refused():
    wide = dataclasses.replace(MODEL, network=MODEL.network.clone(width=16))
    trunk = jax.eval_shape(lambda key: wide.init(key, wide.sample(key)), KEY)
    for model in (Tuned(model=MODEL, trunk=trunk), Prompted(model=MODEL, trunk=trunk)):
        with pytest.raises(ValueError, match=r"trunk must be parameters of this Decoder; .* They differ in \['embed'"):
            jax.eval_shape(model.sample, KEY)
