"""Moments over seeds are the moments of the stored seeds, wherever the runs were made, and take the storage of their cells."""

import functools
import shutil

import hypothesis
import hypothesis.strategies as st
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscale as js
from jaxscale.engine.errors import StoreError
from jaxscale.engine.keep.sums import QUANTILES, merge
from jaxscale.engine.run.executable import Executable


def uniform(key):
    """One number in [0, 1] of a key: its own bits, which compile in no time."""
    return jax.random.key_data(key)[0].astype(jnp.float32) / 2.0**32


@js.record
class Fates:
    """A chaotic map. Some runs diverge and some stop, at steps 0 to 39, as the disorder says; at rate < 3.6 none goes on."""

    rate: jax.Array
    few: bool = js.static(default=True)

    def sample(self, key):
        return uniform(key)

    def init(self, key, data):
        return self._broken(uniform(key), jnp.array(0, jnp.int32), data), jnp.array(0, jnp.int32)

    def step(self, key, state, data):
        x, t = state
        over = self.stopped(state, data)
        new = self._broken(self.rate * x * (1.0 - x), t + 1, data)
        return jnp.where(over, x, new), jnp.where(over, t, t + 1)

    def stopped(self, state, data):
        least = jnp.where(self.rate < 3.6, 0.3, 0.7)
        return (data >= least) & (state[1] >= (40 * (data - least) / (1 - least)).astype(jnp.int32))

    def observe(self, state, data):
        x = state[0]
        seen = {"x": x, "over": self.stopped(state, data)}
        return seen if self.few else {
            **seen,
            "offset": 1e6 + 8 * x,
            "huge": 1e30 * (x - 0.5),
            "tiny": 1e-30 * x,
            "whole": (1000 * x).astype(jnp.int32) - 500,
            "wild": jnp.where(x > 0.8, jnp.inf, x),
        }  # fmt: skip

    def _broken(self, x, t, data):
        return jnp.where((data < 0.3) & (t == (40 * data / 0.3).astype(jnp.int32)), jnp.nan, x)


def few(rate):
    return Fates(rate=rate)


def many(rate):
    return Fates(rate=rate, few=False)


RATES = [3.7, 3.9]
TIMES = np.array([0, 1, 3, 12, 40])
ONE = jax.devices()[:1]
COMMON = dict(grid={"rate": RATES}, seeds=40, times=TIMES, width=8, devices=ONE, progress=False)
NARROW = {"memory": 1, "reduce": "quantiles"}  # one block in flight: pieces of eight runs, five a cell


def run(experiment=few, **changes):
    return js.sweep(experiment, **(COMMON | changes))


def moments(values):
    """By numpy in float64, about the first value, so that equal values have no spread at all."""
    values = np.asarray(values, np.float64)
    mean = values[0] + np.mean(values - values[0])
    d = values - mean
    with np.errstate(invalid="ignore", divide="ignore"):
        v, square, fourth = np.mean(d**2), np.mean(values**2), np.mean(values**4)
        shape = np.mean(d**3) / v**1.5, np.mean(d**4) / v**2
        return np.array([mean, np.sqrt(v), *shape, 1 - fourth / (3 * square**2), values.min(), values.max()])


def sound(rows):
    """(rate, seed, time) bool, not diverged by then."""
    at = rows.diverged_at.values[..., None]
    return (at < 0) | (at > rows.time.values)


def assert_moments(found, rows, names=("x", "over")):
    """`found` has the moments of the stored runs `rows`, and their counts."""
    alive = sound(rows)
    for name in names:
        assert found[name].dims == ("rate", "time", "statistic")
        for cell, t in np.ndindex(found[name].shape[:2]):
            label = f"{name} of cell {cell} at time {t}"
            values, got = rows[name].values[cell, alive[cell, :, t], t], found[name].values[cell, t]
            if not len(values):
                assert np.all(np.isnan(got)), label
                continue
            want = moments(values)
            np.testing.assert_allclose(got[:2], want[:2], rtol=1e-12, atol=1e-5 * (want[6] - want[5]), err_msg=label)
            np.testing.assert_allclose(got[2:5], want[2:5], rtol=1e-4, atol=1e-4, err_msg=label)
            np.testing.assert_array_equal(got[5:], want[5:], err_msg=label)
    assert np.array_equal(found.runs, np.full(found.runs.shape, rows.sizes["seed"]))
    assert np.array_equal(found.diverged, (~alive).sum(1))
    assert np.array_equal(found.censored, (alive & ~rows["over"].values).sum(1))


def pieces(store):
    return sorted((store / "pieces").glob("*.done"))


