"""Sizes in one program: what is padded leaks nothing, and the choice between padding and compiling is kept."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscale as js
from jaxscale import Descent, sgd
from jaxscale.models.matrix_sensing import AsymmetricSensing, SymmetricSensing
from jaxscale.models.mlp import Mlp
from jaxscale.models.operators import Gaussian
from jaxscale.models.perceptron import Perceptron

ONE = jax.devices()[:1]
STEPS = 20


def trajectory(system, data, state, keys):
    """Observables after `STEPS` steps from a given start."""

    @jax.jit
    def run(data, state):
        state = jax.lax.scan(lambda state, key: (system.step(key, state, data), None), state, keys)[0]
        return state, system.observe(state, data)

    return run(data, state)


def begin(system):
    data = system.sample(jax.random.key(1))
    return data, system.init(jax.random.key(2), data), jax.random.split(jax.random.key(3), STEPS)


@pytest.mark.parametrize("batch", [None, 3])
def test_unused_rows_leak_nothing(batch):
    model = Perceptron(d=4, alpha=3.0, alpha_max=8.0)
    system = Descent(model, learning_rate=0.1) if batch is None else sgd(model, temperature=0.1, batch=batch)
    data, state, keys = begin(system)
    unused = np.asarray(data.weight) == 0
    assert unused.sum() == 20
    garbage = jax.random.normal(jax.random.key(9), data.inputs.shape) * 1e6
    poisoned = data._replace(inputs=jnp.where(unused[:, None], garbage, data.inputs))
    clean, dirty = (trajectory(system, d, state, keys) for d in (data, poisoned))
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(clean), jax.tree.leaves(dirty)))


def cut_factors(x, columns):
    return jax.tree.map(lambda leaf: leaf[:, :columns], x)


@pytest.mark.parametrize("kind", [SymmetricSensing, AsymmetricSensing])
def test_padded_rank_is_the_smaller_model(kind):
    sides = {"n": 6} if kind is SymmetricSensing else {"n1": 6, "n2": 5}
    common = dict(**sides, rank=2, alpha=0.3, operator=Gaussian(m=40))
    padded, plain = (Descent(kind(k=k, columns=c, **common), learning_rate=0.2) for k, c in ((7, 3), (3, None)))
    data, state, keys = begin(padded)
    end, seen = trajectory(padded, data, state, keys)
    assert all(np.all(np.asarray(leaf)[:, 3:] == 0) for leaf in jax.tree.leaves(end.params))  # zero columns stay zero
    small = trajectory(plain, data, state._replace(params=cut_factors(state.params, 3)), keys)[1]
    assert {name: float(v) for name, v in seen.items()} == pytest.approx(
        {name: float(v) for name, v in small.items()}, rel=1e-4
    )


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("mean_field", [False, True])
def test_padded_width_is_the_smaller_model(depth, mean_field):
    common = dict(p=16, test=8, alpha=1.0, depth=depth, mean_field=mean_field)
    padded, plain = (Descent(Mlp(width=w, hidden=h, **common), learning_rate=0.1) for w, h in ((9, 5), (5, None)))
    data, state, keys = begin(padded)
    end, seen = trajectory(padded, data, state, keys)

    def cut(tree):
        """The weights of the units in use."""
        kernels = [tree[f"Dense_{i}"]["kernel"] for i in range(depth + 1)]
        kernels = [k[:, :5] if i < depth else k for i, k in enumerate(kernels)]
        return {f"Dense_{i}": {"kernel": k[:5] if i else k} for i, k in enumerate(kernels)}

    moved = jax.tree.map(lambda a, b: a.size - b.size, end.params, cut(end.params))
    assert sum(jax.tree.leaves(moved)) > 0
    filled, used = (sum(int(jnp.count_nonzero(leaf)) for leaf in jax.tree.leaves(t)) for t in (end.params, cut(end.params)))
    assert filled == used > 0  # what is padded never moves
    small = trajectory(plain, data._replace(origin=cut(data.origin)), state._replace(params=cut(state.params)), keys)[1]
    assert {name: float(v) for name, v in seen.items()} == pytest.approx(
        {name: float(v) for name, v in small.items()}, rel=1e-4
    )


def sensing(columns, rate=0.2, *, columns_max):
    return Descent(SymmetricSensing(n=4, rank=1, k=columns_max, columns=columns, alpha=0.3), learning_rate=rate)


COMMON = dict(sizes={"columns": [2, 4]}, seeds=3, times=[0, 2, 20], width=2, devices=ONE, progress=False)


def test_either_way_has_the_same_labels():
    padded, buckets = (js.sweep(sensing, **COMMON, sizes_as=way) for way in ("padded", "buckets"))
    assert padded.sizes == buckets.sizes and padded["columns"].values.tolist() == buckets["columns"].values.tolist() == [2, 4]
    assert padded.attrs["compiles"] <= 2 < buckets.attrs["compiles"] == 4
    # the largest size is padded by nothing: the same numbers, up to another program's rounding
    np.testing.assert_allclose(padded.error.sel(columns=4), buckets.error.sel(columns=4), rtol=1e-3, atol=1e-6)


def test_beside_other_axes():
    runs = js.sweep(sensing, **COMMON, grid={"rate": [0.1, 0.2]}, sizes_as="padded")
    assert dict(runs.sizes) == {"columns": 2, "rate": 2, "seed": 3, "time": 3}


@pytest.mark.parametrize("seeds, steps, way", [(1, 10, "padded"), (100_000, 10**6, "buckets")])
def test_the_cheaper_way(seeds, steps, way):
    from jaxscale.engine.ask.options import complete
    from jaxscale.engine.place.sizes import settle_sizes

    options = complete(dict(seeds=seeds, times=[0, steps], sizes={"columns": [2, 64]}, devices=ONE))
    settled = settle_sizes(sensing, options)[1]
    assert ("columns" in (settled["grid"] or {})) == (way == "padded") and "sizes" not in settled


def test_a_resume_keeps_the_way(tmp_path):
    first = js.sweep(sensing, **COMMON, sizes_as="buckets", store=tmp_path)
    again = js.sweep(sensing, **COMMON, store=tmp_path)
    assert again.equals(first) and again.attrs["runs_computed"] == 0


def test_planned_like_run():
    plan = js.plan(sensing, **COMMON, sizes_as="padded")
    assert plan.compiles == 2 and plan.lanes == 6


@pytest.mark.parametrize(
    "changes, match",
    [
        ({"sizes": {"columns": [0, 2]}}, "positive whole numbers"),
        ({"sizes": {"columns": [1.5]}}, "positive whole numbers"),
        ({"sizes": {"rate": [1, 2]}}, "rate_max"),
        ({"sizes_as": "both"}, "sizes_as must be one of"),
    ],
)
def test_bad_sizes(changes, match):
    with pytest.raises((ValueError, TypeError), match=match):
        js.sweep(sensing, **(COMMON | changes))
