"""`part=(i, n)`: a sweep cut among processes that share nothing but a folder; locks, kills, and looking meanwhile."""

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import jaxscale as js
from jaxscale.engine.store.disk import DiskStore

CHILD = '''
"""The sweep in another process: a store, and what to ask for; says what it does, a line each."""

import json
import sys
import time

from jaxscale.engine.place import local as work

work.PIECE_SECONDS, work.FIRST_BLOCKS = 0.01, 1
import jaxscale as js
from coupled_maps import COMMON, maps

asked = json.loads(sys.argv[2])
linger = asked.pop("linger", 0.0)


def say(event):
    facts = {name: value for name, value in event.facts.items() if isinstance(value, int | float | str)}
    print(json.dumps({"event": event.name, **facts}), flush=True)
    time.sleep(linger if event.name == "piece" else 0.0)


js.sweep(maps, store=sys.argv[1], listeners=[say], **(COMMON | asked))
'''
RUNS = 24


@pytest.fixture(scope="module")
def sweep(chaos, devices):
    """The sweep in this process, on one device."""

    def sweep(store=None, **changes):
        return js.sweep(chaos.maps, store=store, devices=devices[:1], **(chaos.COMMON | changes))

    return sweep


@pytest.fixture(scope="module")
def whole(sweep):
    """What the parts must add up to."""
    return sweep()


