"""A disk that fills, or fails, at every single change in turn: no run is lost, none is torn, none is wrong."""

import contextlib
import errno
import json
import os
import shutil
import warnings
from hashlib import sha256
from pathlib import Path

import jax
import numpy as np
import pytest
from tap import Tap
from walks import walk

import jaxscale as js
from jaxscale.engine.ask.options import DEFAULTS

ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EIO)
MOST = 1000  # changes of one sweep, so that a test of this file ends

pytestmark = pytest.mark.slow


def run(store=None, seeds=4, **more):
    common = dict(grid={"rate": [0.1, 0.2, 0.3]}, times=[0, 2, 9], width=2, devices=jax.devices()[:1], progress=False)
    return js.sweep(walk, seeds=seeds, store=store, **common, **more)


class Trouble:
    """Hears the changes; the `at`-th that may fail does, and all later ones if it is lasting."""

    def __init__(self, code, at, lasting=False, only=lambda kind, path: True):
        self.code, self.at, self.lasting, self.only = code, at, lasting, only
        self.heard, self.failed, self.finished, self.planned = 0, [], set(), False

    def __call__(self, kind, path, **facts):
        takes_room = not (kind in ("unlink", "rmdir") or facts.get("size") == 0 or facts.get("created") is False)
        if (self.code == errno.EIO or takes_room) and self.only(kind, path):
            self.heard += 1
            if self.heard == self.at or (self.lasting and self.heard > self.at):
                self.failed.append(f"{kind} {os.path.basename(path)}")
                raise OSError(self.code, os.strerror(self.code))
        if kind == "replace" and facts["to"].endswith(".done"):
            self.finished.add(os.path.basename(facts["to"]))
        self.planned |= kind == "replace" and facts["to"].endswith("manifest.json")


def runs_stored(store):
    """How many runs the marks of a store promise, every one of their pieces whole."""
    total = 0
    for mark in (store / "pieces").glob("*.done"):
        assert sha256(mark.with_suffix(".npz").read_bytes()).hexdigest() == mark.read_text()
        with np.load(mark.with_suffix(".npz")) as piece:
            total += len(piece["ids"])
    return total


def runs_seen(seen, calm):
    """How many runs a loaded result has, every one of them whole and right."""
    if "position" not in seen:  # no piece yet
        return 0
    there = seen.position.notnull()
    assert bool((there.any("time") == there.all("time")).all())
    assert seen.where(there.any("time")).equals(calm.reindex_like(seen).where(there.any("time")))
    return int(there.any("time").sum())


def fail_and_go_on(store, calm, trouble, patch):
    """Run into the trouble, look at what is left, run again without it. Returns the error, None if nothing went wrong."""
    before = {mark.name for mark in (store / "pieces").glob("*.done")}
    error = None
    with Tap(store, trouble).open(patch):
        try:
            found = run(store)
        except OSError as caught:
            error = caught
            assert caught.errno == trouble.code
        except js.StoreError as caught:
            error = caught
            assert os.strerror(trouble.code) in str(caught)
    if error is None:
        assert found.equals(calm) and runs_stored(store) == calm.position[..., 0].size
    else:
        assert trouble.failed and len(str(error)) < 500 and "\n" not in str(error)
    after = {mark.name for mark in (store / "pieces").glob("*.done")}
    assert trouble.finished <= after
    assert len(before - after) <= len(list((store / "pieces").glob("*.damaged")))  # set aside, not lost
    done = runs_stored(store)
    try:
        seen = js.load(store)
    except js.StoreError as caught:
        assert "holds no jaxscale store" in str(caught) and not before and not after and not trouble.planned
    else:
        assert runs_seen(seen, calm) == done
    again = run(store)
    assert again.equals(calm) and js.load(store).equals(calm)
    assert again.attrs["runs_computed"] == calm.position[..., 0].size - done  # requested = done + pending
    assert not [path for folder in ("", "pieces", "checkpoints") for path in (store / folder).glob(".*")]
    assert not list((store / "checkpoints").iterdir())
    return error


@pytest.fixture
def saving(monkeypatch):
    """A checkpoint after every segment."""
    monkeypatch.setitem(DEFAULTS, "checkpoint", 0.0)


