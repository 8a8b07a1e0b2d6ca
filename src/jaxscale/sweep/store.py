"""A sweep on disk: immutable checksummed pieces, a manifest, and nothing that a kill -9 can tear.

    STORE/manifest.json        what the runs are; a sweep that differs is refused with the name of the entry
    STORE/pieces/ID.npz        finished lanes: identities, observables, first bad steps
    STORE/pieces/ID.done       sha256 of the piece, written last: a piece without it does not exist
    STORE/lock                 held by the process that writes

Every file appears by write to a temporary name, fsync, rename. Arrays are plain npz: opening a store executes nothing.
"""

import fcntl
import io
import json
import os
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

FORMAT = 1


class StoreError(ValueError):
    """The store cannot be used as asked; the message says why and what to do."""


class Piece(dict):
    """Arrays of some finished lanes: "ids" (n,), "diverged_at" (n,) and one (n, times) array per observable."""

    @property
    def observed(self) -> dict[str, np.ndarray]:
        """{observable: (n, times)}."""
        return {name.removeprefix("observed/"): v for name, v in self.items() if name.startswith("observed/")}


class Store:
    """One sweep's folder. Open it with `Store.create` to write or `Store.read` to look."""

    def __init__(self, path: Path, manifest: dict[str, Any]):
        self.path, self.manifest = path, manifest

    @classmethod
    @contextmanager
    def create(cls, path: str | os.PathLike, contract: Mapping[str, Any], request: Mapping[str, Any]) -> "Iterator[Store]":
        """Open for writing, alone: a new folder, or an old one whose contract agrees.

        Args:
          path: folder, made if needed.
          contract: what must agree for runs to be mixed; plain JSON.
          request: the grid asked for this time; plain JSON, kept for readers and replaced by later calls.

        Raises:
          StoreError: the path cannot be written, another process holds it, it holds something else, or its contract differs.
        """
        path = Path(path)
        try:
            (path / "pieces").mkdir(parents=True, exist_ok=True)
            (path / "lock").touch()
        except OSError as error:
            raise StoreError(
                f"store='{path}' cannot be written: {error.strerror}. Choose a folder you may write to."
            ) from error
        with held(path):
            old = _read_manifest(path)
            if old is None and any((path / "pieces").glob("*.done")):
                raise StoreError(f"store='{path}' holds pieces but no manifest.json; it is damaged. Use a new folder.")
            contract = json.loads(json.dumps(contract))
            if old is not None:
                _compare(path, old["contract"], contract)
            for left_over in (path / "pieces").glob(".*"):  # half-written when a process died
                left_over.unlink()
            request = {**request, "units": old["request"].get("units", {}) if old else {}}
            store = cls(
                path, {"format": FORMAT, "contract": contract, "request": request, "buckets": old["buckets"] if old else {}}
            )
            store._write_manifest()
            yield store

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Store":
        """Open an existing store to look at it.

        Raises:
          StoreError: there is none at `path`.
        """
        manifest = _read_manifest(Path(path))
        if manifest is None:
            raise StoreError(f"'{path}' holds no jaxscale store: there is no manifest.json in it.")
        return cls(Path(path), manifest)

    def settle(self, bucket: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Fix a bucket's settings (width, program) the first time; later compare the program and return what was fixed.

        Raises:
          StoreError: the program of this bucket has changed.
        """
        fixed = self.manifest["buckets"].get(bucket)
        if fixed is None:
            self.manifest["buckets"][bucket] = dict(settings)
            self._write_manifest()
            return dict(settings)
        if fixed["program"] != settings["program"]:  # also where every run is there: old results are not today's code's
            raise StoreError(
                f"store='{self.path}' belongs to another experiment: the program of bucket {bucket} was {fixed['program']} "
                f"and is now {settings['program']}, so the code of the model or its dynamics has changed. Use a new store=."
            )
        return fixed

    def write(self, bucket: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Add a finished piece."""
        name = sha256(bucket.encode() + arrays["ids"].tobytes()).hexdigest()[:20]
        buffer = io.BytesIO()
        np.savez(buffer, bucket=np.array(bucket), **arrays)  # type: ignore[arg-type]
        content = buffer.getvalue()
        write_atomic(self.path / "pieces" / f"{name}.npz", content)
        write_atomic(self.path / "pieces" / f"{name}.done", sha256(content).hexdigest().encode())

    def keep_units(self, units: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
        """Remember definitions for readers that do not have the experiment; return all that are known."""
        request = self.manifest["request"]
        merged = {name: tuple(pair) for name, pair in {**request.get("units", {}), **units}.items()}
        if json.loads(json.dumps(merged)) != request.get("units"):
            request["units"] = merged
            self._write_manifest()
        return merged

    def pieces(self, *, mend: bool = False) -> dict[str, list[Piece]]:
        """All finished pieces by bucket, damaged ones left out with a warning: their lanes count as pending.

        Args:
          mend: also set damaged pieces aside, so that they can be written anew. For the process that holds the store.
        """
        found: dict[str, list[Piece]] = {}
        for mark in sorted((self.path / "pieces").glob("*.done")):
            file = mark.with_suffix(".npz")
            content = file.read_bytes() if file.exists() else b""
            if sha256(content).hexdigest() != mark.read_text():
                fate = (
                    f"it is set aside as {file.name}.damaged and its runs are computed again"
                    if mend
                    else "its runs are left out"
                )
                warnings.warn(f"{file} does not match its checksum (truncated or altered); {fate}.", stacklevel=2)
                if mend:
                    mark.unlink()
                    if file.exists():
                        file.rename(file.with_suffix(".npz.damaged"))
                continue
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                piece = Piece({name: arrays[name] for name in arrays.files})
            found.setdefault(str(piece.pop("bucket")), []).append(piece)
        return found

    def _write_manifest(self) -> None:
        write_atomic(self.path / "manifest.json", json.dumps(self.manifest, indent=1).encode())


def write_atomic(path: Path, content: bytes) -> None:
    """Write a file that is either absent or whole, whenever the process or the machine stops."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the rename itself must survive a power cut
    finally:
        os.close(folder)


def _read_manifest(path: Path) -> dict[str, Any] | None:
    try:
        manifest = json.loads((path / "manifest.json").read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise StoreError(f"'{path}/manifest.json' is not JSON ({error}); the store is damaged. Use a new folder.") from error
    parts = ("contract", "request", "buckets")
    if (
        not isinstance(manifest, dict)
        or manifest.get("format") != FORMAT
        or not all(isinstance(manifest.get(p), dict) for p in parts)
    ):
        raise StoreError(f"'{path}/manifest.json' is no jaxscale manifest of format {FORMAT}. Use a new folder.")
    return manifest


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold a store for writing; a second writer is refused and told who holds it.

    Raises:
      StoreError: another process, or another sweep of this one, is writing.
    """
    with open(path / "lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            owner = lock.read().strip() or "another process"
            raise StoreError(f"store='{path}' is being written by {owner}. Wait for it, or use another folder.") from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {os.uname().nodename} since {time.strftime('%F %T')}")
        lock.flush()
        try:
            yield
        finally:
            lock.truncate(0)


def _compare(path: Path, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    for entry in sorted(set(old) | set(new)):
        if old.get(entry) != new.get(entry):
            raise StoreError(
                f"store='{path}' belongs to another sweep: its '{entry}' is {_short(old.get(entry))} and yours is "
                f"{_short(new.get(entry))}. Use a new store=, or go back to the old {entry}."
            )


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else text[:110] + "..."
