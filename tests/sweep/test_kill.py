"""kill -9 at any moment costs the piece in flight and nothing else."""

import os
import random
import subprocess
import sys
import time
from hashlib import sha256

import numpy as np
import pytest

import jaxscale as js

KILLS = 24
CHILD = """
import sys

import jax
import jaxscale as js
from jaxscale.sweep import work as run

run.PIECE_SECONDS, run.FIRST_BLOCKS = 0.01, 4


@js.record
class Walk:
    rate: jax.Array
    d: int = js.static(default=2)

    def sample(self, key):
        return jax.random.uniform(key)

    def init(self, key, data):
        return jax.random.uniform(key, (self.d,))

    def step(self, key, state, data):
        return 3.9 * state * (1 - state) * (1 - self.rate * data) + 1e-3 * jax.random.uniform(key)

    def observe(self, state, data):
        return {"first": state[0], "mean": state.mean()}


def walk(rate, d):
    return Walk(rate=rate, d=d)


if __name__ == "__main__":
    js.sweep(walk, grid={"rate": [0.01 * i for i in range(10)]}, static={"d": [2, 3]}, seeds=8, times=[0, 100, STEPS],
             width=2, store=sys.argv[1], progress=False)
"""


@pytest.fixture
def start(tmp_path):
    """Start the sweep into a folder, in another process, where a warning (about a damaged piece) is an error."""
    script = tmp_path / "child.py"
    script.write_text(CHILD.replace("STEPS", "20_000"))

    def start(store, cache):
        env = os.environ | {
            "JAX_NUM_CPU_DEVICES": "1",
            "JAX_COMPILATION_CACHE_DIR": str(tmp_path / cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        return subprocess.Popen([sys.executable, "-W", "error::UserWarning", str(script), str(store)], env=env)

    return start


def marks(store):
    """Names of the finished pieces, every one of them whole."""
    found = sorted((store / "pieces").glob("*.done"))
    for mark in found:
        assert sha256(mark.with_suffix(".npz").read_bytes()).hexdigest() == mark.read_text()
    for piece in (store / "pieces").glob("*.npz"):
        with np.load(piece) as arrays:
            assert all(len(arrays[name]) for name in arrays.files if name != "bucket")
    return {mark.stem for mark in found}


@pytest.mark.slow
def test_killed_at_any_moment(tmp_path, start):
    assert start(tmp_path / "first", "calm-cache").wait() == 0
    began = time.monotonic()
    assert start(tmp_path / "calm", "calm-cache").wait() == 0
    duration = time.monotonic() - began  # with everything compiled, about half of it is importing and half is running
    calm = js.load(tmp_path / "calm")
    assert calm.equals(js.load(tmp_path / "first"))
    assert len(marks(tmp_path / "calm")) > 10 and not calm["first"].isnull().any()

    moments, kills, attempt, done = random.Random(0), 0, 0, set()
    while True:
        store = tmp_path / f"killed-{attempt}"
        child = start(store, "cache")  # empty at first, so that compiling is killed too
        try:
            code = child.wait(moments.uniform(0.02, duration) if kills < KILLS else None)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            kills += 1
            assert done <= marks(store)  # what was finished stays finished
            done = marks(store)
            continue
        assert code == 0
        assert js.load(store).equals(calm)
        if kills == KILLS:
            break
        attempt, done = attempt + 1, set()  # finished between two kills: begin another