@pytest.fixture(scope="module")
def calm():
    return run()


def every_change(folder, calm, patch, codes, lasting):
    """The same with every change in turn, until a sweep passes undisturbed."""
    errors = []
    for at in range(1, MOST):
        store = folder / str(at)
        trouble = Trouble(codes[at % len(codes)], at, lasting)
        errors.append(fail_and_go_on(store, calm, trouble, patch))
        shutil.rmtree(store)
        if not trouble.failed:
            assert errors[-1] is None
            return errors
    raise AssertionError("a sweep of a dozen runs has no end")


@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
def test_a_new_store(tmp_path, calm, saving, monkeypatch, lasting):
    errors = every_change(tmp_path, calm, monkeypatch, ERRORS, lasting)
    assert sum(error is not None for error in errors) > 20


@pytest.fixture(scope="module")
def half_spoilt(tmp_path_factory):
    """A finished store of two pieces, one of them damaged, with leftovers of a process that died."""
    store = tmp_path_factory.mktemp("spoilt") / "store"
    run(store)
    first, second = sorted((store / "pieces").glob("*.npz"))
    first.write_bytes(first.read_bytes()[:-9])
    (store / "pieces" / ".torn.npz.17.0123abcd").write_bytes(b"PK")
    (store / "checkpoints" / ".torn.17.0123abcd").write_bytes(b"")
    (store / "checkpoints" / second.stem).write_bytes(b"of a finished cohort")
    (store / ".manifest.json.17.0123abcd").write_text('{"format"')
    return store


@pytest.fixture(scope="module")
def wider():
    return run(seeds=6)


