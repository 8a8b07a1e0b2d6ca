"""Files that nothing can tear: atomic writes, arrays that execute nothing, locks that name their owner."""

import contextlib
import errno
import os
import stat
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from jaxscale.engine.errors import StoreError

try:
    import fcntl
except ModuleNotFoundError:  # not a POSIX system: no locks
    fcntl = None  # type: ignore[assignment]


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
        sync_folder(path.parent)  # the rename itself must survive a power cut
    except OSError:
        with contextlib.suppress(OSError):  # what is left over is swept up when the store is next opened
            temporary.unlink(missing_ok=True)
        raise


def read_file(path: Path, most: int, what: str = "file") -> bytes:
    """Return the bytes of a plain file.

    Raises:
      OSError: it is not there, or cannot be read just now.
      StoreError: it is a pipe, a device, a folder, or larger than `most` bytes.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise StoreError(f"'{path}' is no plain file")
    if status.st_size > most:
        raise StoreError(f"'{path}' has {status.st_size} bytes, which no jaxscale {what} has")
    return path.read_bytes()


@contextlib.contextmanager
def as_store_errors(path: Path) -> Iterator[None]:
    """Raise errors of the file system inside as a StoreError that names the store and says that finished runs are kept.

    Raises:
      StoreError: disk full, no permission, gone.
    """
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"store='{path}' cannot be written or read: {error.strerror or error}. Finished runs are kept; make room and run "
            "the same sweep again, or choose a folder you may write to."
        ) from error


def sync_folder(path: Path) -> None:
    """Make what was renamed in a folder survive a power cut."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextlib.contextmanager
def locked(path: Path, name: str = "lock", *, shared: bool = False, wait: bool = False) -> Iterator[None]:
    """Hold a lock file of a store; whoever asks in vain is told who holds it.

    Args:
      path: the store.
      name: of the lock.
      shared: together with other shared holders, against an exclusive one.
      wait: for the holder instead of being refused.

    Raises:
      StoreError: another process, or another sweep of this one, is writing.
    """
    with open(path / name, "ab", buffering=0) as lock:
        if _take(lock, path, shared, wait):
            _sign(lock, not shared)  # a shared holder blots out the name of an exclusive one that died
        else:
            owners = "; ".join(sorted(filter(None, map(_owner, path.glob("lock*"))))) or "another process"
            raise StoreError(f"store='{path}' is being written by {owners}. Wait for it, or use another folder.")
        try:
            yield
        finally:
            if not shared:
                with contextlib.suppress(OSError):  # a full disk must not hide what went wrong before
                    lock.truncate(0)


def _take(lock: IO[bytes], path: Path, shared: bool, wait: bool) -> bool:
    if fcntl is None:
        return True
    try:
        fcntl.flock(lock, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | (0 if wait else fcntl.LOCK_NB))
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        warnings.warn(f"store='{path}' is on a file system without locks: see that one process writes at a time.", stacklevel=4)
    return True


def is_held(file: Path) -> bool:
    """Return whether some process holds a lock file for itself alone."""
    if fcntl is None:
        return False
    with contextlib.suppress(OSError), open(file) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two processes that look do not see each other
        except OSError:
            return True
    return False


def _owner(file: Path) -> str:
    """Return who holds a lock file; nobody if its last holder died."""
    return file.read_text(errors="replace") if is_held(file) else ""


def _sign(lock: IO[bytes], alone: bool) -> None:
    with contextlib.suppress(OSError):  # the lock holds without the name
        lock.truncate(0)
        if alone:
            lock.write(f"process {os.getpid()} on {_host()} since {time.strftime('%F %T')}".encode())


def _host() -> str:
    return os.uname().nodename if hasattr(os, "uname") else "this machine"
