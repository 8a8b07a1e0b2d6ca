"""Memory and cores are the least of what the machine, its control groups and the process's own limits leave."""

import os
import resource

import pytest

from jaxscale.engine.machine import limits

GIB = 2**30


@pytest.fixture
def host(tmp_path):
    """A machine of 64 GiB in files, and what writes more of them."""

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    write(**{"proc/meminfo": f"MemTotal: {64 * 2**20} kB\nMemAvailable: {48 * 2**20} kB\n", "proc/self/statm": "1000 1 1"})
    return lambda files: write(**files)


def v2(folder, most, used, cache=0):
    at, stat = f"sys/fs/cgroup{folder}", f"anon 1\ninactive_file {cache}\n"
    return {f"{at}/memory.max": most, f"{at}/memory.current": str(used), f"{at}/memory.stat": stat}


def v1(folder, most, used):
    at, stat = f"sys/fs/cgroup/memory{folder}", "cache 0\ntotal_inactive_file 0\n"
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.stat")
    return dict(zip((f"{at}/{name}" for name in names), (str(most), str(used), stat)))


NO_LIMIT = 9223372036854771712  # version 1 says so


@pytest.mark.parametrize("files, free", [
    ({}, 48 * GIB),
    ({"proc/self/cgroup": "0::/job"} | v2("/job", str(2 * GIB), GIB // 2), 1.5 * GIB),
    ({"proc/self/cgroup": "0::/job"} | v2("/job", str(2 * GIB), GIB, cache=GIB // 2), 1.5 * GIB),
    ({"proc/self/cgroup": "0::/job/step"} | v2("/job/step", "max", 0) | v2("/job", str(4 * GIB), GIB), 3 * GIB),
    ({"proc/self/cgroup": "0::/not/seen/in/here"} | v2("", str(3 * GIB), GIB), 2 * GIB),
    ({"proc/self/cgroup": "5:cpu,memory:/slurm"} | v1("/slurm", 2 * GIB, GIB), GIB),
    ({"proc/self/cgroup": "5:memory:/slurm\n0::/"} | v1("/slurm", NO_LIMIT, GIB), 48 * GIB),
    ({"proc/self/cgroup": "0::/job"} | v2("/job", str(GIB), 2 * GIB), 0),
])  # fmt: skip
def test_memory(host, files, free):
    assert limits.free_bytes(host(files)) == free


def test_memory_of_a_process_that_limits_itself(host, monkeypatch):
    monkeypatch.setattr(resource, "getrlimit", lambda which: (GIB, GIB))
    assert limits.free_bytes(host({})) == GIB - 1000 * resource.getpagesize()


def test_a_system_that_says_nothing(tmp_path):
    assert limits.free_bytes(tmp_path) == limits.UNKNOWN


@pytest.mark.parametrize("files, most", [
    ({"proc/self/cgroup": "0::/job", "sys/fs/cgroup/job/cpu.max": "200000 100000\n"}, 2),
    ({"proc/self/cgroup": "0::/job", "sys/fs/cgroup/job/cpu.max": "150000 100000\n"}, 2),
    ({"proc/self/cgroup": "0::/job", "sys/fs/cgroup/job/cpu.max": "max 100000\n"}, 64),
    ({"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/cpu.max": "50000 100000\n", "sys/fs/cgroup/a/b/cpu.max": "max 1\n"}, 1),
    ({"proc/self/cgroup": "3:cpu:/job", "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "300000",
      "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000"}, 3),
    ({"proc/self/cgroup": "3:cpu:/job", "sys/fs/cgroup/cpu/job/cpu.cfs_quota_us": "-1",
      "sys/fs/cgroup/cpu/job/cpu.cfs_period_us": "100000"}, 64),
])  # fmt: skip
def test_cores(host, monkeypatch, files, most):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(64), raising=False)
    assert limits.cores(host(files)) == most
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(1), raising=False)
    assert limits.cores(host(files)) == 1
