"""Files that nothing can tear: atomic writes, arrays that execute nothing, locks that name their owner."""

import contextlib
import errno
import io
import math
import os
import time
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

try:
    import fcntl
except ModuleNotFoundError:  # not a POSIX system: no locks
    fcntl = None  # type: ignore[assignment]


class StoreError(ValueError):
    """The store cannot be used as asked; the message says why and what to do."""


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file that is either absent or whole, whenever the process or the machine stops.

    Raises:
      OSError: disk full, quota, no permission; nothing is left behind.
    """
    temporary = path.with_name(
        f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}"
    )  # a shared folder: no host knows the other's pids
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # the rename itself must survive a power cut
        finally:
            os.close(folder)
    except OSError:
        with contextlib.suppress(OSError):  # what is left over is swept up when the store is next opened
            temporary.unlink(missing_ok=True)
        raise


def load_arrays(content: bytes) -> dict[str, np.ndarray]:
    """The arrays of an npz file. Nothing in it is executed, unpacked or allocated before its size is known to be true.

    Raises:
      StoreError: it is not what `numpy.savez` writes: objects, compressed members, shapes that do not fit their bytes.
    """
    found = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as members:
            for member in members.infolist():
                if member.compress_type != zipfile.ZIP_STORED or member.file_size > len(content):
                    raise ValueError(f"member '{member.filename}' is compressed, or larger than the file")
                found[member.filename.removesuffix(".npy")] = _array(members.read(member))
    except (ValueError, KeyError, EOFError, RuntimeError, NotImplementedError, OSError, zipfile.BadZipFile) as error:
        raise StoreError(f"not a file of plain arrays: {error}") from error
    return found


def _array(data: bytes) -> np.ndarray:
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = header(stream)
    size = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or any(n < 0 for n in shape) or size != len(data) - stream.tell():
        raise ValueError(f"an array of {dtype} and shape {shape} in {len(data)} bytes")
    flat = np.frombuffer(data, dtype, math.prod(shape), stream.tell()) if size else np.zeros(math.prod(shape), dtype)
    return flat.reshape(shape, order="F" if fortran else "C").copy()


@contextlib.contextmanager
def held(path: Path, name: str = "lock", *, shared: bool = False, wait: bool = False) -> Iterator[None]:
    """Hold a lock file of a store; whoever asks in vain is told who holds it.

    Args:
      path: the store.
      name: of the lock.
      shared: together with other shared holders, against an exclusive one.
      wait: for the holder instead of being refused.

    Raises:
      StoreError: another process, or another sweep of this one, is writing.
    """
    with open(path / name, "a+") as lock:
        if _locked(lock, path, shared, wait):
            _sign(lock, not shared)
        else:
            owners = "; ".join(sorted(filter(None, (file.read_text() for file in path.glob("lock*"))))) or "another process"
            raise StoreError(f"store='{path}' is being written by {owners}. Wait for it, or use another folder.")
        try:
            yield
        finally:
            if not shared:
                with contextlib.suppress(OSError):  # a full disk must not hide what went wrong before
                    lock.truncate(0)


def _locked(lock, path, shared, wait) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        warnings.warn(f"store='{path}' is on a file system without locks: see that one process writes at a time.", stacklevel=4)
    return True


def _sign(lock, alone) -> None:
    if alone:
        lock.truncate(0)
        with contextlib.suppress(OSError):  # the lock holds without the name
            lock.write(f"process {os.getpid()} on {_host()} since {time.strftime('%F %T')}")
            lock.flush()


def _host():
    return os.uname().nodename if hasattr(os, "uname") else "this machine"
