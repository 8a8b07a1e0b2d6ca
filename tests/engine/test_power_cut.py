"""A power cut after any file operation, with the worst that a file system may do to what was not synced."""

import contextlib
import hashlib
import itertools
import json
import shutil
import sys
import warnings
from pathlib import Path

import jax
import numpy as np
import pytest
from tap import Tap
from walks import wide_walk

import jaxscale as js
from jaxscale.engine.ask.options import DEFAULTS

TOLD = "told"  # between the file operations: so many more runs were reported as finished

pytestmark = pytest.mark.slow


def run(store=None, seeds=4, width=2, **more):
    common = dict(grid={"rate": [0.1, 0.2, 0.3]}, times=[0, 2, 9], devices=jax.devices()[:1], progress=False)
    return js.sweep(wide_walk, seeds=seeds, store=store, width=width, **common, **more)


TORN = (lambda c: c, lambda c: b"", lambda c: c[: len(c) // 2], lambda c: bytes(len(c)))  # what is left of unsynced bytes


class File:
    """Bytes, and the bytes that are safe."""

    def __init__(self, content=b"", safe=None):
        self.content, self.safe = content, safe


class Folder(dict):
    """Names, and the changes of names that a power cut may undo: each a function of the names, each whole or not at all."""

    def __init__(self):
        super().__init__()
        self.sync()

    def sync(self):
        self.before, self.owed = dict(self), []

    def change(self, function):
        self.owed.append(function)
        function(self)

    def worst(self):
        """The names that may be found: any of a handful of owed changes made; of more, one, all but one, or the first n."""
        n, found = len(self.owed), []
        one = np.eye(n, dtype=bool)
        for keep in itertools.product([False, True], repeat=n) if n < 5 else [*one, *~one, *np.tri(n + 1, n, -1, dtype=bool)]:
            names = dict(self.before)
            for change in itertools.compress(self.owed, keep):
                change(names)
            if names not in found:
                found.append(names)
        return found


class Disk:
    """A store as a file system knows it: what is there, and what of it is safe."""

    def __init__(self, root, old=None):
        self.root, self.folders = root, {root: Folder()}
        for path in sorted(old.rglob("*")) if old else ():
            here = root / path.relative_to(old)
            if path.is_dir():
                self.folders[here] = self.folders[here.parent][here.name] = Folder()
            else:
                self.folders[here.parent][here.name] = File(path.read_bytes(), path.read_bytes())
        for folder in self.folders.values():
            folder.sync()

    def apply(self, kind, path, facts):
        if kind == TOLD or (kind, path) == ("mkdir", str(self.root)):
            return
        path = Path(path)
        if kind == "fsync folder":
            self.folders[path].sync()
            return
        names, name = self.folders[path.parent], path.name
        if kind == "mkdir":
            new = self.folders[path] = Folder()
            names.change(lambda names: names.__setitem__(name, new))
        elif kind == "open":
            if facts["created"]:
                new = File()
                names.change(lambda names: names.__setitem__(name, new))
            elif facts["emptied"]:
                names[name].content = b""
        elif kind == "write":
            file, at, data = names[name], facts["at"], facts["data"]
            file.content = file.content[:at].ljust(at, b"\0") + data + file.content[at + len(data) :]
        elif kind == "truncate":
            names[name].content = names[name].content[: facts["size"]]
        elif kind == "fsync":
            names[name].safe = names[name].content
        elif kind == "unlink":
            names.change(lambda names: names.pop(name, None))
        elif kind == "replace":
            to, moved = Path(facts["to"]), names[name]
            assert to.parent == path.parent, "a rename between two folders is not one change"

            def rename(names):
                if names.get(name) is moved:
                    del names[name]
                names[to.name] = moved

            names.change(rename)
        else:
            raise AssertionError(kind)

    def worst(self):
        """States {path: bytes, or None for a folder}: any names, all unsynced bytes there, gone, halved or zero."""
        for top in self.folders[self.root].worst():
            inner = {name: entry.worst() for name, entry in top.items() if isinstance(entry, Folder)}
            for chosen in itertools.product(*inner.values()):
                files = {name: entry for name, entry in top.items() if name not in inner}
                for folder, names in zip(inner, chosen):
                    files |= {f"{folder}/{name}": entry for name, entry in names.items()}
                for tear in TORN:
                    bytes_left = {n: f.content if f.safe == f.content else tear(f.content) for n, f in files.items()}
                    yield dict.fromkeys(inner) | bytes_left


def lay_out(state, folder):
    """Make a state real."""
    folder.mkdir(parents=True)
    for name, content in sorted(state.items(), key=lambda item: item[1] is not None):
        (folder / name).mkdir() if content is None else (folder / name).write_bytes(content)


def digest(state):
    return hashlib.sha256(repr(sorted(state.items())).encode()).digest()


def runs_seen(seen, calm):
    """How many runs a loaded result has, every one of them whole and right, bits that depend on the width included."""
    if "position" not in seen:
        return 0
    there = seen.position.notnull()
    assert bool((there.any("time") == there.all("time")).all())
    assert seen.where(there.any("time")).equals(calm.reindex_like(seen).where(there.any("time")))
    return int(there.any("time").sum())


def written_down(store, sweep, patch):
    """The file operations of a sweep, with what it reported between them."""
    log = []

    def told(event):
        if event.name == "piece":
            log.append((TOLD, event.facts["runs"], {}))

    with Tap(store, lambda kind, path, **facts: log.append((kind, path, facts))).open(patch):
        sweep(store, listeners=[told])
    return log


def cut_everywhere(tmp_path, old, sweep, patch, resume_every, kept=0):
    """Cut the power after every operation of `sweep` on a copy of `old`. Returns how many states were looked at.

    Args:
      kept: runs of `old` that must survive whatever happens.
      resume_every: one state in so many is also resumed, besides the first of every number of finished runs.
    """
    store = tmp_path / "running"
    if old:
        shutil.copytree(old, store)
    disk, results = Disk(store, old), []
    log = written_down(store, lambda *a, **k: results.append(sweep(*a, **k)), patch)
    result, seen, finished, counts = results[0], set(), kept, set()
    for kind, path, facts in [(TOLD, 0, {}), *log]:
        disk.apply(kind, path, facts)
        finished += path if kind == TOLD else 0
        for state in disk.worst():
            if digest(state) in seen:
                continue
            seen.add(digest(state))
            found = tmp_path / f"state-{len(seen)}"
            lay_out(state, found)
            try:
                loaded = js.load(found)
            except js.StoreError as error:
                assert "holds no jaxscale store" in str(error) and finished == 0
                done = 0
            else:
                done = runs_seen(loaded, result)
            assert done >= finished, f"{finished} runs were reported as finished, {done} are left"
            if len(seen) % resume_every == 0 or done not in counts:
                counts.add(done)
                again = sweep(found)
                assert again.equals(result) and js.load(found).equals(result)
                assert again.attrs["runs_computed"] == result.position[..., 0].size - done
                assert not [path for path in found.rglob(".*")]
            shutil.rmtree(found)
    return len(seen)


@pytest.fixture
def mending():
    """A piece that lost its name is damaged, and said to be; that is not what is looked at here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*does not match its checksum.*", UserWarning)
        yield


def test_the_log_is_the_whole_truth(tmp_path, monkeypatch):
    """What the model says is on the disk when nothing is lost is what is on the disk."""
    log = written_down(tmp_path / "store", run, monkeypatch)
    disk = Disk(tmp_path / "store")
    for kind, path, facts in log:
        disk.apply(kind, path, facts)
    (folder, names) = (tmp_path / "store"), disk.folders[tmp_path / "store"]
    assert {path.name for path in folder.iterdir()} == set(names)
    for inner in ("pieces", "checkpoints"):
        assert {path.name: path.read_bytes() for path in (folder / inner).iterdir()} == {
            name: file.content for name, file in names[inner].items()
        }
    assert (folder / "manifest.json").read_bytes() == names["manifest.json"].content


def test_a_new_store(tmp_path, monkeypatch):
    assert cut_everywhere(tmp_path, None, run, monkeypatch, resume_every=40) > 100


def test_between_checkpoints(tmp_path, monkeypatch):
    monkeypatch.setitem(DEFAULTS, "checkpoint", 0.0)
    resumed = []

    def sweep(store, listeners=()):
        return run(store, listeners=[*listeners, lambda event: resumed.append(event) if event.name == "resumed" else None])

    assert cut_everywhere(tmp_path, None, sweep, monkeypatch, resume_every=15) > 200
    assert len(resumed) > 5


def test_an_old_store_widened(tmp_path, monkeypatch):
    run(tmp_path / "old")
    wider = lambda store, **more: run(store, seeds=6, **more)  # noqa: E731
    assert cut_everywhere(tmp_path, tmp_path / "old", wider, monkeypatch, resume_every=40, kept=12) > 50


def test_a_damaged_piece_mended(tmp_path, mending, monkeypatch):
    run(tmp_path / "old")
    first, second = sorted((tmp_path / "old" / "pieces").glob("*.npz"))
    first.write_bytes(first.read_bytes()[:-9])
    with np.load(second) as piece:
        kept = len(piece["ids"])
    assert cut_everywhere(tmp_path, tmp_path / "old", run, monkeypatch, resume_every=40, kept=kept) > 50


class Cramped:
    """A machine that has room for blocks of 4 at first, and of 2 once the first piece is there."""

    def __init__(self, patch):
        self.pieces, work = 0, sys.modules["jaxscale.engine.place.local"]
        run_one = work.run_one
        patch.setattr(sys.modules["jaxscale.engine.machine.devices"], "CPU_WIDTH", 4)

        def cramped(bucket, executable, *rest):
            if executable.width > 2 and self.pieces:
                raise MemoryError("no room for blocks of 4")
            self.pieces += 1
            return run_one(bucket, executable, *rest)

        patch.setattr(work, "run_one", cramped)

    def sweep(self, store, **more):
        self.pieces = 0
        return run(store, seeds=8, width=None, **more)


def test_a_bucket_narrowed(tmp_path, mending, monkeypatch):
    """Whenever the power goes, a bucket is of one width: results of two widths are never mixed."""
    store, cramped = tmp_path / "running", Cramped(monkeypatch)
    log = written_down(store, cramped.sweep, monkeypatch)
    widths, looked = set(), set()
    disk = Disk(store)
    for kind, path, facts in log:
        disk.apply(kind, path, facts)
        for state in disk.worst():
            if digest(state) in looked:
                continue
            looked.add(digest(state))
            found = tmp_path / f"state-{len(looked)}"
            lay_out(state, found)
            with contextlib.suppress(js.StoreError):  # no store yet
                loaded = js.load(found)
                mixed = set(np.unique(loaded.width).tolist()) if "width" in loaded else set()
                mixed = {int(width) for width in mixed if width == width}
                settled = json.loads(loaded.attrs["width"]).values()
                assert mixed <= set(settled), f"runs of widths {mixed}, settled {settled}; cut after {kind} {Path(path).name}"
                widths |= mixed
            shutil.rmtree(found)
    assert widths == {2, 4}


def test_a_narrowed_bucket_is_whole_after_a_power_cut(tmp_path, mending, monkeypatch):
    """The same, where it hurts: the result of resuming."""
    store, cramped = tmp_path / "running", Cramped(monkeypatch)
    log = written_down(store, cramped.sweep, monkeypatch)
    narrow, disk, results = run(seeds=8, width=2), Disk(store), set()
    renamed = [at for at, (kind, path, facts) in enumerate(log) if facts.get("to", "").endswith(".wider")]
    settled = next(at for at in range(renamed[-1], len(log)) if log[at][0] == "fsync folder")
    for kind, path, facts in log[: settled + 1]:
        disk.apply(kind, path, facts)
    for number, state in enumerate(disk.worst()):
        if digest(state) not in results:
            results.add(digest(state))
            lay_out(state, tmp_path / f"state-{number}")
            assert run(tmp_path / f"state-{number}", seeds=8, width=None).equals(narrow)


def test_a_new_folder_is_as_safe_as_what_is_in_it(tmp_path, monkeypatch):
    """A synced file in a folder whose own name was never synced is lost with it: the parents that were made are synced too."""
    log, parent = [], tmp_path / "runs"
    with Tap(parent, lambda kind, path, **facts: log.append((kind, path))).open(monkeypatch):
        run(parent / "store")
    for folder in (parent / "store" / "pieces", parent / "store"):
        made = log.index(("mkdir", str(folder)))
        assert ("fsync folder", str(folder.parent)) in log[made:], f"{folder.name} is not safe in {folder.parent.name}"
