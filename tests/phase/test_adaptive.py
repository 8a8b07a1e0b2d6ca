"""Refinement: it finds a boundary with fewer runs, asks where it is uncertain, and its runs are a sweep's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray

import jaxscale as js
from jaxscale.phase.adaptive import refine
from jaxscale.phase.contours import contour
from jaxscale.phase.refinement import Refinement

AXES = {"x": np.linspace(0, 1, 11), "y": np.linspace(0, 1, 17)}


def truth(x):
    return 0.3 + 0.4 * x**2


def explored(uniform, rounds=6, cells=16, runs=4, seed=0):
    rng, state = np.random.default_rng(seed), Refinement(AXES, 0.5, root=seed)
    xs, ys = (g.ravel() for g in np.meshgrid(*AXES.values(), indexing="ij"))
    for _ in range(rounds):
        asked = rng.permutation(len(xs))[:cells] if uniform else state.ask(cells, runs)
        assert len(asked) == cells
        asked = np.repeat(asked, runs)
        state.tell(asked, rng.random(len(asked)) < 1 / (1 + np.exp(-(ys[asked] - truth(xs[asked])) / 0.05)))
    return state


def test_runs_go_where_the_boundary_is_and_its_band_is_narrower():
    state, plain = explored(False), explored(True)
    xs, ys = (g.ravel() for g in np.meshgrid(*AXES.values(), indexing="ij"))
    distance = np.average(np.abs(ys - truth(xs)), weights=state.count)
    assert distance < 0.6 * np.average(np.abs(ys - truth(xs)), weights=plain.count)
    found = state.boundary()
    assert found["width"].mean() < plain.boundary()["width"].mean()
    assert np.sqrt(np.mean((found["position"] - truth(AXES["x"])) ** 2)) < 0.05
    inside = (found["low"] < truth(AXES["x"])) & (truth(AXES["x"]) < found["high"])
    assert inside.mean() > 0.7
    table = state.summary()
    assert int(table["count"].sum()) == 6 * 16 * 4 and np.isnan(table["error"].values[table["count"].values == 0]).all()


def chosen(axes, width, level=0.5, uniform=False, rounds=4, cells=32, seed=0):
    """A refinement of 0/1 outcomes, two runs a cell."""
    rng, state = np.random.default_rng(seed), Refinement(axes, level, root=seed)
    xs, ys = (g.ravel() for g in np.meshgrid(*axes.values(), indexing="ij"))
    for _ in range(rounds):
        asked = np.repeat(rng.permutation(len(xs))[:cells] if uniform else state.ask(cells, 2), 2)
        rise = np.clip((ys[asked] - truth(xs[asked])) / width, -500, 500)
        state.tell(asked, rng.random(len(asked)) < 1 / (1 + np.exp(-rise)))
    return state


@pytest.mark.slow
@pytest.mark.parametrize("width", [0.03, 0.004])
def test_bands_are_half_as_wide_as_a_uniform_grids_and_hold_the_truth(width):
    axes = {"x": np.linspace(0, 1, 13), "y": np.linspace(0, 1, 41)}
    ours, plain = ([chosen(axes, width, uniform=u, seed=s).boundary() for s in range(8)] for u in (False, True))
    gain = np.log([float(p["width"].mean() / o["width"].mean()) for o, p in zip(ours, plain)])
    error = gain.std(ddof=1) / np.sqrt(len(gain))
    assert gain.mean() - 2 * error > np.log(1.4) and error < 0.35
    held = np.array([float(((b["low"] <= truth(b["x"])) & (truth(b["x"]) <= b["high"])).mean()) for b in [*ours, *plain]])
    error = held.std() / np.sqrt(len(held))
    assert held.mean() + 2 * error > 0.93 and error < 0.05


def test_a_sharp_boundary_is_found_far_below_the_spacing_of_a_fine_lattice():
    axes = {"x": np.linspace(0, 1, 9), "y": np.linspace(0, 1, 2001)}
    found = chosen(axes, 1e-9, rounds=6).boundary()
    error = np.sqrt(np.mean((found["position"] - truth(found["x"])) ** 2))
    assert error < 0.003 and found["width"].max() < 0.03  # 384 runs; 21 of each row evenly spread would leave brackets of .05


def test_levels_other_than_one_half():
    axes = {"x": np.linspace(0, 1, 9), "y": np.linspace(0, 1, 41)}
    found = [chosen(axes, 0.05, level=0.8, seed=s, rounds=6).boundary() for s in range(6)]
    bias = np.array([float((f["position"] - truth(f["x"]) - 0.05 * np.log(4)).mean()) for f in found])
    error = bias.std(ddof=1) / np.sqrt(len(bias))
    assert abs(bias.mean()) < 3 * error and error < 0.01


def test_a_level_that_is_never_crossed_has_no_band():
    state = Refinement(AXES, 5.0)
    state.tell(np.arange(0, 187, 3), np.zeros(63))
    assert np.isnan(state.boundary()["low"]).all() and np.all(state.boundary()["status"] == "not established")


def test_diverged_runs_are_left_out():
    state = Refinement(AXES, 0.5)
    state.tell(np.array([0, 0, 1]), np.array([np.nan, 1.0, np.nan]))
    assert state.count[0] == 1 and state.count[1] == 0


def told(truth, noise, places, seed, rounds=8, cells=16, runs=2):
    """A refinement of real values that pass .5 at places `truth(x)` of the second axis."""
    axes, rng = {"x": np.linspace(0, 1, 11), "y": np.linspace(0, 1, places)}, np.random.default_rng(seed)
    state = Refinement(axes, 0.5, root=seed)
    x, y = (g.ravel() for g in np.meshgrid(*axes.values(), indexing="ij"))
    for _ in range(rounds):
        cells_asked = np.repeat(state.ask(cells, runs), runs)
        rise = (y[cells_asked] - truth(x[cells_asked])) / 0.1 + np.arctanh(0.5)
        state.tell(cells_asked, np.tanh(rise) + noise * rng.normal(size=len(cells_asked)))
    return state


@pytest.mark.parametrize("places, noise", [(17, 1e-3), (65, 0.05), (257, 1e-3)])
def test_bands_of_real_values_hold_the_truth(places, noise):
    """Also where the lattice is coarser than the band, and where values have next to no noise."""
    inside, widths = [], []
    for seed in range(3):
        found = told(truth, noise, places, seed).boundary()
        exact = truth(found["x"].values)
        inside.append(((found["low"].values <= exact) & (exact <= found["high"].values)).mean())
        widths.append(float(found["width"].mean()))
    assert np.mean(inside) > 0.75 and np.mean(widths) < 0.02


def test_cells_that_diverge_are_left_alone():
    """Runs above y = .62 diverge, and the boundary goes there too."""
    rng, state = np.random.default_rng(0), Refinement(AXES, 0.5)
    x, y = (g.ravel() for g in np.meshgrid(*AXES.values(), indexing="ij"))
    for _ in range(10):
        cells = np.repeat(state.ask(16, 4), 4)
        heads = rng.random(len(cells)) < 1 / (1 + np.exp(-(y[cells] - truth(x[cells])) / 0.05))
        state.tell(cells, np.where(y[cells] > 0.62, np.nan, heads))
    assert state.tried.sum() == 640 and state.count.sum() > 350  # 270 when cells that diverged are not told from new ones


@js.record
class Coin:
    """Heads with a chance that rises through 1/2 at y = truth(x)."""

    x: float
    y: float

    def sample(self, key):
        return jax.random.uniform(key)

    def init(self, key, data):
        return jnp.zeros(())

    def step(self, key, state, data):
        return (data < jax.nn.sigmoid((self.y - (0.3 + 0.4 * self.x**2)) / 0.05)).astype(jnp.float32)

    def observe(self, state, data):
        return {"heads": state, "error": 1 - state}


def coin(x, y):
    return Coin(x=x, y=y)


def test_a_refinement_of_sweeps_compiles_once_and_resumes(tmp_path, caplog):
    turns = []
    how = dict(axes=AXES, observable="heads", level=0.5, times=[0, 1], cells=12, runs=4, budget=12 * 4 * 4, store=tmp_path)
    with caplog.at_level("INFO", "jaxscale"):
        state = refine(coin, tell=lambda s: turns.append(int(s.count.sum())), **how)
    assert len(turns) == 4 and turns == sorted(turns)
    assert sum("recompiled" in r.message for r in caplog.records) == 0
    again = refine(coin, **how)  # every round is in its store
    np.testing.assert_array_equal(again.count, state.count)
    np.testing.assert_array_equal(again.total, state.total)
    assert state.count.sum() == 12 * 4 * 4  # repeats of a cell are runs of it, and none goes to a filler
    whole = state.dataset()
    assert whole["heads"].dims == ("x", "y", "seed") and whole.sizes["seed"] == whole["runs"].max()
    np.testing.assert_array_equal(np.isfinite(whole["heads"]).sum("seed"), whole["runs"])
    np.testing.assert_allclose(whole["heads"].mean("seed"), state.summary()["mean"])
    np.testing.assert_array_equal(whole["error"], 1 - whole["heads"])  # whatever the observables are called
    assert np.isfinite(js.boundary(whole["heads"], along="y", level=0.5)["position"]).any()
    assert "diverged_at" in whole  # every observable, as a sweep labels them
    early = refine(coin, **(how | {"store": None, "band": 2.0, "budget": 10**4}))
    assert early.count.sum() < 10**4


def test_a_cell_that_is_asked_for_twice_gets_twice_the_runs(monkeypatch):
    """Every slot draws runs of its own."""
    even = int(np.argmin([abs(y - truth(x)) for x in AXES["x"] for y in AXES["y"]]))  # a cell with both outcomes
    asked = np.array([even, even, even, 30])
    monkeypatch.setattr(Refinement, "ask", lambda self, cells, runs: asked)
    state = refine(coin, axes=AXES, observable="heads", level=0.5, times=[0, 1], cells=4, runs=50, budget=200)
    assert state.count[even] == 150 and state.count[30] == 50 and state.count.sum() == 200
    heads = state.dataset()["heads"].values.reshape(len(state.count), -1)[even, :150].reshape(3, 50)
    assert all(0.1 < slot.mean() < 0.9 for slot in heads)
    assert len({slot.tobytes() for slot in heads}) == 3


@pytest.mark.parametrize(
    "change, message",
    [
        ({"cells": 0}, "cells >= 1, runs >= 1 and a budget of at least cells x runs; got cells=0"),
        ({"budget": 10}, "runs=8, budget=10"),
        ({"observable": "haeds", "cells": 4, "runs": 50}, "no observable 'haeds' in the runs; choose from"),
        ({"log": ("tempurature",)}, "log names axes with positive values only; got 'tempurature'"),
        ({"log": ("y",)}, "got 'y'"),
        ({"level": np.nan}, "a finite level"),
    ],
)
def test_refusals_of_what_is_asked(change, message):
    how = dict(axes=AXES, observable="heads", level=0.5, times=[0, 1], budget=200) | change
    with pytest.raises(ValueError, match=message):
        refine(coin, **how)


def test_a_small_lattice_is_asked_again():
    small = {"x": np.arange(3.0), "y": np.arange(3.0)}
    asked = Refinement(small, 0.5).ask(16, 1)
    assert len(asked) == 16 and set(asked) == set(range(9))


def test_refusals_of_what_is_told():
    state = Refinement(AXES, 0.5)
    with pytest.raises(ValueError, match="nothing is known"):
        state.boundary()
    for cells in ([187], [-1], [1, 2], [[1]]):
        with pytest.raises(ValueError, match="one flat index of 187 cells a value"):
            state.tell(np.array(cells), np.zeros(1))
    with pytest.raises(ValueError, match="got float64 of shape"):
        state.tell(np.array([1.0]), np.zeros(1))
    with pytest.raises(ValueError, match=r"everything\['x'\] must have the cells' shape \(1,\); got \(2,\)"):
        state.tell(np.array([1]), np.zeros(1), {"x": np.zeros(2)})


@pytest.mark.parametrize(
    "axes, message",
    [({"x": AXES["x"]}, "two control parameters"), ({"x": AXES["x"], "y": AXES["y"][::-1]}, "increasing values")],
)
def test_refusals(axes, message):
    with pytest.raises(ValueError, match=message):
        Refinement(axes, 0.5)


def test_a_contour_follows_a_loop_and_the_null_has_none():
    """A disc of radius .3 is one closed branch whose band holds most of the circle; coins have no established branch."""
    rng, x, y = np.random.default_rng(0), np.linspace(0, 1, 13), np.linspace(0, 1, 17)
    radius = np.hypot(x[:, None] - 0.5, y[None, :] - 0.5)
    won = rng.random((13, 17, 8)) < 1 / (1 + np.exp((radius[..., None] - 0.3) / 0.03))
    data = xarray.DataArray(won.astype(float), {"x": x, "y": y}, ("x", "y", "seed"))
    found = contour(data, x="x", y="y", level=0.5)
    best = found.branches[0]
    assert best.closed and best.established and sum(b.established for b in found.branches) == 1
    assert np.sqrt(np.mean((np.hypot(best.x - 0.5, best.y - 0.5) - 0.3) ** 2)) < 0.025
    turn = np.linspace(0, 2 * np.pi, 90)
    on = found.score.interp(x=("turn", 0.5 + 0.3 * np.cos(turn)), y=("turn", 0.5 + 0.3 * np.sin(turn)))
    assert np.mean(np.abs(on) < 1.96) > 0.7 and np.mean(np.abs(found.score) < 1.96) < 0.3
    coins = xarray.zeros_like(data) + (rng.random(data.shape) < 0.5)
    assert not any(b.established for b in contour(coins, x="x", y="y", level=0.5).branches)
    with pytest.raises(ValueError, match=r"\['n'\] are left: select one"):
        contour(data.expand_dims(n=2), x="x", y="y", level=0.5)
