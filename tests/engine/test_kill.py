"""kill -9 at any moment costs the piece in flight and nothing else."""

import collections
import json
import os
import random
import subprocess
import sys
from hashlib import sha256

import numpy as np
import pytest

import jaxscale as js
from jaxscale.cli import main
from jaxscale.cli.codes import OK

KILLS, RUNS = 200, 2 * 10 * 4
CHILD = """
import json
import os
import signal
import sys
import time

import jax
import jax.numpy as jnp
import xarray  # what load needs, so that no child imports it anew

import jaxscale as js
from jaxscale.engine.place import local as work

work.PIECE_SECONDS, work.FIRST_BLOCKS = 0.0, 4  # pieces stay as large as the first, however fast the machine
TIMES = [0, *range(500, 3001, 500)]


def uniform(key):
    return jax.random.key_data(key)[0].astype(jnp.float32) / 2.0**32


@js.record
class Walk:
    rate: jax.Array
    d: int = js.static(default=2)

    def sample(self, key):
        return uniform(key)

    def init(self, key, data):
        return uniform(key) * jnp.arange(1.0, self.d + 1.0) / self.d

    def step(self, key, state, data):
        return 3.9 * state * (1 - state) * (1 - self.rate * data)

    def observe(self, state, data):
        return {"first": state[0], "mean": state.mean()}


def walk(rate, d):
    return Walk(rate=rate, d=d)


def sweep(store, log=os.devnull):
    told = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def tell(event):
        last = event.name == "segment" and event.facts["step"] == TIMES[-1]
        name = "committing" if last else event.name
        os.write(told, f"{name} {event.facts.get('pending', -1)}\\n".encode())

    js.sweep(walk, grid={"rate": [0.01 * i for i in range(10)]}, static={"d": [2, 3]}, seeds=4, times=TIMES, width=2,
             store=store, progress=False, listeners=[tell], checkpoint=0.005)


def reached(log, event, count):
    try:
        with open(log) as lines:
            return sum(line.startswith(event) for line in lines) >= count
    except FileNotFoundError:
        return False


def serve():
    # One warm process that never starts JAX, so that a child costs its own work and no imports.
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                sweep(order["store"], order["log"])
                code = 0
            except BaseException:
                sys.excepthook(*sys.exc_info())
            finally:
                os._exit(code)
        began, ended = time.monotonic(), 0
        while not ended:
            time.sleep(0.002)
            ended, status = os.waitpid(child, os.WNOHANG)
            waited = time.monotonic() - began > order["seconds"]
            if not ended and order["event"] and reached(order["log"], order["event"], order["count"]):
                time.sleep(order["delay"])
                waited = True
            if not ended and waited:
                os.kill(child, signal.SIGKILL)
                ended, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    serve() if len(sys.argv) == 1 else sweep(sys.argv[1])
"""
MOMENTS = ("settled", "planned", "compiled", "resumed", "segment", "checkpoint", "committing", "piece", "done")


@pytest.fixture
def script(tmp_path):
    """The sweep as a script, for processes in which a warning (about a damaged piece) is an error."""
    path = tmp_path / "child.py"
    path.write_text(CHILD)
    return [sys.executable, "-W", "error::UserWarning", "-W", "ignore:os.fork() was called:RuntimeWarning", str(path)]


@pytest.fixture
def environment(tmp_path):
    return lambda cache: (
        os.environ
        | {
            "JAX_NUM_CPU_DEVICES": "1",
            "JAX_COMPILATION_CACHE_DIR": str(tmp_path / cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
    )


def marks(store):
    """{name of a finished piece: its runs}; every one is whole, and so is what has no mark yet, and every checkpoint."""
    found = sorted((store / "pieces").glob("*.done"))
    for mark in found:
        assert sha256(mark.with_suffix(".npz").read_bytes()).hexdigest() == mark.read_text()
    for piece in (store / "pieces").glob("[!.]*.npz"):
        with np.load(piece) as arrays:
            assert all(len(arrays[name]) for name in arrays.files if arrays[name].ndim)
    for saved in (store / "checkpoints").glob("[!.]*"):
        content = saved.read_bytes()
        assert sha256(content[64:]).hexdigest().encode() == content[:64]
    return {mark.stem: np.load(mark.with_suffix(".npz"))["ids"].tolist() for mark in found}


def account(store, calm):
    """How many runs are done; those and the pending ones are all that were asked for, each once, and right."""
    ids = [run for runs in marks(store).values() for run in runs]
    assert len(ids) == len(set(ids))
    if (store / "manifest.json").exists():
        seen = js.load(store)
        assert main(["status", str(store)]) == main(["watch", str(store), "--once"]) == OK
        there = seen["diverged_at"].notnull() if "first" in seen else np.zeros(RUNS, bool)
        assert int(there.sum()) == len(ids) and there.size == RUNS
        if ids:
            assert seen.where(there).equals(calm.where(there))
    else:
        assert not ids
    return len(ids)


class Children:
    """Sweeps in processes of their own, killed when asked."""

    def __init__(self, process):
        self.process = process

    def run(self, store, log, seconds=600.0, event="", count=1, delay=0.0):
        """Exit code of a sweep into `store`, killed after so many seconds, or so long after the event was told."""
        order = dict(store=str(store), log=str(log), seconds=seconds, event=event, count=count, delay=delay)
        self.process.stdin.write(json.dumps(order) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@pytest.fixture
def children(script, environment):
    with subprocess.Popen(
        script, env=environment("cache"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Children(process)
        process.stdin.close()


def told(log):
    """[(event, pending)] of one process."""
    return [(name, int(pending)) for name, pending in map(str.split, log.read_text().splitlines())] if log.exists() else []


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path, script, environment, children):
    assert subprocess.run([*script, str(tmp_path / "calm")], env=environment("calm-cache")).returncode == 0
    calm = js.load(tmp_path / "calm")
    assert len(marks(tmp_path / "calm")) == 10 and not calm["first"].isnull().any()

    moments, phases, kills, attempt, resumed = random.Random(0), collections.Counter(), 0, 0, 0
    finished, done = {}, 0
    while True:
        store, log = tmp_path / f"killed-{attempt}", tmp_path / f"log-{attempt}-{kills}"
        if kills == KILLS:
            when = {}
        elif moments.random() < 0.5:
            when = {"seconds": moments.choice([0.25, 2.0]) * moments.random()}
        else:
            when = {"event": moments.choice(MOMENTS), "count": moments.randint(1, 4), "delay": moments.expovariate(300)}
        code = children.run(store, log, **when)
        events = told(log)
        planned = [pending for name, pending in events if name == "planned"]
        assert not planned or planned == [RUNS - done]  # of the process that was killed, about what the one before left
        resumed += sum(name == "resumed" for name, _ in events)
        now = marks(store)
        assert all(now.get(name) == runs for name, runs in finished.items())  # what was finished stays finished
        finished, done = now, account(store, calm)
        if code == -9:
            kills += 1
            # the last event written, and the one that was waited for: milliseconds later the next may be written too
            phases.update({events[-1][0] if events else "started", *({when["event"]} if "event" in when else ())})
            continue
        assert code == 0 and done == RUNS
        assert js.load(store).equals(calm)
        assert not list(store.rglob("*.damaged"))
        if kills == KILLS:
            break
        attempt, finished, done = attempt + 1, {}, 0  # finished between two kills: begin another
    assert set(phases) >= {"started", "settled", "planned", "compiled", "segment", "checkpoint", "committing", "piece"}, phases
    assert resumed > 10