@pytest.fixture(scope="module")
def rows():
    """Every run."""
    return run(memory=1)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with the moments in ten pieces, and the result, with quantiles."""
    folder = tmp_path_factory.mktemp("finished") / "store"
    return folder, run(**NARROW, store=folder)


@pytest.fixture
def store(finished, tmp_path):
    """A copy that may be spoilt."""
    return shutil.copytree(finished[0], tmp_path / "store")


@pytest.fixture
def nothing_compiles(monkeypatch):
    def compiled(self, *_, **__):
        raise AssertionError("something was compiled")

    monkeypatch.setattr(Executable, "compile_program", compiled)


def test_the_runs_stop_and_diverge_and_go_on(rows):
    gone, over = rows.diverged_at >= 0, rows["over"].isel(time=-1)
    for some in (gone, over & ~gone, ~gone & ~over):
        assert np.all(some.sum("seed") >= 5)  # else there is nothing to leave out, to hold, or to follow
    assert len(np.unique(rows.diverged_at)) > 10


def test_values_of_every_size_and_type():
    rows, found = run(many), run(many, reduce=True)
    assert_moments(found, rows, ("x", "over", "offset", "huge", "tiny", "whole"))
    assert found.statistic.values.tolist() == ["mean", "std", "skewness", "kurtosis", "binder", "min", "max"]
    assert all(found[name].dims == ("rate", "time") for name in ("runs", "diverged", "censored"))
    assert np.array_equal(found.time, TIMES) and np.array_equal(found.rate, np.float32(RATES))
    assert "x_quantile" not in found and "seed" not in found.dims and "diverged_at" not in found
    wild = np.isinf(rows.wild.values) & sound(rows)  # a state may be finite where an observable is not
    assert wild.any() and not wild.all()
    for cell, t in zip(*np.nonzero(wild.any(1))):
        got = found.wild.isel(rate=cell, time=t)
        assert not np.isfinite(got.sel(statistic="mean")) and np.isinf(got.sel(statistic="max"))


def test_one_block_at_a_time(rows, finished):
    folder, found = finished
    assert len(pieces(folder)) == 10 and found.attrs["runs_computed"] == 80
    assert_moments(found, rows)


def test_without_reclaiming(rows):
    assert_moments(run(**NARROW, reclaim=False), rows)


def test_devices(rows, finished, devices):
    found = run(**NARROW, devices=devices)
    assert_moments(found, rows)
    np.testing.assert_allclose(found.x_quantile, finished[1].x_quantile, rtol=1e-12)
    rare = dict(grid={"rate": RATES[:1]}, seeds=2)  # two of the devices have no run at all
    assert_moments(run(**NARROW, **rare, devices=devices), run(**rare, memory=1))


def test_order_of_cells(rows):
    turned = run(**NARROW, grid={"rate": RATES[::-1]})
    assert_moments(turned.isel(rate=[1, 0]), rows)


def test_all_runs_end_before_the_first_record():
    late = dict(grid={"rate": [3.5]}, times=[50, 60], memory=1)
    rows = run(**late)
    assert np.all(rows["over"].isel(time=0) | (rows.diverged_at >= 0))
    found = run(**late, reduce="quantiles")
    assert_moments(found, rows)
    assert np.all(found.censored == 0)
    assert np.array_equal(found.x_quantile.isel(time=0), found.x_quantile.isel(time=1))


def test_load(finished):
    folder, found = finished
    assert js.load(folder).equals(found)
    again = run(**NARROW, store=folder)
    assert again.attrs["runs_computed"] == 0 and again.equals(found)


@pytest.mark.parametrize("lost", [[0], [3, 4], range(10)], ids=str)
def test_resumed(rows, finished, store, lost):
    marks = pieces(store)
    for i in lost:
        marks[i].unlink()
    part = js.load(store)
    assert np.all(part.runs.sum("rate") == 80 - 8 * len(lost))
    again = run(**NARROW, store=store)
    assert again.attrs["runs_computed"] == 8 * len(lost)
    assert_moments(again, rows)
    np.testing.assert_allclose(again.x_quantile, finished[1].x_quantile, rtol=1e-12)


def test_an_unfinished_store_has_the_moments_of_its_runs(rows, tmp_path):
    def interrupt(event):
        if event.name == "piece" and len(pieces(tmp_path)) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(**NARROW, store=tmp_path, listeners=[interrupt])
    part = js.load(tmp_path)
    assert_moments(part.isel(rate=[0]), rows.isel(rate=[0], seed=slice(24)))  # the first cell, three pieces of eight
    assert np.all(part.runs.isel(rate=1) == 0) and part.x.isel(rate=1).isnull().all()
    again = run(**NARROW, store=tmp_path)
    assert again.attrs["runs_computed"] == 80 - 24
    assert_moments(again, rows)


def test_topped_up(rows, finished, tmp_path):
    first = run(**NARROW, store=tmp_path, seeds=13)
    assert first.attrs["runs_computed"] == 26
    assert_moments(first, rows.isel(seed=slice(13)))
    more = run(**NARROW, store=tmp_path)
    assert more.attrs["runs_computed"] == 2 * (40 - 13)
    assert_moments(more, rows)
    np.testing.assert_allclose(more.x_quantile, finished[1].x_quantile, rtol=1e-12)


def test_more_cells_and_more_seeds(rows, tmp_path):
    run(**NARROW, store=tmp_path, grid={"rate": RATES[1:]}, seeds=21)
    more = run(**NARROW, store=tmp_path)
    assert more.attrs["runs_computed"] == 80 - 21
    assert_moments(more, rows)


def test_parts(rows, tmp_path):
    computed = [run(**NARROW, store=tmp_path, part=(part, 3)) for part in (2, 0, 1)]
    assert all(20 <= found.attrs["runs_computed"] <= 30 for found in computed)
    assert_moments(computed[-1], rows)


def test_fewer_seeds_than_stored(finished, store):
    for refused in ({"seeds": 39}, {"seeds": 1}, {"seeds": 39, "grid": {"rate": RATES[1:]}}):
        with pytest.raises(StoreError, match=f"holds moments of .*cannot be taken apart; got seeds={refused['seeds']}"):
            run(**NARROW, store=store, **refused)
    assert run(**NARROW, store=store).equals(finished[1])


def test_the_refusal_names_the_store_and_all_its_seeds(store):
    with pytest.raises(StoreError) as refused:
        run(**NARROW, store=store, seeds=3)
    assert str(store) in str(refused.value)
    assert "at least 40" in str(refused.value)


@pytest.mark.parametrize("other", [False, True])
def test_a_store_has_one_reduction(store, other):
    with pytest.raises(StoreError, match="its 'reduce' is \"quantiles\""):
        run(store=store, reduce=other)


def test_runs_are_never_counted_twice(rows, finished, tmp_path):
    # workers may cut the same runs differently, e.g. when one of them has less memory
    run(**NARROW, store=tmp_path, seeds=13)
    run(**NARROW, store=tmp_path)
    for file in (finished[0] / "pieces").iterdir():
        shutil.copy(file, tmp_path / "pieces")
    try:
        found = run(**NARROW, store=tmp_path)
    except StoreError:
        return
    assert_moments(found, rows)


def test_crossed_seeds_are_refused(nothing_compiles):
    with pytest.raises(ValueError, match="reduce= takes moments over one seed axis"):
        run(reduce=True, seeds={"data": 2, "init": 3})


@pytest.mark.parametrize("reduce", ["mean", 2, None])
def test_unknown_reduction(reduce, nothing_compiles):
    with pytest.raises(ValueError, match=r"reduce must be one of \[False, True, 'median', 'quantiles'\]; got"):
        run(reduce=reduce)


@js.record
class Still:
    """A number in (0, 1) for good."""

    sign: int = js.static(default=1)

    def sample(self, key):
        return ()

    def init(self, key, data):
        return (jax.random.key_data(key)[1].astype(jnp.float32) + 0.5) / 2.0**32

    def step(self, key, state, data):
        return state

    def observe(self, state, data):
        return {"value": self.sign * state}


@pytest.mark.parametrize("axis", ["statistic", "quantile", "runs", "diverged", "censored"])
def test_axis_with_the_name_of_a_result(axis, nothing_compiles):
    with pytest.raises(ValueError, match=f"'{axis}'"):
        js.sweep(lambda **axes: Still(), grid={axis: [1, 2]}, times=[0], reduce="quantiles", progress=False)


@pytest.mark.parametrize("name", ["runs", "diverged", "censored", "statistic"])
def test_observable_with_the_name_of_a_result(name, nothing_compiles):
    class Clash(Still):
        def observe(self, state, data):
            return {name: state}

    jax.tree_util.register_pytree_node(Clash, lambda s: ((), None), lambda *_: Clash())
    with pytest.raises(ValueError, match=f"'{name}'"):
        js.sweep(Clash, times=[0], reduce=True, progress=False)


def test_storage_does_not_grow_with_the_runs(tmp_path):
    size = {}
    for seeds in (100, 2000):
        found = js.sweep(
            lambda sign: Still(sign=sign), static={"sign": [-1]}, seeds=seeds, times=[0, 1], width=2048, devices=ONE,
            reduce="quantiles", store=tmp_path / str(seeds), progress=False,
        )  # fmt: skip
        assert found.value.dims == ("sign", "time", "statistic") and found.value_quantile.dims == ("sign", "time", "quantile")
        assert found.runs.dims == ("sign", "time") and np.all(found.runs == seeds)
        assert np.all(found.value.sel(statistic="max") < 0) and len(pieces(tmp_path / str(seeds))) == 1
        size[seeds] = sum(file.stat().st_size for file in (tmp_path / str(seeds)).rglob("*.*"))
    assert size[2000] < size[100] + 20  # digits of the number of seeds in the manifest


LAWS = {
    "about_zero": lambda u: u - 0.5,
    "negative": lambda u: -1e-5 * (1 + u),
    "heavy": lambda u: u**-2.0,
    "few": lambda u: jnp.where(u > 0.99, 1.124, 1.0),
    "lognormal": lambda u: jnp.exp(2 * jax.scipy.special.ndtri(u)),
    "hardly_normal": lambda u: jnp.where(u < 0.5, 0.0, 2e-38),
}


@js.record
class Laws(Still):
    """Many functions of it."""

    def observe(self, state, data):
        return {name: law(state) for name, law in LAWS.items()}


@pytest.fixture(scope="module")
def laws():
    """Many runs of one cell in one cohort, and their reduction."""
    asked = dict(seeds=50_000, times=[1], width=512, devices=ONE, progress=False)
    return js.sweep(Laws, **asked).isel(time=0), js.sweep(Laws, **asked, reduce="quantiles").isel(time=0)


@pytest.mark.parametrize("law", [law for law in LAWS if law != "hardly_normal"])  # which is not between 2^-24 and 2^24
def test_quantiles(laws, law):
    rows, got = laws[0][law].values, laws[1][f"{law}_quantile"].values
    assert laws[1]["quantile"].values.tolist() == list(QUANTILES)
    low, high = (np.quantile(rows, np.array(QUANTILES) + d, method="inverted_cdf") for d in (-1e-3, 1e-3))
    assert np.all(np.diff(got) >= 0) and rows.min() <= got[0] and got[-1] <= rows.max()
    assert np.all(got >= low - 0.06 * abs(low)) and np.all(got <= high + 0.06 * abs(high))


@pytest.mark.parametrize("law", LAWS)
def test_many_runs_at_once(laws, law):
    # what a sum of float32 loses grows with the number of runs, and with the distance of the few largest from the rest
    got, want = laws[1][law].values, moments(laws[0][law].values)
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3 * want[1])


@js.record
class Coin(Still):
    """As far from its mean as it ever gets, always."""

    def observe(self, state, data):
        return {"value": state > 0.5}


@pytest.mark.slow
def test_millions_of_runs_at_once():
    asked = dict(seeds=3_000_000, times=[1], width=4096, devices=ONE, progress=False)
    want = moments(js.sweep(Coin, **asked).value.values.ravel())
    got = js.sweep(Coin, **asked, reduce=True).value.values.ravel()
    np.testing.assert_allclose(got, want, rtol=1e-3, atol=1e-3)


def sums(values):
    """Count, mean and the sums of powers of deviations from it, smallest, largest; what `merge` merges."""
    if not len(values):
        return np.array([0, 0, 0, 0, 0, np.inf, -np.inf])
    d = values - values.mean()
    return np.array([len(values), values.mean(), *((d**k).sum() for k in (2, 3, 4)), values.min(), values.max()])


PARTS = st.lists(st.lists(st.floats(-1, 1, width=32), max_size=12), min_size=1, max_size=6)


@hypothesis.given(PARTS, st.sampled_from([0.0, 1.0, 1e6, -1e3]), st.sampled_from([1e-30, 1.0, 1e30]))
@hypothesis.settings(max_examples=100, deadline=None, database=None)
def test_merge(parts, offset, scale):
    parts = [scale * (offset + np.array(part, np.float64)) for part in parts]
    whole = np.concatenate(parts)
    got, want = functools.reduce(merge, map(sums, parts)), sums(whole)
    assert got[0] == want[0] and np.array_equal(got[5:], want[5:])
    if len(whole):
        slack = 1e-13 * len(whole) * scale * (1 + abs(offset))
        for k, i in zip((1, 2, 3, 4), (1, 2, 3, 4)):
            reach = scale * 2 + slack
            assert abs(got[i] - want[i]) <= 40 * len(whole) * slack * reach ** (k - 1)


@hypothesis.given(PARTS)
@hypothesis.settings(max_examples=50, deadline=None, database=None)
def test_merge_in_any_order(parts):
    rows = [sums(np.array(part, np.float64)) for part in parts]
    forth, back = functools.reduce(merge, rows), functools.reduce(merge, rows[::-1])
    np.testing.assert_allclose(forth, back, rtol=1e-9, atol=1e-12)


def test_merge_is_by_row():
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(3, 4, 10)), 5 + rng.normal(size=(3, 4, 7))
    each = [np.apply_along_axis(sums, -1, x) for x in (a, b, np.concatenate([a, b], -1))]
    np.testing.assert_allclose(merge(each[0], each[1]), each[2], rtol=1e-10, atol=1e-10)
