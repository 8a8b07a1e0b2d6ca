"""Compiled programs on disk, between processes: JAX's own cache, in a folder of ours, around our own compiles only.

JAX writes an entry in place and never over an old one, so a process killed while it writes leaves a cut entry, of which
every later process warns and which it compiles again. Entries written since the last look are therefore unpacked once. A
program
on disk is code: a folder that another user can write is not used.
"""

import contextlib
import functools
import importlib
import os
import threading
import time
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
from jax.experimental.compilation_cache import compilation_cache

CHECKED = "jaxscale-checked"  # its time of change is that of the last look
SKEW = 60.0  # seconds by which the clocks of two machines that share a folder may differ
FIRST = 24 * 3600.0  # how far the first look goes back: unpacking takes 3 ms an entry
ZSTD = b"\x28\xb5\x2f\xfd"
MAX_BYTES = 2 * 10**9
ENTRY, TIMES = "-cache", "-atime"  # how JAX ends the names of its files

_lock = threading.Lock()
_threads: list[int] = []  # those that compile with the cache in use
_before: tuple[str | None, float] = (None, 1.0)  # JAX's folder and threshold, while some do
_trimmed = 0  # when the folder had last changed as it was last bounded, ns


def own_folder() -> Path | None:
    """Return where compiled programs are kept, $XDG_CACHE_HOME or ~/.cache below; None without a home."""
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "jaxscale" / "xla"
    except RuntimeError:
        return None


@functools.cache
def usable(folder: Path | None) -> bool:
    """Return whether programs may be kept in a folder, making it if needed; warn, once, if another user can write it."""
    if folder is None:
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.stat()
    except OSError:
        return False  # a read-only home costs compile time and nothing else
    foreign = hasattr(os, "getuid") and status.st_uid != os.getuid()
    if foreign or status.st_mode & 0o022:
        warnings.warn(
            f"compiled programs are not kept: '{folder}' can be written by another user, and what lies in it would be run. "
            f"Make it your own: chmod 700 '{folder}'.",
            stacklevel=3,
        )
        return False
    return os.access(folder, os.W_OK)


@contextlib.contextmanager
def program_cache() -> Iterator[None]:
    """Keep programs that are compiled inside on disk, even quickly compiled ones, so that a second process compiles nothing.

    A folder that the host program has given JAX (`jax_compilation_cache_dir`) is used as it is. Without one ours is used,
    and JAX is
    as it was before when the last thread leaves.
    """
    if not jax.config.jax_enable_compilation_cache:
        yield
        return
    _enter()
    try:
        yield
    finally:
        _leave()


def _enter() -> None:
    global _before
    with _lock:
        _threads.append(threading.get_ident())
        if len(_threads) > 1:
            return
        _before = (jax.config.jax_compilation_cache_dir, jax.config.jax_persistent_cache_min_compile_time_secs)
        if _before[0] is None and usable(folder := own_folder()):
            jax.config.update("jax_compilation_cache_dir", str(folder))
            compilation_cache.reset_cache()
        if os.environ.get("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS") is None:
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        drop_cut_entries(jax.config.jax_compilation_cache_dir, os.getpid())


def _leave() -> None:
    with _lock:
        _threads.pop()
        if _threads:
            return
        folder, seconds = _before
        jax.config.update("jax_persistent_cache_min_compile_time_secs", seconds)
        ours = jax.config.jax_compilation_cache_dir
        if folder is None and ours is not None:
            jax.config.update("jax_compilation_cache_dir", None)
            compilation_cache.reset_cache()
            _trim_if_changed(Path(ours))


def _trim_if_changed(folder: Path) -> None:
    """Bound the folder if anything was written to it since the last time: listing its programs takes longer than a fit."""
    global _trimmed
    with contextlib.suppress(OSError):
        if (changed := folder.stat().st_mtime_ns) != _trimmed:
            trim(folder, MAX_BYTES)
            _trimmed = changed


def entries(folder: Path) -> list[tuple[float, int, Path]]:
    """Return (time of change, bytes, file) of every program in a folder, oldest first."""
    files = []
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            if entry.name.endswith(ENTRY):
                with contextlib.suppress(OSError):  # another process empties it too
                    status = entry.stat()
                    files.append((status.st_mtime, status.st_size, Path(entry.path)))
    return sorted(files)


def trim(folder: Path, most: int) -> int:
    """Remove the oldest programs until at most so many bytes are left; return how many were removed."""
    programs = entries(folder)
    surplus = sum(size for _, size, _ in programs) - most
    removed = 0
    for _, size, file in programs:
        if surplus <= 0:
            break
        with contextlib.suppress(OSError):
            file.unlink()
            file.with_name(file.name.removesuffix(ENTRY) + TIMES).unlink(missing_ok=True)
            removed, surplus = removed + 1, surplus - size
    return removed


@functools.cache
def drop_cut_entries(folder: str | None, process: int) -> None:
    """Remove the entries that a killed process left half written, once per process; a forked one looks for itself.

    Args:
      folder: the cache; None, or an address of a remote one, does nothing.
      process: its number.
    """
    if folder is None or "://" in folder:
        return
    checked, now = Path(folder) / CHECKED, time.time()
    with contextlib.suppress(OSError):  # no folder yet, or one that only others may write
        since = checked.stat().st_mtime - SKEW if checked.exists() else now - FIRST
        for entry in os.scandir(folder):
            with contextlib.suppress(FileNotFoundError):  # another process is looking too
                if entry.name.endswith("-cache") and entry.stat().st_mtime >= since and _is_cut(Path(entry)):
                    Path(entry).unlink()
        checked.touch()
        os.utime(checked, (now, now))


def _is_cut(entry: Path) -> bool:
    """Return whether an entry does not unpack, now and a moment later: another process may be writing it."""
    if _unpacks(entry):
        return False
    time.sleep(0.1)
    return not _unpacks(entry)


def _unpacks(entry: Path) -> bool:
    content = entry.read_bytes()
    try:
        if content.startswith(ZSTD):  # what JAX packs with where it finds one of these; without them it cannot read it either
            _zstd().decompress(content)
        else:
            zlib.decompress(content)
    except ImportError:
        return True
    except Exception:  # whatever the packer calls a cut stream
        return False
    return True


def _zstd() -> Any:
    try:
        return importlib.import_module("compression.zstd")
    except ImportError:
        return importlib.import_module("zstandard").ZstdDecompressor()