@pytest.fixture
def mending():
    """Damaged pieces are warned of, which is not what is looked at here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not match its checksum.*", UserWarning)
        yield


def spoilt_fail_and_go_on(half_spoilt, tmp_path, wider, patch, codes, lasting):
    runs = {path.stem: len(np.load(path)["ids"]) for path in [sorted((half_spoilt / "pieces").glob("*.npz"))[1]]}

    def prepare(store):
        shutil.copytree(half_spoilt, store)

    for at in range(1, MOST):
        store = tmp_path / str(at)
        prepare(store)
        trouble = Trouble(codes[at % len(codes)], at, lasting)
        with Tap(store, trouble).open(patch):
            try:
                assert run(store, seeds=6).equals(wider)
            except (OSError, js.StoreError) as error:
                assert os.strerror(trouble.code) in str(error)
        after = {mark.stem for mark in (store / "pieces").glob("*.done")}
        assert set(runs) <= after and {name.removesuffix(".done") for name in trouble.finished} <= after
        assert runs_seen(js.load(store), wider) >= sum(runs.values())
        again = run(store, seeds=6)
        assert again.equals(wider) and 0 <= again.attrs["runs_computed"] <= 18 - sum(runs.values())
        shutil.rmtree(store)
        if not trouble.failed:
            return
    raise AssertionError("a sweep of a dozen runs has no end")


def test_an_old_store_mended_and_widened(tmp_path, half_spoilt, wider, mending, monkeypatch):
    spoilt_fail_and_go_on(half_spoilt, tmp_path, wider, monkeypatch, ERRORS, lasting=True)


@pytest.mark.slow
@pytest.mark.parametrize("code", ERRORS, ids=errno.errorcode.get)
@pytest.mark.parametrize("lasting", [False, True], ids=["once", "from then on"])
def test_every_error_at_every_change(tmp_path, half_spoilt, wider, calm, mending, monkeypatch, lasting, code):
    every_change(tmp_path / "short", calm, monkeypatch, [code], lasting)
    monkeypatch.setitem(DEFAULTS, "checkpoint", 0.0)
    every_change(tmp_path / "new", calm, monkeypatch, [code], lasting)
    spoilt_fail_and_go_on(half_spoilt, tmp_path / "old", wider, monkeypatch, [code], lasting)


def in_folder(name):
    return lambda kind, path: os.path.basename(os.path.dirname(path)) == name


def test_a_piece_that_does_not_fit_says_so(tmp_path, calm, monkeypatch):
    trouble = Trouble(errno.ENOSPC, 1, lasting=True, only=in_folder("pieces"))
    error = fail_and_go_on(tmp_path / "store", calm, trouble, monkeypatch)
    assert isinstance(error, js.StoreError) and str(tmp_path / "store") in str(error)
    assert "Finished runs are kept; make room and run the same sweep again" in str(error)


def test_the_second_piece_does_not_fit(tmp_path, calm, monkeypatch):
    second = Trouble(errno.ENOSPC, 1, lasting=True, only=lambda kind, path: in_folder("pieces")(kind, path) and second.finished)
    assert isinstance(fail_and_go_on(tmp_path / "store", calm, second, monkeypatch), js.StoreError)
    assert len(second.finished) == 1


def test_a_finished_sweep_on_a_full_disk_is_a_load(tmp_path, calm, monkeypatch):
    run(tmp_path / "store")
    trouble = Trouble(errno.ENOSPC, 1, lasting=True)
    assert fail_and_go_on(tmp_path / "store", calm, trouble, monkeypatch) is None


def test_an_unsigned_lock_still_locks(tmp_path, calm, monkeypatch):
    """The name in a lock is for people; there being no room for it must neither stop a sweep nor hide another error."""
    trouble = Trouble(
        errno.ENOSPC, 1, lasting=True, only=lambda kind, path: kind == "write" and "lock" in os.path.basename(path)
    )
    assert fail_and_go_on(tmp_path / "store", calm, trouble, monkeypatch) is None


def test_no_room_for_a_checkpoint_does_not_stop_the_sweep(tmp_path, calm, saving, monkeypatch):
    trouble = Trouble(errno.ENOSPC, 1, lasting=True, only=in_folder("checkpoints"))
    assert fail_and_go_on(tmp_path / "store", calm, trouble, monkeypatch) is None


def test_a_checkpoint_that_failed_leaves_the_one_before(tmp_path, calm, saving, monkeypatch):
    saved, resumed, store = [], [], tmp_path / "store"

    def cut(event):
        saved.extend([event] if event.name == "checkpoint" else [])
        if len(saved) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(store, listeners=[cut])
    old = {file.name: file.read_bytes() for file in (store / "checkpoints").iterdir()}
    assert len(old) == 1
    trouble = Trouble(errno.ENOSPC, 1, lasting=True, only=lambda kind, path: kind == "write" and "lock" not in path)
    with Tap(store, trouble).open(monkeypatch):
        try:
            run(store)
        except (OSError, js.StoreError) as error:
            assert os.strerror(errno.ENOSPC) in str(error)
    assert {file.name: file.read_bytes() for file in (store / "checkpoints").iterdir()} == old
    again = run(store, listeners=[lambda event: resumed.append(event.facts["step"]) if event.name == "resumed" else None])
    assert again.equals(calm) and resumed == [2]


def test_a_piece_that_cannot_be_opened_just_now_is_not_thrown_away(tmp_path, calm, monkeypatch):
    """Too many open files say nothing about the piece: it is as good as before, and so is what took hours."""
    run(tmp_path)
    before, read = runs_stored(tmp_path), Path.read_bytes

    def no_more_files(path):
        if path.suffix == ".npz":
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return read(path)

    with monkeypatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setattr(Path, "read_bytes", no_more_files)
        with contextlib.suppress(OSError, js.StoreError):
            run(tmp_path)
    assert not list((tmp_path / "pieces").glob("*.damaged")) and runs_stored(tmp_path) == before
    assert run(tmp_path).attrs["runs_computed"] == 0


def test_every_error_names_the_store(tmp_path, monkeypatch):
    """`sweep` promises a StoreError for a store that cannot be written: one that says which, and what to do."""
    bare = {}
    for at in range(1, MOST):
        trouble = Trouble(errno.ENOSPC, at, lasting=True)
        store = tmp_path / str(at)
        with Tap(store, trouble).open(monkeypatch):
            try:
                run(store)
            except (OSError, js.StoreError) as error:
                if not isinstance(error, js.StoreError) or str(store) not in str(error):
                    bare[trouble.failed[0].split(".")[0]] = f"{type(error).__name__}: {error}"
        if not trouble.failed:
            break
    assert not bare, json.dumps(bare, indent=1)
