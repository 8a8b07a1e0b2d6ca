"""Several processes under `jax.distributed`, on loopback: everyone computes a share and gets the whole, bit for bit."""

import json
import os
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

import jaxscale as js
from jaxscale.engine.store.disk import DiskStore

SCRIPT = '''
"""One process of a pod: makes the sweeps it is asked for, and keeps the result of each."""

import json
import sys
import time

import jaxscale as js
import jax

port, processes, index, folder, ways, late = json.loads(sys.argv[1])
jax.config.update("jax_num_cpu_devices", 1)
jax.distributed.initialize(f"127.0.0.1:{port}", num_processes=processes, process_id=index)
from coupled_maps import COMMON, WAYS, maps


def linger(event):
    if event.name == "planned" and index:
        time.sleep(late)


assert jax.process_count() == processes
for way in ways:
    asked = dict(WAYS[way])
    if asked.pop("store", False):
        asked["store"] = f"{folder}/{'reduced' if 'reduce' in asked else 'store'}"
    result = js.sweep(maps, listeners=[linger], **(COMMON | asked))
    result.attrs = {name: str(value) for name, value in result.attrs.items()}
    result.to_netcdf(f"{folder}/{way}-{index}.nc", engine="scipy")
    print(json.dumps([way, result.attrs["runs_computed"]]), flush=True)
'''
PATIENCE = 120  # seconds, for all sweeps of a pod


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Pod:
    """Results of every process by way, once all have ended; none outlives the first that fails."""

    def __init__(self, chaos, folder, processes, ways, late=0):
        self.folder, self.processes = folder, processes
        (folder / "pod.py").write_text(SCRIPT)
        env = os.environ | {"PYTHONPATH": os.pathsep.join([os.path.dirname(chaos.__file__), *sys.path])}
        port = free_port()
        children = []
        for index in range(processes):
            asked = json.dumps([port, processes, index, str(folder), ways, late])
            with open(folder / f"log-{index}", "w") as log:
                command = [sys.executable, str(folder / "pod.py"), asked]
                children.append(subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT))
        try:
            self._wait(children)
        finally:
            for child in children:
                child.kill()
                child.wait()
        logs = [(folder / f"log-{index}").read_text() for index in range(processes)]
        said = [[json.loads(line) for line in log.splitlines() if line.startswith('["')] for log in logs]
        assert all(len(lines) == len(ways) for lines in said), "\n".join(log[-3000:] for log in logs)
        self.computed = {way: [int(float(dict(lines)[way])) for lines in said] for way in ways}

    def _wait(self, children):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end and any(child.poll() is None for child in children):
            failed = any(child.poll() for child in children)  # or waits for the others to hear of it
            if failed or any("Traceback" in log.read_text() for log in self.folder.glob("log-*")):
                return
            time.sleep(0.05)

    def results(self, way):
        """What each process got."""
        import xarray

        found = []
        for index in range(self.processes):
            with xarray.open_dataset(self.folder / f"{way}-{index}.nc", engine="scipy", decode_times=False) as result:
                found.append(result.load())
        return found


def plain(chaos, devices, way):
    """The same sweep in this process, on one device."""
    asked = {name: value for name, value in chaos.WAYS[way].items() if name != "store"}
    return js.sweep(chaos.maps, devices=devices[:1], **(chaos.COMMON | asked))


def assert_same(result, expected):
    """Bit for bit, types apart: netCDF has no int64."""
    assert set(result) == set(expected) and result.sizes == expected.sizes
    for name, values in expected.items():
        assert result[name].dims == values.dims
        assert np.array_equal(result[name].values, values.values, equal_nan=values.dtype.kind == "f"), name


def assert_same_moments(result, expected):
    """Counts are exact; sums over runs agree to float32 rounding."""
    assert set(result) == set(expected)
    for name in ("runs", "diverged", "censored"):
        assert np.array_equal(result[name], expected[name]), name
    for name in ("first", "coupling"):
        mean, ends = ({"statistic": which} for which in (["mean"], ["min", "max"]))
        assert np.array_equal(result[name].sel(ends), expected[name].sel(ends))
        np.testing.assert_allclose(result[name].sel(mean), expected[name].sel(mean), rtol=1e-5)
        if f"{name}_quantile" in expected:
            np.testing.assert_allclose(result[f"{name}_quantile"], expected[f"{name}_quantile"], rtol=1e-5)


def assert_nothing_twice(store, runs):
    ids = np.concatenate([piece.ids for pieces in DiskStore.read(store).pieces().values() for piece in pieces])
    assert len(ids) == len(np.unique(ids)) == runs


def check(pod, chaos, devices, way, shares):
    """Everyone has the whole, and computed its share."""
    assert pod.computed[way] == shares
    expected = plain(chaos, devices, way)
    for result in pod.results(way):
        (assert_same_moments if "reduce" in way else assert_same)(result, expected)
    assert all(result.equals(pod.results(way)[0]) for result in pod.results(way))


def test_two_processes(chaos, devices, tmp_path):
    shares = {"memory": [12, 12], "store": [12, 12], "again": [0, 0], "few": [1, 0], "reduce": [12, 12]}
    pod = Pod(chaos, tmp_path, 2, list(shares))
    for way, own in shares.items():
        check(pod, chaos, devices, way, own)
    assert_nothing_twice(tmp_path / "store", 24)
    result = js.sweep(chaos.maps, store=tmp_path / "store", devices=devices[:1], **chaos.COMMON)  # alone, later
    assert result.attrs["runs_computed"] == 0
    assert_same(pod.results("store")[0], result)


@pytest.mark.slow
def test_four_processes(chaos, devices, tmp_path):
    shares = {
        "memory": [6] * 4, "few": [1, 0, 0, 0], "crossed": [6, 6, 3, 3], "static": [4] * 4, "store": [6] * 4,
        "again": [0] * 4, "reduce": [6] * 4, "reduce stored": [6] * 4,
    }  # fmt: skip
    pod = Pod(chaos, tmp_path, 4, [*shares, "more"])
    for way, own in shares.items():
        check(pod, chaos, devices, way, own)
    assert sum(pod.computed["more"]) == 9
    check(pod, chaos, devices, "more", pod.computed["more"])
    assert_nothing_twice(tmp_path / "store", 33)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["memory", "store"])
def test_one_process_takes_longer(chaos, devices, tmp_path, way):
    """Shares are never equally long: whoever is done waits, for longer than collectives like to."""
    pod = Pod(chaos, tmp_path, 2, [way], late=45)
    check(pod, chaos, devices, way, [12, 12])


def test_folders_that_are_not_shared(chaos, devices, tmp_path, monkeypatch):
    """Each process writes a folder of its own: refused, instead of a result with holes."""
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr("jaxscale.engine.sweeping.agree", lambda number: number)
    monkeypatch.setattr("jax.experimental.multihost_utils.sync_global_devices", lambda name: None)
    with pytest.raises(js.StoreError, match="12 runs of other processes are not in store=.*one folder that all processes see"):
        js.sweep(chaos.maps, store=tmp_path, devices=devices[:1], **chaos.COMMON)