@pytest.fixture
def start(tmp_path, chaos):
    """Start the sweep in another process, where a warning is an error."""
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    running = []

    def start(store, **asked):
        folder = os.path.dirname(chaos.__file__)
        env = os.environ | {"JAX_NUM_CPU_DEVICES": "1", "PYTHONPATH": os.pathsep.join([folder, *sys.path])}
        command = [sys.executable, "-W", "error::UserWarning", str(script), str(store), json.dumps(asked)]
        running.append(subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        return running[-1]

    yield start
    for child in running:
        child.kill()
        child.communicate()


def events(child, name):
    """Facts of every event of this name, to the end of the process."""
    for line in child.stdout:
        if line.startswith("{") and (facts := json.loads(line))["event"] == name:
            yield facts


def stored(store):
    """Identities of all runs of all pieces."""
    found = [piece.ids for pieces in DiskStore.read(store).pieces().values() for piece in pieces]
    return np.concatenate(found) if found else np.zeros(0, np.uint64)


def assert_nothing_twice(store, runs=RUNS):
    ids = stored(store)
    assert len(ids) == len(np.unique(ids)) == runs


def twice(store):
    """How many runs are stored more than once."""
    return int((np.unique(stored(store), return_counts=True)[1] > 1).sum())


def missing(result):
    """Runs that are not there; the others are there at every time."""
    if "first" not in result:  # nobody has finished a run, and what they observe is not known
        return RUNS
    holes = result.first.isnull()
    assert bool((holes.any("time") == holes.all("time")).all())
    return int(holes.all("time").sum())


def assert_agrees(result, whole):
    """Every bit that is there is the whole's."""
    for name, values in whole.items():
        there = ~result[name].isnull().values
        assert np.array_equal(result[name].values[there], values.values[there]), name


def together(*calls):
    """Sweeps at the same time, a thread each, that wait for each other once they know what is left to do."""
    barrier, outcome = threading.Barrier(len(calls)), [None] * len(calls)

    def meet(event):
        if event.name == "planned":
            with contextlib.suppress(threading.BrokenBarrierError):
                barrier.wait(20)

    def run(place, call):
        try:
            outcome[place] = call(meet)
        except Exception as error:
            outcome[place] = error
            barrier.abort()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcome


@pytest.mark.parametrize("n, order", [(2, [1, 0]), (5, [3, 0, 4, 1, 2])])
def test_one_after_the_other(sweep, whole, tmp_path, n, order):
    done = 0
    for i in order:
        result = sweep(tmp_path, part=(i, n))
        own = result.attrs["runs_computed"]
        assert RUNS // n <= own <= RUNS // n + 1  # fair shares
        done += own
        assert missing(result) == RUNS - done
    assert result.equals(whole) and js.load(tmp_path).equals(whole)
    assert_nothing_twice(tmp_path)
    again = sweep(tmp_path)
    assert again.equals(whole) and again.attrs["runs_computed"] == 0


def test_the_last_part_leaves_no_litter(sweep, tmp_path):
    litter = [f"checkpoints/{'ab' * 10}", f"pieces/.{'ab' * 10}.npz.12.0123abcd"]
    for i in range(2):
        sweep(tmp_path, part=(i, 3))
    (tmp_path / litter[0]).write_text("0123456789abcdef" * 4 + "of a part that was killed")
    (tmp_path / litter[1]).write_bytes(b"")
    sweep(tmp_path, part=(0, 3))
    assert all((tmp_path / file).exists() for file in litter), "others may still write"
    sweep(tmp_path, part=(2, 3))
    assert not any((tmp_path / file).exists() for file in litter) and not list((tmp_path / "checkpoints").iterdir())


def test_every_part_has_runs_of_every_cell(sweep, tmp_path):
    result = sweep(tmp_path, part=(2, 4))
    assert (~result.first.isnull()).all("time").sum("seed").values.tolist() == [2, 2, 2]


def test_more_parts_than_runs(sweep, tmp_path):
    few = dict(seeds=1, grid={"rate": [3.7]})
    assert sweep(tmp_path, part=(2, 3), **few).attrs["runs_computed"] == 0
    assert sweep(tmp_path, part=(0, 3), **few).equals(sweep(**few))


def test_crossed_and_static(sweep, tmp_path):
    asked = dict(seeds={"data": 3, "init": 4}, static={"kind": [0, 1]})
    for i in range(2):
        result = sweep(tmp_path, part=(i, 2), **asked)
        there = (~result.first.isnull()).all("time")
        assert bool((there.any("init") == there.all("init")).all())  # runs that share their disorder stay together
    assert result.equals(sweep(**asked))
    assert_nothing_twice(tmp_path, 2 * 3 * 12)


def test_reduce(sweep, tmp_path):
    kind = "quantiles"
    for i in (1, 2, 0):
        result = sweep(tmp_path, part=(i, 3), reduce=kind)
        assert int(result.runs.isel(time=0).sum()) == RUNS // 3 * {1: 1, 2: 2, 0: 3}[i]
    plain = sweep(reduce=kind)
    assert result.runs.equals(plain.runs) and result.censored.equals(plain.censored)
    np.testing.assert_allclose(result.first.sel(statistic="mean"), plain.first.sel(statistic="mean"), rtol=1e-5)
    assert result.first.sel(statistic=["min", "max"]).equals(plain.first.sel(statistic=["min", "max"]))
    np.testing.assert_allclose(result.first_quantile, plain.first_quantile, rtol=1e-5)


def test_parts_then_more_seeds(sweep, whole, tmp_path):
    for i in range(2):
        sweep(tmp_path, part=(i, 2))
    more = [sweep(tmp_path, part=(i, 3), seeds=11) for i in range(3)]
    assert sum(result.attrs["runs_computed"] for result in more) == 3 * 3
    assert more[-1].equals(sweep(seeds=11)) and more[-1].isel(seed=slice(8)).equals(whole)
    assert_nothing_twice(tmp_path, 33)


def test_whole_sweep_finishes_what_a_part_began(sweep, whole, tmp_path):
    sweep(tmp_path, part=(1, 3))
    result = sweep(tmp_path)
    assert result.equals(whole) and result.attrs["runs_computed"] == 16
    assert_nothing_twice(tmp_path)


def test_parts_of_another_sweep_are_refused(sweep, tmp_path):
    sweep(tmp_path, part=(0, 2))
    with pytest.raises(js.StoreError, match="belongs to another sweep: its 'root'"):
        sweep(tmp_path, part=(1, 2), root=1)
    with pytest.raises(js.StoreError, match="has width 2; got width=4"):
        sweep(tmp_path, part=(1, 2), width=4)


def test_parts_agree_on_a_width(sweep, tmp_path):
    widths = [sweep(tmp_path, part=(i, 2), width=None).attrs["width"] for i in range(2)]
    assert widths[0] == widths[1]


@pytest.mark.parametrize(
    "part",
    [(0,), (0, 1, 2), (2, 2), (-1, 2), (0, 0), (0, -1), (0.5, 2), (0, 1.5), (True, 2), ("0", "2"), "01", 1, {0: 1}],
    ids=str,
)
def test_bad_part(sweep, tmp_path, part):
    with pytest.raises((ValueError, TypeError), match=re.escape("part must be (i, n)")):
        sweep(tmp_path / "store", part=part)
    assert not (tmp_path / "store").exists()


def test_part_as_numpy_makes_it(sweep, whole, tmp_path):
    for i in np.arange(2):
        result = sweep(tmp_path, part=(i, np.int64(2)))
    assert result.equals(whole)
    assert sweep(tmp_path, part=[0, 2]).equals(whole)


def test_part_needs_a_store(sweep):
    with pytest.raises(ValueError, match="pass store="):
        sweep(part=(0, 2))


def test_at_the_same_time_in_processes(whole, tmp_path, start):
    """Two parts begin together in a new folder; readers look all the while."""
    store = tmp_path / "store"
    children = [start(store, part=(i, 2), linger=0.1) for i in range(2)]
    seen = []
    while any(child.poll() is None for child in children):
        if (store / "manifest.json").exists():
            now = js.load(store)
            assert all(now.sizes[name] == size for name, size in whole.sizes.items())
            seen.append(missing(now))
            if seen[-1] < RUNS:
                assert_agrees(now, whole)
        time.sleep(0.1)
    assert [child.wait() for child in children] == [0, 0]
    assert seen == sorted(seen, reverse=True)  # what is there stays there
    assert any(0 < left < RUNS for left in seen)
    assert js.load(store).equals(whole)
    assert_nothing_twice(store)
    computed = [sum(facts["runs"] for facts in events(child, "piece")) for child in children]
    assert computed == [12, 12]


def test_killed_part_resumes(sweep, whole, tmp_path, start):
    store = tmp_path / "store"
    child = start(store, part=(1, 2), linger=0.05)
    pieces = events(child, "piece")
    before = sum(next(pieces)["runs"] for _ in range(2))
    child.kill()
    child.wait()
    left = missing(js.load(store))
    assert RUNS - 12 < left <= RUNS - before
    # nobody holds anything: the same part, another one, and the whole may go on
    planned = []
    listen = [lambda event: planned.append(event.facts["pending"]) if event.name == "planned" else None]
    part = sweep(store, part=(1, 2), listeners=listen)
    assert missing(part) == 12 and planned == [left - 12] and part.attrs["runs_computed"] == left - 12
    assert sweep(store, part=(0, 2)).equals(whole)
    assert sweep(store).equals(whole)
    assert_nothing_twice(store)


def test_refused_while_a_part_runs(sweep, tmp_path, start):
    store = tmp_path / "store"
    child = start(store, part=(0, 2), linger=60)
    next(events(child, "piece"))  # it holds its part now, and lingers
    for part in ((0, 2), None):  # the same part, the whole
        with pytest.raises(js.StoreError, match=f"is being written by process {child.pid} on .* since .*Wait for it"):
            sweep(store, part=part)
    before = missing(js.load(store))
    result = sweep(store, part=(1, 2))  # the other part is welcome
    assert result.attrs["runs_computed"] == 12 and missing(result) == before - 12


def test_refused_while_the_whole_runs(sweep, tmp_path):
    refused = []

    def intrude(event):
        if event.name == "piece" and not refused:
            for part in ((0, 2), (1, 2), None):
                with pytest.raises(js.StoreError, match=f"is being written by process {os.getpid()} .*Wait for it"):
                    sweep(tmp_path, part=part)
                refused.append(part)

    sweep(tmp_path, listeners=[intrude])
    assert len(refused) == 3
    sweep(tmp_path, part=(0, 2))  # and the lock is let go


def test_the_dead_are_not_named(sweep, tmp_path):
    """A killed process leaves its name in its lock file; who asks in vain is told of the living only."""
    sweep(tmp_path, part=(1, 2))
    for name in ("lock", "lock.1-of-2"):
        (tmp_path / name).write_text("process 4194305 on another machine since 2020-01-01 00:00:00")
    told = []

    def ask(event):
        if event.name == "piece" and not told:
            with pytest.raises(js.StoreError, match="is being written by") as refused:
                sweep(tmp_path)
            told.append(str(refused.value))

    sweep(tmp_path, part=(0, 2), listeners=[ask])
    assert f"process {os.getpid()} " in told[0] and "4194305" not in told[0]


@pytest.mark.parametrize("reduce", [False, True])
def test_two_ways_to_cut_at_the_same_time(sweep, tmp_path, reduce):
    """Parts of 2 and of 3 overlap: the second is refused, or does only what the first does not."""
    together(
        lambda meet: sweep(tmp_path, part=(0, 2), reduce=reduce, listeners=[meet]),
        lambda meet: sweep(tmp_path, part=(1, 3), reduce=reduce, listeners=[meet]),
    )
    if reduce:
        most = js.load(tmp_path).runs.max("time").values.tolist()
        assert max(most) <= 8
    else:
        assert twice(tmp_path) == 0


@pytest.mark.parametrize("reduce", [False, True])
def test_parts_of_two_sizes_at_the_same_time(sweep, tmp_path, reduce):
    """The same parts, but one asks for more seeds, so that its parts are others."""
    together(
        lambda meet: sweep(tmp_path, part=(1, 2), reduce=reduce, listeners=[meet]),
        lambda meet: sweep(tmp_path, part=(0, 2), seeds=13, reduce=reduce, listeners=[meet]),
    )
    if reduce:
        most = js.load(tmp_path).runs.max("time").values.tolist()
        assert np.all(np.array(most) <= [13, 8, 8])
    else:
        assert twice(tmp_path) == 0


def test_one_part_out_of_memory(sweep, tmp_path, monkeypatch):
    """All runs of a bucket have one width, also when one part finds that it must be smaller while another one runs."""
    work = sys.modules["jaxscale.engine.place.local"]
    run_cohort, halved, later = work.run_cohort, threading.Event(), []
    monkeypatch.setattr(sys.modules["jaxscale.engine.machine.devices"], "CPU_WIDTH", 8)
    monkeypatch.setattr(work, "FIRST_BLOCKS", 1)

    def short_of_memory(executable, *arguments, **options):
        if executable.width > 4 and threading.current_thread().name == "small":
            raise MemoryError("Out of memory")
        if halved.is_set():
            later.append(executable.width)
        return run_cohort(executable, *arguments, **options)

    def wait(event):
        if event.name == "piece":
            halved.wait(30)

    def run(part, listeners=()):
        with contextlib.suppress(js.StoreError, MemoryError):  # to say so is fine
            sweep(tmp_path, part=part, width=None, seeds=16, listeners=listeners)

    monkeypatch.setattr(work, "run_cohort", short_of_memory)
    large = threading.Thread(target=run, args=((0, 2), [wait]))
    large.start()
    while large.is_alive() and not list((tmp_path / "pieces").glob("*.done")):
        time.sleep(0.01)
    small = threading.Thread(target=run, args=((1, 2),), name="small")
    small.start()
    small.join()
    halved.set()
    large.join()
    width = json.loads((tmp_path / "manifest.json").read_text())["buckets"]["{}"]["width"]
    assert width in (4, 8) and set(later) <= {width}
    assert sweep(tmp_path, width=None, seeds=16).equals(sweep(width=width, seeds=16))


def test_strangers_in_the_folder(sweep, tmp_path):
    """What a store did not write is none of its business."""
    strangers = [".gitignore", "pieces/.gitkeep", ".ipynb_checkpoints/notes.ipynb"]
    for name in strangers:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
    sweep(tmp_path)
    assert all((tmp_path / name).read_text() == "mine" for name in strangers)
