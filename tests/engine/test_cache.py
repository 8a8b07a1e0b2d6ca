"""Compiled programs are kept between processes, also where a process was killed while it wrote one."""

import importlib.util
import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from jaxscale.engine.machine.cache import CHECKED, SKEW, drop_cut_entries

CHILD = """
import jax
from jax._src import monitoring
seen = []
monitoring.register_event_listener(lambda name, **kw: seen.append(name))
import jaxscale as js
from jaxscale.models.perceptron import Perceptron

def experiment(temperature):
    return js.sgd(Perceptron(d=4, alpha=2.0), temperature=temperature)

def run():
    runs = js.sweep(experiment, grid={"temperature": [0.1, 0.2]}, seeds=4, times=[0, 5], progress=False)
    print(*(seen.count(f"/jax/compilation_cache/cache_{kind}") for kind in ("misses", "hits")), float(runs.norm.sum()))

run()
"""


def test_a_second_process_compiles_only_what_was_cut(tmp_path):
    script, cache = tmp_path / "child.py", tmp_path / "cache"
    script.write_text(CHILD)
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache), "JAX_NUM_CPU_DEVICES": "1"}
    environment.pop("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", None)

    def run():
        command = [sys.executable, "-W", "error::UserWarning", script]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
        misses, hits, total = ran.stdout.split()
        return int(misses), int(hits), total

    misses, hits, total = run()
    assert misses >= 2 and hits == 0
    (program,) = cache.glob("jit__advance-*-cache")
    whole = program.read_bytes()
    program.write_bytes(whole[: len(whole) // 2])  # what kill -9 leaves
    assert run() == (1, misses - 1, total)
    assert len(program.read_bytes()) > len(whole) // 2


def written(folder: Path, **entries):
    for name, content in entries.items():
        (folder / f"{name}-cache").write_bytes(content)


def kept(folder: Path):
    drop_cut_entries.cache_clear()
    drop_cut_entries(str(folder), 1)
    return {path.name.removesuffix("-cache") for path in folder.glob("*-cache")}


def test_cut_and_empty_entries_go_and_whole_ones_stay(tmp_path):
    whole = zlib.compress(bytes(range(256)) * 40)
    written(tmp_path, whole=whole, cut=whole[:-1], empty=b"")
    (tmp_path / "cut-atime").write_bytes(b"a file that is no entry")
    assert kept(tmp_path) == {"whole"} and (tmp_path / "cut-atime").exists()
    written(tmp_path, later=whole[:20])
    drop_cut_entries(str(tmp_path), 1)
    assert (tmp_path / "later-cache").exists()  # this process has looked
    drop_cut_entries(str(tmp_path), 2)
    assert not (tmp_path / "later-cache").exists()  # one forked from it has not


def test_entries_older_than_the_last_look_are_not_unpacked_again(tmp_path):
    written(tmp_path, old=b"cut")
    (tmp_path / CHECKED).touch()
    before = (tmp_path / CHECKED).stat().st_mtime - SKEW - 1.0
    os.utime(tmp_path / "old-cache", (before, before))
    assert kept(tmp_path) == {"old"}


@pytest.mark.skipif(importlib.util.find_spec("zstandard") is None, reason="needs zstandard")
def test_entries_packed_with_zstandard(tmp_path):
    whole = importlib.import_module("zstandard").ZstdCompressor().compress(bytes(range(256)) * 40)
    written(tmp_path, whole=whole, cut=whole[:-1])
    assert kept(tmp_path) == {"whole"}


@pytest.mark.parametrize("folder", [None, "gs://bucket/cache", "/no/such/folder"])
def test_no_folder_on_this_machine_is_left_alone(folder):
    drop_cut_entries.cache_clear()
    drop_cut_entries(folder, 1)
