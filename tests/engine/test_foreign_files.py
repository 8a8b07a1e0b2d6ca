"""A store that leads elsewhere: writing to it changes and deletes nothing that is not its own, and waits for nothing."""

import os
import shutil
import signal

import jax
import numpy as np
import pytest
from walks import walk

import jaxscale as js

HASH = "0123456789abcdef0123"  # a name as the package gives them
ASKED = dict(grid={"rate": [0.1, 0.2]}, seeds=4, times=[0, 2, 9], width=2)


def run(store, **more):
    return js.sweep(walk, store=store, devices=jax.devices()[:1], progress=False, **(ASKED | more))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "store"
    run(folder)
    return folder


@pytest.fixture
def store(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "store")


@pytest.fixture
def papers(tmp_path):
    """A user's folder; it must stay as it is."""
    folder = tmp_path / "papers"
    folder.mkdir()
    text = {name: f"text of {name}" for name in ("thesis.tex", HASH, f"{HASH}.npz", f"{HASH}.done", f".{HASH}.1.01234567")}
    for name, words in text.items():
        (folder / name).write_text(words)
    yield folder
    assert {file.name: file.read_text() for file in folder.iterdir()} == text


@pytest.fixture(autouse=True)
def in_time():
    def late(*_):
        raise AssertionError("waits for ever")

    old = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, old)


WRITERS = {
    "sweep": run,
    "part": lambda store: run(store, part=(0, 2)),
    "top_up": lambda store: js.top_up(walk, store=store, seeds=6, progress=False),
    "extend": lambda store: js.extend(walk, store, grid={"rate": [0.3]}, progress=False),
    "merge": lambda store: js.merge([store.with_name("other")], into=store),
}


def instead(path, make):
    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    make(path)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("place", ["pieces", "checkpoints"])
def test_a_folder_that_is_a_link_is_refused(store, papers, whole, writer, place):
    shutil.copytree(whole, store.with_name("other"))
    instead(store / place, lambda path: path.symlink_to(papers))
    with pytest.raises(js.StoreError, match=f"{place}' is a link, and a store follows none. Put a folder there"):
        WRITERS[writer](store)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("name", ["lock", "manifest.lock"])
@pytest.mark.parametrize("kind", ["link", "second name", "text", "pipe", "device", "folder"])
def test_a_lock_that_is_not_ours_is_refused(store, papers, whole, writer, name, kind):
    shutil.copytree(whole, store.with_name("other"))
    makers = {
        "link": lambda path: path.symlink_to(papers / "thesis.tex"), "second name": lambda path: path.hardlink_to(empty),
        "text": lambda path: path.write_text("a recipe"), "pipe": os.mkfifo,
        "device": lambda path: path.symlink_to("/dev/zero"), "folder": os.mkdir,
    }  # fmt: skip
    empty = store.with_name("empty")
    empty.touch()
    instead(store / name, makers[kind])
    with pytest.raises(js.StoreError, match="is a link, and a store|is no plain file|is no lock of this package"):
        WRITERS[writer](store)
    if kind == "text":
        assert (store / name).read_text() == "a recipe"


def test_two_locks_that_are_one_file_do_not_wait_for_each_other(store):
    (store / "lock").touch()
    instead(store / "manifest.lock", lambda path: path.hardlink_to(store / "lock"))
    with pytest.raises(js.StoreError, match="is no lock of this package"):
        run(store)


@pytest.mark.parametrize("suffix", [".npz", ".done"])
@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_a_piece_that_is_no_file_is_set_aside_and_made_again(store, whole, suffix, make):
    for piece in (store / "pieces").glob("*" + suffix):
        instead(piece, make)
    with pytest.warns(UserWarning, match="set aside"):
        again = run(store)
    assert again.identical(js.load(whole).assign_attrs(again.attrs)) and len(list((store / "pieces").glob("*.damaged")))


def test_a_piece_that_is_a_link_is_not_read(store, papers):
    for piece in (store / "pieces").glob("*.npz"):
        piece.replace(papers.with_name(piece.name))
        piece.symlink_to(papers.with_name(piece.name))
    with pytest.warns(UserWarning, match="is a link"):
        assert int(js.load(store).attrs["pending"]) == 8


def test_files_of_others_in_its_folders_stay(store):
    strange = {
        store / "checkpoints" / "README.txt": "by hand", store / "checkpoints" / ("ab" * 10): "no checkpoint",
        store / "pieces" / "notes.done": "mine", store / "pieces" / ".notes.12.0123abcd": "mine",
        store / "pieces" / f".{'ab' * 10}.npz.12.0123abcd": "text in a name of ours", store / ".profile.1.01234567": "mine",
    }  # fmt: skip
    ours = [store / "checkpoints" / ("cd" * 10), store / "pieces" / f".{'ab' * 10}.done.12.0123abce"]
    for path, text in strange.items():
        path.write_text(text)
    ours[0].write_text("0123456789abcdef" * 4 + "half of a checkpoint")
    ours[1].write_text("0123")
    run(store)
    js.top_up(walk, store=store, seeds=6, progress=False)
    assert {path: path.read_text() for path in strange} == strange
    assert not any(path.exists() for path in ours), "what a kill has left is swept up"


@pytest.mark.parametrize("name", ["gs://bucket/x", "s3://b", "hf://datasets/x", "memory://", "file:///tmp/x"])
@pytest.mark.parametrize("use", [run, js.load, lambda store: js.merge([store], into="x")])
def test_addresses_are_refused(tmp_path, monkeypatch, name, use):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(js.StoreError, match="is an address, and a store is a folder: mount the bucket"):
        use(name)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("use", [run, js.load])
def test_no_name_is_refused(tmp_path, monkeypatch, use):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(js.StoreError, match="store='' is no folder; give its name"):
        use("")
    assert not list(tmp_path.iterdir())


def test_a_store_itself_may_be_reached_through_a_link(whole, tmp_path):
    (tmp_path / "scratch").symlink_to(whole)
    np.testing.assert_array_equal(run(tmp_path / "scratch")["position"], js.load(whole)["position"])
