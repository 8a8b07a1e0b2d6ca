"""Verifying, replaying, and the public check that a run depends on nothing around it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscale as js
from jaxscale.cli import main
from jaxscale.engine.audit.growth import extend, merge, top_up
from jaxscale.engine.audit.verification import verify
from jaxscale.engine.errors import StoreError
from jaxscale.engine.store.disk import DiskStore

SCALE = {"gain": 3.9}


@js.record
class Maps:
    """A chaotic map: any difference in a last bit shows."""

    rate: float
    d: int = js.static(default=2)

    def sample(self, key):
        return jax.random.uniform(key)

    def init(self, key, data):
        return jax.random.uniform(key, (self.d,))

    def step(self, key, state, data):
        return SCALE["gain"] * state * (1 - state) * (1 - self.rate * data)

    def observe(self, state, data):
        return {"first": state[0], "sum": jnp.sum(state)}


def maps(rate, d=2):
    return Maps(rate=rate, d=d)


QUIET = dict(devices=jax.devices()[:1], progress=False)
COMMON = dict(grid={"rate": [0.01, 0.02]}, static={"d": (2, 3)}, seeds=6, times=[0, 3, 40], width=2, **QUIET)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("audit") / "store"
    return folder, js.sweep(maps, **COMMON, store=folder)


@pytest.fixture
def store(finished, tmp_path):
    import shutil

    return shutil.copytree(finished[0], tmp_path / "store")


def test_verified(finished):
    found = verify(finished[0], maps, cells=8)
    assert found and found.done == 24 and found.pending == 0 and found.rerun == 8 and not found.differing
    assert "8 runs made again, 0 differ" in str(found)


def forge(store, change):
    """Alter one piece and its checksum too."""
    opened = DiskStore.read(store)
    name, pieces = next(iter(opened.pieces().items()))
    change(pieces[0])
    opened.write(name, pieces[0])


def test_a_forged_run_is_found(store):
    def change(piece):
        piece.observed["first"][:, -1] = np.nextafter(piece.observed["first"][:, -1], 2)

    forge(store, change)
    found = verify(store, maps, cells=24)
    assert not found and found.rerun == 24 and 4 <= len(found.differing) <= 12 and "differs" in str(found)
    assert verify(store)  # hashes alone cannot know


def test_a_damaged_piece_is_found(store):
    piece = sorted((store / "pieces").glob("*.npz"))[0]
    piece.write_bytes(piece.read_bytes()[:-1])
    found = verify(store)
    assert not found and len(found.damaged) == 1 and found.pending > 0 and found.done + found.pending == 24


def test_another_experiment_is_refused(store, monkeypatch):
    monkeypatch.setitem(SCALE, "gain", 3.8)
    with pytest.raises(StoreError, match="its code has changed"):
        verify(store, maps)


@pytest.mark.parametrize("source", ["store", "dataset"])
def test_replay_gives_the_same_bits_with_every_step(finished, source):
    folder, runs = finished
    again = js.replay(maps, folder if source == "store" else runs, {"rate": 0.02, "d": 3, "seed": 4})
    assert again.sizes == {"time": 41} and float(again["rate"]) == np.float32(0.02)
    for name in ("first", "sum"):
        cell = runs[name].sel(d=3, seed=4).isel(rate=1)
        assert np.array_equal(again[name].sel(time=[0, 3, 40]), cell)


def test_replay_at_chosen_steps(finished):
    again = js.replay(maps, finished[1], {"rate": 0.01, "d": 2, "seed": 0}, times=[1, 2])
    assert again["first"].shape == (2,) and again.attrs["diverged_at"] == -1


@pytest.mark.parametrize(
    "changes, match", [({"rate": 0.5}, "must be one of"), ({"seed": 6}, "0 to 5"), ({"d": 9}, "must be one of")]
)
def test_replay_of_a_cell_that_is_not_there(finished, changes, match):
    with pytest.raises(ValueError, match=match):
        js.replay(maps, finished[1], {"rate": 0.01, "d": 2, "seed": 0} | changes)


def test_replay_needs_every_axis(finished):
    with pytest.raises(ValueError, match="one value for each of"):
        js.replay(maps, finished[1], {"rate": 0.01})
    with pytest.raises(StoreError, match="missing"):
        js.replay(maps, finished[1].drop_attrs(), {"rate": 0.01, "d": 2, "seed": 0})


def test_reproducible():
    js.check_reproducible(maps, **(COMMON | {"static": {"d": (2,)}, "seeds": 3}))


def test_what_depends_on_its_surroundings_is_named():
    count = []

    def drifting(rate):  # traced anew for every way of running, with another constant each time
        count.append(1)
        return maps(rate * (1 + 1e-3 * len(count)))

    with pytest.raises((AssertionError, StoreError), match="depends on|belongs to another experiment"):
        js.check_reproducible(drifting, **(COMMON | {"static": None, "seeds": 3}))


def test_top_up_runs_only_new_seeds(store, finished):
    more = top_up(maps, store, seeds=8, **QUIET)
    assert more.attrs["runs_computed"] == 8 and more.isel(seed=slice(6)).equals(finished[1])


def test_extend_along_any_axis(store, finished):
    more = extend(maps, store, grid={"rate": [0.02, 0.03]}, static={"d": [4]}, **QUIET)
    assert dict(more.sizes) == {"d": 3, "rate": 3, "seed": 6, "time": 3} and more.attrs["runs_computed"] == 54 - 24
    assert more.sel(d=[2, 3]).isel(rate=[0, 1]).equals(finished[1])
    with pytest.raises(ValueError, match="'slope' is no axis of this sweep"):
        extend(maps, store, grid={"slope": [1]})


def test_merge_of_parts_made_apart(finished, tmp_path):
    for i in range(2):
        js.sweep(maps, **COMMON, store=tmp_path / f"{i}", part=(i, 2))
    assert merge([tmp_path / "0", tmp_path / "1"], tmp_path / "both").equals(finished[1])
    assert merge([tmp_path / "0", tmp_path / "1"], tmp_path / "both").equals(finished[1])  # again, for nothing


def test_merge_of_other_cells_and_overlaps(finished, tmp_path):
    js.sweep(maps, **(COMMON | {"grid": {"rate": [0.02, 0.03]}, "seeds": 7}), store=tmp_path / "more")
    both = merge([finished[0], tmp_path / "more"], tmp_path / "both")
    assert dict(both.sizes) == {"d": 2, "rate": 3, "seed": 7, "time": 3}
    assert both.isel(rate=[0, 1], seed=slice(6)).equals(finished[1])
    ids = np.concatenate([p.ids for pieces in DiskStore.read(tmp_path / "both").pieces().values() for p in pieces])
    assert len(ids) == len(set(ids.tolist())) == 24 + 28 - 12


def test_merge_refuses_conflicts(finished, store, tmp_path):
    def change(piece):
        piece.observed["first"][0, 0] += 1

    forge(store, change)
    with pytest.raises(StoreError, match="different results"):
        merge([finished[0], store], tmp_path / "both")


@pytest.mark.parametrize("changes, entry", [({"times": [0, 3]}, "times"), ({"root": 1}, "root"), ({"width": 4}, "width")])
def test_merge_refuses_other_sweeps(finished, tmp_path, changes, entry):
    js.sweep(maps, **(COMMON | changes), store=tmp_path / "other")
    with pytest.raises(StoreError, match=f"'{entry}'"):
        merge([finished[0], tmp_path / "other"], tmp_path / "both")


def test_merge_of_moments(tmp_path):
    whole = js.sweep(maps, **COMMON, reduce=True)
    for i in range(2):
        js.sweep(maps, **COMMON, reduce=True, store=tmp_path / f"{i}", part=(i, 2))
    both = merge([tmp_path / "0", tmp_path / "1"], tmp_path / "both")
    np.testing.assert_allclose(both["first"], whole["first"], rtol=1e-5)
    assert both.runs.equals(whole.runs)


def test_command_line(finished, tmp_path, capsys):
    assert main(["status", str(finished[0])]) == 0
    assert "24 runs requested = 24 done + 0 failed (diverged) + 0 pending" in capsys.readouterr().out
    assert main(["verify", str(finished[0])]) == 0 and "hashed only" in capsys.readouterr().out
    assert main(["verify", str(finished[0]), "--experiment", "nowhere:maps"]) == 2
    assert main(["merge", str(finished[0]), "--into", str(tmp_path / "copy")]) == 0
    assert js.load(tmp_path / "copy").equals(finished[1])
