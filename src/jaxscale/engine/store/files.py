"""Files that nothing can tear: atomic writes, plain files only and no links, locks that name their owner."""

import contextlib
import errno
import os
import re
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

SIGNED = b"process "  # what every lock that is held begins with


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file that is either absent or whole, whenever the process or the machine stops.

    Raises:
      OSError: disk full, quota, no permission; nothing is left behind.
    """
    temporary = path.with_name(
        f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}"
    )  # a shared folder: no host knows the other's pids
    try:
        with open(temporary, "xb") as file:
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
    with open_plain(path) as file:
        size = os.fstat(file.fileno()).st_size
        if size > most:
            raise StoreError(f"'{path}' has {size} bytes, which no jaxscale {what} has")
        return file.read()


def open_plain(path: Path, flags: int = os.O_RDONLY) -> IO[bytes]:
    """Open a plain file, unbuffered; a store comes from strangers, and follows none of their links.

    Args:
      path: file.
      flags: os.O_RDONLY, or os.O_RDWR | os.O_CREAT to make it.

    Raises:
      OSError: it is not there, or cannot be opened just now.
      StoreError: it is a link, a pipe, a device or a folder.
    """
    try:  # without O_NONBLOCK a pipe that nobody writes to would hold us for ever
        number = os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.EMLINK):
            raise StoreError(f"'{path}' is a link, and a store follows none") from error
        if error.errno in (errno.EISDIR, errno.ENXIO):
            raise StoreError(f"'{path}' is no plain file") from error
        raise
    if not stat.S_ISREG(os.fstat(number).st_mode):
        os.close(number)
        raise StoreError(f"'{path}' is no plain file")
    return open(number, "rb" if flags == os.O_RDONLY else "r+b", buffering=0)


def begins(path: Path, first: re.Pattern[bytes]) -> bool:
    """Return whether a plain file begins as the pattern says; what cannot be read does not."""
    try:
        with open_plain(path) as file:
            return first.match(file.read(128)) is not None
    except (OSError, StoreError):
        return False


def folder_of(store: str | os.PathLike) -> Path:
    """Return the folder that a store's name means.

    Raises:
      StoreError: it is empty, or an address of something that is no folder.
    """
    name = os.fspath(store)
    if not name:
        raise StoreError("store='' is no folder; give its name, such as store='runs/first', or None to keep nothing.")
    if address := re.match(r"([A-Za-z][A-Za-z0-9+.-]+):/", name):
        raise StoreError(
            f"store='{name}' is an address, and a store is a folder: mount the bucket ({address[1]}) and give the folder "
            "where it is mounted, or sweep into a local folder and copy that there afterwards."
        )
    return Path(name)


def no_link(folder: Path) -> None:
    """Raise a StoreError if a folder of a store is a link or no folder; one that is not there yet is neither."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        mode = folder.lstat().st_mode
        if not stat.S_ISDIR(mode):
            what = "a link, and a store follows none" if stat.S_ISLNK(mode) else "no folder"
            raise StoreError(f"'{folder}' is {what}. Put a folder there, or use a new store=.")


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
    with _own_lock(path / name) as lock:
        if _take(lock, path, shared, wait):
            _sign(lock, not shared)  # a shared holder blots out the name of an exclusive one that died
        else:
            owners = "; ".join(sorted(filter(None, map(owner, path.glob("lock*"))))) or "another process"
            raise StoreError(f"store='{path}' is being written by {owners}. Wait for it, or use another folder.")
        try:
            yield
        finally:
            if not shared:
                with contextlib.suppress(OSError):  # a full disk must not hide what went wrong before
                    lock.truncate(0)


def _own_lock(file: Path) -> IO[bytes]:
    """Open a lock file of ours.

    Raises:
      StoreError: it is a link, a second name of some file, no plain file, or holds something else.
    """
    lock = open_plain(file, os.O_RDWR | os.O_CREAT)
    said = lock.read(len(SIGNED))
    lock.seek(0)
    ours = said == SIGNED[: len(said)] or not said.strip(b"\0")  # a power cut may leave the half, or zeros
    if os.fstat(lock.fileno()).st_nlink > 1 or not ours:
        lock.close()
        raise StoreError(f"'{file}' is no lock of this package. Move it away, or use a new store=.")
    return lock


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
    with contextlib.suppress(OSError, StoreError), open_plain(file) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: two processes that look do not see each other
        except OSError:
            return True
    return False


def owner(file: Path) -> str:
    """Return who holds a lock file; nobody if its last holder died."""
    return read_file(file, 10**4, "lock").decode(errors="replace") if is_held(file) else ""


def _sign(lock: IO[bytes], alone: bool) -> None:
    with contextlib.suppress(OSError):  # the lock holds without the name
        lock.truncate(0)
        lock.seek(0)
        if alone:
            lock.write(SIGNED + f"{os.getpid()} on {_host()} since {time.strftime('%F %T')}".encode())


def _host() -> str:
    return os.uname().nodename if hasattr(os, "uname") else "this machine"
