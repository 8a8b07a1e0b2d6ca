"""What of the host is ours: the least that the machine, its control groups and the limits of the process leave.

Containers, SLURM and hosted notebooks limit by control groups, of which /proc/meminfo and the number of cores say nothing.
"""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

UNKNOWN = 8 * 2**30  # bytes, where the system does not say


def free_bytes(root: Path = Path("/")) -> int:
    """Return the bytes of host memory that are free for this process: of the machine, every control group it is in (versions 1
    and 2, less what is used, caches that can go apart) and RLIMIT_AS.
    """
    rooms = [*_meminfo(root), *_rlimit(root)]
    for folder in _groups(root, "memory"):
        rooms += _group_memory(folder, "memory.max", "memory.current", "inactive_file")
        rooms += _group_memory(folder, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    return max(min(rooms, default=UNKNOWN), 0)


def cores(root: Path = Path("/")) -> int:
    """Return how many CPU cores this process may use: its affinity, and the quota of every control group it is in."""
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    shares = [quota for folder in _groups(root, "cpu") for quota in _quota(folder)]
    return max(1, min(mine, *(math.ceil(share) for share in shares), mine))


def _meminfo(root: Path) -> Iterator[int]:
    with contextlib.suppress(OSError, KeyError, ValueError):
        fields = dict(line.split(":") for line in (root / "proc/meminfo").read_text().splitlines())
        yield int(fields["MemAvailable"].split()[0]) * 1024


def _rlimit(root: Path) -> Iterator[int]:
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # not on Windows

        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        if most != resource.RLIM_INFINITY:
            yield most - int((root / "proc/self/statm").read_text().split()[0]) * resource.getpagesize()


def _groups(root: Path, controller: str) -> Iterator[Path]:
    """Give the folders of the control groups of this process that can limit it, the innermost first."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, names, path = line.split(":", 2)
        mounts = {"": ("", "unified")}.get(names, (names, controller) if controller in names.split(",") else ())
        for mount in mounts:
            base = root / "sys/fs/cgroup" / mount
            inner = base / path.lstrip("/")
            for folder in (inner, *inner.parents):
                if folder.is_dir():  # in a container the path may be the host's, and the mount is ours
                    yield folder
                if folder == base:
                    break


def _group_memory(folder: Path, most: str, used: str, cache: str) -> Iterator[int]:
    with contextlib.suppress(OSError, ValueError):  # "max" is no number: no limit
        limit, now = int((folder / most).read_text()), int((folder / used).read_text())
        stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        yield limit - now + int(stat.get(cache, 0))


def _quota(folder: Path) -> Iterator[float]:
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = (folder / "cpu.max").read_text().split()
        yield int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):
        micros, of = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        if micros > 0:
            yield micros / of
