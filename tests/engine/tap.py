"""Every change of the files below a folder, heard before it happens, so that a test can write it down or make it fail."""

import builtins
import contextlib
import io
import os

CHANGES = "wax+"


class Tap:
    """While it is open, `hear(kind, path, **facts)` is called before every change below `root`; it may raise an OSError.

    Kinds: "open" (to write; facts created, emptied), "write" (at, data), "truncate" (size), "fsync", "fsync folder", "replace"
    (to), "unlink", "mkdir", "rmdir". A write that fails has written the first half of its bytes. Nothing is synced in truth.
    """

    def __init__(self, root, hear):
        self.root, self.hear, self.held = os.path.abspath(root), hear, {}
        self.real = {name: getattr(os, name) for name in ("open", "close", "write", "mkdir", "rmdir", "ftruncate", "truncate")}
        self.real |= {name: getattr(os, name) for name in ("replace", "rename", "unlink", "remove", "fsync", "fdatasync")}

    @contextlib.contextmanager
    def open(self, patch):
        """Listen; `patch` is pytest's."""
        with patch.context() as now:
            real_open = builtins.open

            def opened(file, mode="r", buffering=-1, encoding=None, errors=None, newline=None, closefd=True, opener=None):
                path = self.held.pop(file, None) if isinstance(file, int) else self.below(file)  # the file closes its own
                if path is None or not set(mode) & set(CHANGES):
                    return real_open(file, mode, buffering, encoding, errors, newline, closefd, opener)
                if not isinstance(file, int):
                    self.tell_open(path, created=not os.path.lexists(path), emptied="w" in mode)
                raw = _Raw(file, mode.replace("b", "").replace("t", ""), closefd, opener)
                raw.tap, raw.path = self, path
                if buffering == 0:
                    return raw
                buffered = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
                return buffered if "b" in mode else io.TextIOWrapper(buffered, encoding, errors, newline)

            now.setattr(builtins, "open", opened)
            now.setattr(io, "open", opened)
            for name in self.real:
                now.setattr(os, name, getattr(self, f"_{name}"))
            yield self

    def below(self, path):
        """The path, if it lies below the root."""
        path = os.path.abspath(os.fsdecode(path)) if isinstance(path, str | bytes | os.PathLike) else ""
        return path if path == self.root or path.startswith(self.root + os.sep) else None

    def tell_open(self, path, created, emptied):
        self.hear("open", path, created=created, emptied=emptied and not created)

    def _open(self, path, flags, mode=0o777, **more):
        inside = self.below(path)
        if inside and flags & (os.O_WRONLY | os.O_RDWR):
            self.tell_open(inside, created=not os.path.lexists(inside), emptied=bool(flags & os.O_TRUNC))
        descriptor = self.real["open"](path, flags, mode, **more)
        if inside:
            self.held[descriptor] = inside
        return descriptor

    def _close(self, descriptor):
        self.held.pop(descriptor, None)
        self.real["close"](descriptor)

    def _write(self, descriptor, data):
        if descriptor not in self.held:
            return self.real["write"](descriptor, data)
        at = os.lseek(descriptor, 0, os.SEEK_CUR)
        try:
            self.hear("write", self.held[descriptor], at=at, data=bytes(data))
        except OSError:
            self.real["write"](descriptor, data[: len(data) // 2])
            raise
        return self.real["write"](descriptor, data)

    def _fsync(self, descriptor):
        descriptor = descriptor if isinstance(descriptor, int) else descriptor.fileno()
        path = self.held.get(descriptor) or self.below(os.readlink(f"/proc/self/fd/{descriptor}"))
        if path is None:
            self.real["fsync"](descriptor)
        else:
            self.hear("fsync folder" if os.path.isdir(path) else "fsync", path)

    _fdatasync = _fsync

    def _simple(self, kind, name, path, *more, **facts):
        if inside := self.below(path):
            self.hear(kind, inside, **facts)
        return self.real[name](path, *more)

    def _replace(self, path, to):
        return self._simple("replace", "replace", path, to, to=os.path.abspath(os.fsdecode(to)))

    _rename = _replace

    def _unlink(self, path, **more):
        assert not any(more.values())
        return self._simple("unlink", "unlink", path)

    _remove = _unlink

    def _mkdir(self, path, mode=0o777):
        if (inside := self.below(path)) and not os.path.lexists(inside) and os.path.isdir(os.path.dirname(inside)):
            self.hear("mkdir", inside)
        return self.real["mkdir"](path, mode)

    def _rmdir(self, path):
        return self._simple("rmdir", "rmdir", path)

    def _truncate(self, path, size):
        return self._simple("truncate", "truncate", path, size, size=size)

    def _ftruncate(self, descriptor, size):
        if descriptor in self.held:
            self.hear("truncate", self.held[descriptor], size=size)
        return self.real["ftruncate"](descriptor, size)


class _Raw(io.FileIO):
    """A file below the root. The path it was opened with is the name of its changes."""

    tap = path = None

    def write(self, data):
        data = bytes(data)
        at = os.fstat(self.fileno()).st_size if "a" in self.mode else self.tell()
        try:
            self.tap.hear("write", self.path, at=at, data=data)
        except OSError:
            super().write(data[: len(data) // 2])
            raise
        return super().write(data)

    def truncate(self, size=None):
        size = self.tell() if size is None else size
        self.tap.hear("truncate", self.path, size=size)
        return super().truncate(size)
