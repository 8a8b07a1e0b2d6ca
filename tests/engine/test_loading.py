"""A part of a store is that part of the whole, and a result that the memory cannot hold is known before anything runs."""

import sys

import jax
import numpy as np
import pytest
from ends import run as ends_run
from walks import walk

import jaxscale as js
from jaxscale.engine.run.executable import Executable

ASKED = dict(grid={"rate": [0.1, 0.2, 0.3]}, static={"kind": [0, "a"]}, seeds=4, times=[0, 2, 9], width=2)


def run(**more):
    return js.sweep(walk, devices=jax.devices()[:1], progress=False, **(ASKED | more))


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store of runs of two observables, and one of moments."""
    folder = tmp_path_factory.mktemp("whole")
    run(store=folder / "runs")
    run(store=folder / "moments", reduce="quantiles")
    ends_run(store=folder / "ends")
    return folder


@pytest.mark.parametrize("kind", ["runs", "moments"])
@pytest.mark.parametrize("part, same", [
    ({"sel": {"rate": 0.2}}, lambda d: d.sel(rate=0.2, method="nearest")),
    ({"sel": {"rate": [0.3, 0.1]}}, lambda d: d.isel(rate=[2, 0])),
    ({"sel": {"kind": "a", "rate": [0.1]}, "times": [9]}, lambda d: d.sel(kind="a", time=[9]).isel(rate=[0])),
    ({"times": [0, 9]}, lambda d: d.sel(time=[0, 9])),
])  # fmt: skip
def test_a_part_is_that_of_the_whole(store, kind, part, same):
    found, wanted = js.load(store / kind, **part), same(js.load(store / kind))
    assert found.equals(wanted.drop_vars([n for n in wanted.coords if n not in found.coords]))


def test_some_observables(store):
    whole = js.load(store / "ends")
    found = js.load(store / "ends", observables=["steps"], times=whole["time"].values[-1:])
    assert set(found.data_vars) == {"steps", "diverged_at"} and found["steps"].equals(whole["steps"].isel(time=[-1]))
    assert set(js.load(store / "ends", observables="x").data_vars) == {"x", "diverged_at"}


@pytest.mark.parametrize("part, message", [
    ({"sel": {"rat": 1}}, "sel has no 'rat'; did you mean 'rate'"),
    ({"sel": {"rate": 0.15}}, "axis 'rate' has no 0.15; it has"),
    ({"sel": {"kind": "b"}}, "axis 'kind' has no 'b'; it has"),
    ({"times": [1]}, "times has no step 1; recorded are"), ({"times": []}, "times has no steps"),
    ({"observables": "positon"}, "observables has no 'positon'; did you mean 'position'"),
])  # fmt: skip
def test_what_is_not_there_is_named(store, part, message):
    with pytest.raises(ValueError, match=message):
        js.load(store / "runs", **part)


@pytest.fixture
def small_machine(monkeypatch):
    """So little memory that the result does not fit, and the runs do."""
    monkeypatch.setattr(sys.modules["jaxscale.engine.keep.dataset"], "memory_bytes", lambda devices: 1000)


def test_a_result_that_does_not_fit_is_refused_before_compiling(small_machine, monkeypatch):
    monkeypatch.setattr(Executable, "compile_program", lambda *_: pytest.fail("compiled before the size was looked at"))
    with pytest.raises(js.StoreError, match="the result would take .* or sweep into a store"):
        run()


def test_with_a_store_it_runs_and_can_be_loaded_in_parts(small_machine, monkeypatch, tmp_path, store, caplog):
    for _ in range(2):  # again when all is there
        with pytest.raises(js.StoreError, match="all runs asked for are in .* Load a part"):
            run(store=tmp_path)
    assert "more than the memory can hold" in caplog.text
    with pytest.raises(js.StoreError, match="the result would take"):
        js.load(tmp_path)
    one = js.load(tmp_path, sel={"rate": 0.1, "kind": 0}, times=[9])
    monkeypatch.undo()
    np.testing.assert_array_equal(one["position"], js.load(store / "runs", sel={"rate": 0.1, "kind": 0}, times=[9])["position"])
    assert js.load(tmp_path).equals(js.load(store / "runs"))


def test_pieces_leave_the_memory_as_they_are_written(small_machine, monkeypatch, tmp_path):
    held = []
    local = sys.modules["jaxscale.engine.place.local"]
    true = local.run_bucket
    monkeypatch.setattr(local, "run_bucket", lambda *a, **k: held.append(true(*a, **k)) or held[-1])
    with pytest.raises(js.StoreError):
        run(store=tmp_path)
    assert held and not any(piece.observed for made in held for piece in made)


def test_a_plan_says_how_large_the_result_is():
    plan = js.plan(walk, **ASKED | {"seeds": 1000})
    assert plan.result_bytes == 2 * 3 * 1000 * (3 * 4 + 12) and "a result of 144 kB" in str(plan)
