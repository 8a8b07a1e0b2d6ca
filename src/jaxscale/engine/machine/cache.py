"""Compiled programs on disk, between processes: JAX's own cache, in a folder of ours, cleared of what a kill left half written.

JAX writes an entry in place and never over an old one, so a process killed while it writes leaves a cut entry, of which
every later process warns and which it compiles again. Entries written since the last look are therefore unpacked once.
"""

import contextlib
import functools
import importlib
import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import jax

CHECKED = "jaxscale-checked"  # its time of change is that of the last look
SKEW = 60.0  # seconds by which the clocks of two machines that share a folder may differ
FIRST = 24 * 3600.0  # how far the first look goes back: unpacking takes 3 ms an entry
ZSTD = b"\x28\xb5\x2f\xfd"


def use_compilation_cache() -> None:
    """Keep compiled programs between processes, in ~/.cache/jaxscale/xla (or $XDG_CACHE_HOME), unless JAX already has a folder.

    A second process then spends its compile time on tracing only. JAX_COMPILATION_CACHE_DIR chooses another folder.
    """
    if jax.config.jax_compilation_cache_dir is not None or not jax.config.jax_enable_compilation_cache:
        return
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    try:
        (root / "jaxscale" / "xla").mkdir(parents=True, exist_ok=True)
    except OSError:
        return  # a read-only home costs compile time and nothing else
    jax.config.update("jax_compilation_cache_dir", str(root / "jaxscale" / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.3)


@contextlib.contextmanager
def keep_every_program() -> Iterator[None]:
    """Put even quickly compiled programs into the compilation cache, so that a second process compiles nothing."""
    before = jax.config.jax_persistent_cache_min_compile_time_secs
    if os.environ.get("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS") is None:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    if jax.config.jax_enable_compilation_cache:
        drop_cut_entries(jax.config.jax_compilation_cache_dir, os.getpid())
    try:
        yield
    finally:
        jax.config.update("jax_persistent_cache_min_compile_time_secs", before)


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


def _is_cut(entry):
    """Whether an entry does not unpack, now and a moment later: another process may be writing it."""
    if _unpacks(entry):
        return False
    time.sleep(0.1)
    return not _unpacks(entry)


def _unpacks(entry):
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


def _zstd():
    try:
        return importlib.import_module("compression.zstd")
    except ImportError:
        return importlib.import_module("zstandard").ZstdDecompressor()
