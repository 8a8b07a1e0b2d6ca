"""reduce="median" is numpy's median of every run, with an interval whose coverage is known exactly and for any distribution."""

import math

import ends
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from assertions import assert_mean

import jaxscale as js
from jaxscale.engine.keep.reductions.median import median_interval, ranks
from jaxscale.engine.store.disk import DiskStore


def tail(n, k):
    """P(Binomial(n, 1/2) < k), in whole numbers."""
    return sum(math.comb(n, i) for i in range(k)) / 2**n


def widest(n):
    """The largest k whose interval holds the median with 95 %; 0 where there is none."""
    return max((k for k in range(1, n // 2 + 1) if 2 * tail(n, k) <= 0.05), default=0)


def test_ranks_are_those_of_the_binomial_distribution():
    assert ranks(200).tolist() == [widest(n) for n in range(201)]
    assert ranks(6).tolist() == [0] * 6 + [1] and ranks(0).tolist() == [0] and ranks(1).tolist() == [0, 0]


def by_hand(values):
    """Median and interval of one cell's values."""
    values, k = np.sort(values), widest(len(values))
    middle = np.median(values) if len(values) else np.nan
    return [middle, values[k - 1], values[-k]] if k else [middle, np.nan, np.nan]


@pytest.mark.parametrize("count", [0, 1, 2, 5, 6, 7, 16, 17, 40])
def test_an_interval_lies_between_two_order_statistics(count):
    """Of `count` sound values among others, in any order, infinite ones included."""
    rng = np.random.default_rng(count)
    values = rng.normal(size=(3, 45, 2))
    values[:, :2] = np.inf
    sound = np.zeros(values.shape, bool)
    for cell, t in np.ndindex(3, 2):
        sound[cell, rng.permutation(45)[:count], t] = True
    found = median_interval(values, sound)
    assert found.shape == (3, 2, 3)
    for cell, t in np.ndindex(3, 2):
        np.testing.assert_array_equal(found[cell, t], by_hand(values[cell, sound[cell, :, t], t]))


def test_a_value_that_is_no_number_makes_the_median_none():
    values = np.arange(20.0).reshape(1, 10, 2)
    values[0, 3, 1] = np.nan
    found = median_interval(values, np.ones(values.shape, bool))
    assert np.isfinite(found[0, 0]).all() and np.isnan(found[0, 1]).all()
    sound = ~np.isnan(values)  # where it is left out the others have theirs
    np.testing.assert_array_equal(median_interval(values, sound)[0, 1], by_hand(np.delete(values[0, :, 1], 3)))


def assert_medians(found, rows):
    at, times = rows.diverged_at.values[..., None], rows.time.values
    alive = (at < 0) | (at > times)
    for name in ("x", "steps", "over"):
        assert found[name].dims == ("rate", "time", "statistic")
        for cell, t in np.ndindex(found[name].shape[:2]):
            values = rows[name].values[cell, alive[cell, :, t], t].astype(float)
            np.testing.assert_array_equal(found[name].values[cell, t], by_hand(values), f"{name}, cell {cell}, time {t}")
    assert found.statistic.values.tolist() == ["median", "low", "high"]
    assert np.all(found.runs == rows.sizes["seed"]) and np.array_equal(found.diverged, (~alive).sum(1))
    assert [found.attrs[name] for name in ("requested", "done", "failed", "pending")] == [
        rows.attrs[name] for name in ("requested", "done", "failed", "pending")
    ]


def test_medians_are_those_of_every_run(tmp_path):
    every = {"times": np.arange(ends.LAST + 1)}  # runs diverge at recorded steps, where they are gone already
    rows, found = ends.run(seeds=23, **every), ends.run(seeds=23, **every, reduce="median", store=tmp_path)
    assert rows.attrs["failed"] > 8 and "seed" not in found.dims and "diverged_at" not in found
    assert_medians(found, rows)
    assert js.load(tmp_path).equals(found)
    again = ends.run(seeds=23, **every, reduce="median", store=tmp_path)
    assert again.attrs["runs_computed"] == 0 and again.equals(found)
    more = ends.run(seeds=31, **every, reduce="median", store=tmp_path)  # every run is stored, so the median can be topped up
    assert more.attrs["runs_computed"] == 2 * 8
    assert_medians(more, ends.run(seeds=31, **every))


def test_a_store_that_lacks_some_runs_has_the_median_of_the_others(tmp_path):
    rows, _ = ends.run(), ends.run(reduce="median", store=tmp_path)
    sorted((tmp_path / "pieces").glob("*.done"))[0].unlink()
    left, lanes = js.load(tmp_path), DiskStore.read(tmp_path).pieces()["{}"]
    ids = np.concatenate([piece.ids for piece in lanes])
    assert left.attrs["pending"] == 36 - len(ids) > 0 and int(left.runs.isel(time=0).sum()) == len(ids)
    where = js.load(tmp_path).runs.isel(time=0).values
    for cell in np.flatnonzero(where == 18):  # a cell that is whole has what it had
        np.testing.assert_array_equal(left.x.values[cell], ends.run(reduce="median").x.values[cell])
    assert np.all(left.runs <= rows.sizes["seed"])


@js.record
class Skewed:
    """One draw of a law without a variance, u^-2 of uniform u: its median is 4, its mean infinite."""

    place: jax.Array

    def sample(self, key):
        return ()

    def init(self, key, data):
        return ends.uniform(key) ** -2.0

    def step(self, key, state, data):
        return state

    def observe(self, state, data):
        return {"value": state, "minus": -jnp.sqrt(state)}


@pytest.mark.parametrize("seeds", [9, 15])
def test_the_interval_holds_the_true_median_as_often_as_the_binomial_says(seeds):
    """Over 4000 cells; each end misses in P(Binomial(n, 1/2) < k), and one rank further in or out would be seen."""
    found = js.sweep(
        lambda place: Skewed(place=place), grid={"place": np.arange(4000)}, seeds=seeds, times=[0], width=512,
        devices=jax.devices()[:1], reduce="median", progress=False,
    ).isel(time=0)  # fmt: skip
    k = widest(seeds)
    miss = tail(seeds, k)
    near = [abs(tail(seeds, other) - miss) for other in (k - 1, k + 1)]
    for name, truth in (("value", 4.0), ("minus", -2.0)):
        middle, low, high = np.moveaxis(found[name].values, -1, 0)
        for beyond in (low > truth, high < truth):
            assert_mean(beyond, miss, precision=min(near) / 5)
        assert_mean(middle < truth, 0.5, precision=0.01)


def test_crossed_seeds_are_refused():
    with pytest.raises(ValueError, match="reduce='median' needs one seed axis"):
        ends.run(reduce="median", seeds={"data": 2, "init": 2})


LARGEST = '''
"""reduce="largest": the largest of every observable over seeds."""

import dataclasses

from jaxscale.engine.keep.reductions.every_run import EveryRun, by_lane


@dataclasses.dataclass(frozen=True)
class Largest(EveryRun):
    name = "largest"
    by_run = False

    def columns(self, grid, static, pieces, times):
        rows, there = by_lane(grid, static, pieces)
        rows.pop("diverged_at")
        shape = (grid.cells, grid.seeds_per_cell, len(times))
        columns = {name: (("time",), values.reshape(shape).max(1)) for name, values in rows.items()}
        return columns | {"runs": (("time",), there.reshape(*shape[:2], 1).sum(1) + 0 * times)}


REDUCTIONS = (Largest(),)
'''


def test_a_reduction_dropped_as_one_file_is_found_swept_and_loaded(tmp_path, monkeypatch):
    import jaxscale.engine.keep.reductions as folder

    with pytest.raises(ValueError, match=r"reduce must be one of .*'median'.*; got 'largest'"):
        ends.run(reduce="largest")
    (tmp_path / "largest.py").write_text(LARGEST)
    monkeypatch.setattr(folder, "__path__", [*folder.__path__, str(tmp_path)])
    found, rows = ends.run(reduce="largest", store=tmp_path / "store"), ends.run()
    for name in ("steps", "over"):
        np.testing.assert_array_equal(found[name], rows[name].max("seed"))
    np.testing.assert_array_equal(found.x, rows.x.max("seed", skipna=False))
    assert found.x.dims == ("rate", "time") and np.all(found.runs == 18)
    assert js.load(tmp_path / "store").equals(found)
    with pytest.raises(js.StoreError, match="its 'reduce' is \"largest\""):
        ends.run(store=tmp_path / "store")
