"""A store refuses what it cannot mix, computes again what is damaged, and executes nothing."""

import io
import json
import os
import shutil
from hashlib import sha256

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscale as js
from jaxscale.cli import main
from jaxscale.cli.codes import OK
from jaxscale.engine.errors import StoreError
from jaxscale.engine.keep.pieces import RunsPiece
from jaxscale.engine.store import disk, identity
from jaxscale.engine.store.disk import DiskStore
from jaxscale.engine.store.files import locked
from jaxscale.engine.store.manifest import signed

CAPTURED = {"gain": 0.5}


@js.record
class Walk:
    rate: jax.Array

    def sample(self, key):
        return jnp.zeros(())

    def init(self, key, data):
        return jax.random.key_data(key)[0].astype(jnp.float32) / 2.0**32

    def step(self, key, state, data):
        return state + CAPTURED["gain"] * self.rate

    def observe(self, state, data):
        return {"position": state}


def walk(rate, kind=0):
    return Walk(rate=rate)


def other_source():
    def walk(rate, kind=0):
        return Walk(rate=2 * rate)

    walk.__qualname__ = "walk"
    return walk


GRID = {"rate": [0.1, 0.2, 0.3]}


def run(store, experiment=walk, **changes):
    common = dict(grid=GRID, seeds=4, times=[0, 2, 9], width=2, devices=jax.devices()[:1], progress=False)
    return js.sweep(experiment, store=store, **(common | changes))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a finished sweep in two pieces, and its result."""
    folder = tmp_path_factory.mktemp("finished") / "store"
    return folder, run(folder)


@pytest.fixture
def store(finished, tmp_path):
    """A copy that may be spoilt."""
    return shutil.copytree(finished[0], tmp_path / "store")


@pytest.mark.parametrize(
    "entry, changes",
    [
        ("source", {"experiment": other_source()}),
        ("experiment", {"experiment": lambda rate: Walk(rate=rate)}),
        ("times", {"times": [0, 3]}),
        ("root", {"root": 1}),
        ("share", {"share": ("rate",)}),
        ("seeds", {"seeds": {"data": 2, "init": 2}}),
        ("static", {"static": {"kind": [1]}}),
        ("precision", {"precision": "default"}),
    ],
)
def test_belongs_to_another_sweep(store, finished, entry, changes):
    with pytest.raises(StoreError, match=f"belongs to another sweep: its '{entry}' is .*Use a new store="):
        run(store, **changes)
    assert run(store).equals(finished[1])  # and is as good as before


def test_program_changed(store, monkeypatch):
    monkeypatch.setitem(CAPTURED, "gain", 0.25)
    with pytest.raises(StoreError, match="belongs to another experiment: .* has changed. Use a new store="):
        run(store, seeds=5)


def test_program_changed_between_buckets(tmp_path, monkeypatch):
    run(tmp_path, static={"kind": [0]})
    monkeypatch.setitem(CAPTURED, "gain", 0.25)
    with pytest.raises(StoreError, match="has changed"):
        run(tmp_path, static={"kind": [0, 1]})


def test_width_is_kept(store, finished):
    assert run(store, width=None, seeds=5).isel(seed=slice(4)).equals(finished[1])
    with pytest.raises(StoreError, match="has width 2; got width=4. Leave it out"):
        run(store, width=4, seeds=6)


def truncated(piece):
    piece.write_bytes(piece.read_bytes()[:-20])


def flipped(piece):
    content = bytearray(piece.read_bytes())
    content[len(content) // 2] ^= 1
    piece.write_bytes(content)


def unmarked(piece):
    piece.with_suffix(".done").unlink()


def first_piece(store):
    return sorted((store / "pieces").glob("*.npz"))[0]


@pytest.mark.parametrize("damage", [truncated, flipped, os.unlink])
def test_damaged_piece_is_computed_again(store, finished, damage):
    with np.load(first_piece(store)) as piece:
        lost = len(piece["ids"])
    damage(first_piece(store))
    with pytest.warns(UserWarning, match="does not match its checksum"):
        again = run(store)
    assert again.attrs["runs_computed"] == lost < 12
    assert again.equals(finished[1])
    assert js.load(store).equals(finished[1])  # without a warning: it is whole again


def test_piece_without_its_mark_does_not_exist(store, finished):
    unmarked(first_piece(store))  # what a kill leaves behind, so no warning
    assert int(js.load(store).position.isnull().any("time").sum()) > 0
    again = run(store)
    assert again.attrs["runs_computed"] > 0 and again.equals(finished[1])


@pytest.fixture
def piece(finished):
    """One finished piece, to be written elsewhere."""
    return DiskStore.read(finished[0]).pieces()["{}"][0]


@pytest.mark.parametrize("whole", [0, 1, 2])
def test_a_piece_is_there_when_both_of_its_files_are(store, piece, monkeypatch, whole):
    """The machine dies before the first write, between the two, or after both: there is no piece, no piece, the piece."""
    for file in (store / "pieces").iterdir():
        file.unlink()
    done, write = [], disk.write_atomic

    def dying(path, content):
        if len(done) == whole:
            raise KeyboardInterrupt
        done.append(path.name)
        write(path, content)

    monkeypatch.setattr(disk, "write_atomic", dying)
    try:
        DiskStore.read(store).write("{}", piece)
    except KeyboardInterrupt:
        assert whole < 2
    found = DiskStore.read(store).pieces()  # and without a warning: nothing is damaged
    assert [list(some.ids) for some in found.get("{}", [])] == ([list(piece.ids)] if whole == 2 else [])
    assert len(done) == whole and [name.rpartition(".")[2] for name in done] == ["npz", "done"][:whole]


def test_no_mark_ever_stands_alone(tmp_path, monkeypatch):
    """Of a whole sweep, at every write: each mark there is is the checksum of a file that is there."""
    marks, write = [], disk.write_atomic

    def looked_at(path, content):
        write(path, content)
        marks.append(sorted((tmp_path / "pieces").glob("*.done")))
        for mark in marks[-1]:
            assert mark.read_text() == sha256(mark.with_suffix(".npz").read_bytes()).hexdigest()

    monkeypatch.setattr(disk, "write_atomic", looked_at)
    assert run(tmp_path).attrs["runs_computed"] == 12
    assert len(marks[-1]) > 1 and len(marks) > 2 * len(marks[-1])  # two files a piece, and the manifest


@pytest.mark.parametrize("entry, change", [("precision", None), ("chance", "even"), ("x64", None), ("root", 5)])
def test_a_contract_with_an_entry_that_one_side_has_not_is_another(store, finished, entry, change):
    """A store of an older or newer version, whose contract says less or more."""
    before = (store / "manifest.json").read_text()
    manifest = json.loads(before)
    manifest["contract"].pop(entry, None)
    manifest["contract"] |= {} if change is None else {entry: change}
    manifest.pop("sha256")
    (store / "manifest.json").write_text(json.dumps(signed(manifest)))
    with pytest.raises(StoreError, match=f"belongs to another sweep: its '{entry}' is .* and yours is "):
        run(store)
    (store / "manifest.json").write_text(before)
    assert run(store).equals(finished[1])


@pytest.mark.parametrize("below", [False, True])
def test_path_that_cannot_be_written(tmp_path, below):
    file = tmp_path / "file"
    file.write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written: .*Choose a folder"):
        run(file / "store" if below else file)


@pytest.mark.parametrize(
    "text, match",
    [
        ("{ torn", "is not JSON .*Use a new folder"),
        ('{"format": 99}', "is of format 99, and this jaxscale reads 3: a newer one wrote it. Upgrade"),
        ("[]", "no jaxscale manifest"),
        ('{"format": 1}', "no jaxscale manifest"),
        ('{"format": 3, "contract": {}, "request": {}, "buckets": {}}', "does not match its checksum"),
    ],
)
def test_strange_manifest(store, text, match):
    (store / "manifest.json").write_text(text)
    for use in (run, js.load):
        with pytest.raises(StoreError, match=match):
            use(store)


def test_pieces_without_a_manifest(store):
    (store / "manifest.json").unlink()
    with pytest.raises(StoreError, match="pieces but no manifest.json.*Use a new folder"):
        run(store)


def test_load_of_no_store(tmp_path):
    with pytest.raises(StoreError, match="holds no jaxscale store"):
        js.load(tmp_path)


def test_second_writer_is_refused(store, finished):
    with locked(store):
        with pytest.raises(StoreError, match=f"is being written by process {os.getpid()} .*Wait for it"):
            run(store)
        assert js.load(store).equals(finished[1])  # readers may look
    assert run(store).attrs["runs_computed"] == 0  # and the lock is let go


def test_second_writer_changes_nothing(store):
    before = (store / "manifest.json").read_text()
    with locked(store), pytest.raises(StoreError):
        run(store, seeds=7)
    assert (store / "manifest.json").read_text() == before


class Bomb:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_opening_a_piece_executes_nothing(store, tmp_path):
    buffer = io.BytesIO()
    np.savez(buffer, bucket=np.array("{}"), ids=np.array([Bomb(tmp_path / "bang")], object))
    piece = first_piece(store)
    piece.write_bytes(buffer.getvalue())
    piece.with_suffix(".done").write_text(sha256(buffer.getvalue()).hexdigest())
    with pytest.warns(UserWarning, match="an array with the header.* its runs are left out"):
        assert js.load(store).position.isnull().any()
    with pytest.warns(UserWarning, match="an array with the header.* its runs are computed again"):
        assert not run(store).position.isnull().any()
    assert not (tmp_path / "bang").exists()


def test_manifest_is_plain_json(finished):
    manifest = json.loads((finished[0] / "manifest.json").read_text())
    assert manifest["contract"]["times"] == [0, 2, 9] and manifest["request"]["seeds"] == {"seed": 4}
    assert manifest["buckets"]["{}"]["width"] == 2


def test_a_store_of_another_compiler_level_is_refused(tmp_path, monkeypatch):
    """Bits depend on it, and XLA_FLAGS may name it."""
    run(tmp_path / "level")
    here = identity.cpu_level()
    monkeypatch.setattr(identity, "cpu_level", lambda: 3)
    with pytest.raises(js.StoreError, match=f"belongs to another sweep: its 'compiler level' is {here} and yours is 3"):
        run(tmp_path / "level")


def test_every_flipped_bit_of_a_manifest_is_refused(store):
    """A finished result must not be relabelled: time 20 for 21, another root."""
    file = store / "manifest.json"
    good = file.read_bytes()
    text = json.loads(good)
    for at in np.random.default_rng(5).choice(len(good), 150, replace=False):
        spoilt = bytearray(good)
        spoilt[at] ^= 1 << (at % 8)
        file.write_bytes(spoilt)
        try:
            read = json.loads(bytes(spoilt))
        except ValueError:
            read = None
        if read != text:  # white space is white space
            with pytest.raises(StoreError):
                js.load(store)
    file.write_bytes(good)


@pytest.mark.parametrize("entry, value", [("times", [0, 2, 10]), ("root", 3)])
def test_pieces_know_of_what_root_and_times_they_are(store, entry, value):
    manifest = json.loads((store / "manifest.json").read_text())
    manifest.pop("sha256")
    manifest["contract"][entry] = value
    (store / "manifest.json").write_text(json.dumps(signed(manifest)))
    with pytest.warns(UserWarning, match="it is of a sweep of another root or other times"):
        assert js.load(store).attrs["done"] == 0


def test_a_piece_that_no_reader_would_take_gets_no_mark(tmp_path, monkeypatch):
    monkeypatch.setattr(RunsPiece, "to_npz", lambda self, bucket, sweep: b"not an archive")
    with pytest.raises(StoreError, match="not a file of plain arrays"):
        run(tmp_path)
    assert not list((tmp_path / "pieces").iterdir())


def test_moments_with_a_bucket_that_has_not_begun_can_be_looked_at(tmp_path):
    def stop(event):
        if event.name == "piece":
            raise KeyboardInterrupt

    asked = dict(static={"kind": [0, 1]}, reduce=True, devices=jax.devices()[:1], progress=False)
    with pytest.raises(KeyboardInterrupt):
        js.sweep(walk, grid={"rate": [0.1, 0.2]}, seeds=8, times=[0, 2], store=tmp_path, listeners=[stop], **asked)
    found = js.load(tmp_path)
    assert found.attrs["pending"] == 16 and found.attrs["done"] == 16 and found.attrs["failed"] == 0
    for command, *more in (["status"], ["report", "-o", str(tmp_path / "page.html")], ["watch", "--once"]):
        assert main([command, str(tmp_path), *more]) == OK



@pytest.mark.parametrize("reduce", [False, True])
def test_a_finished_store_loads_under_another_jax(tmp_path, monkeypatch, caplog, reduce):
    asked = dict(reduce=reduce, seeds=4)
    before = run(tmp_path, **asked)
    monkeypatch.setattr(identity.jax, "__version__", "99.1")
    again = run(tmp_path, **asked)
    assert again.equals(before) and again.attrs["jax"] == before.attrs["jax"] != "99.1"
    assert "is complete; its runs were made by JAX" in caplog.text
    with pytest.raises(StoreError, match="is not finished, and its runs were made by JAX .* this is \"99.1\""):
        run(tmp_path, **(asked | {"seeds": 5}))
