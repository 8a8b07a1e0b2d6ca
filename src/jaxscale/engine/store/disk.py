"""A sweep on disk: immutable checksummed pieces, a manifest, and nothing that a kill -9 can tear.

    STORE/manifest.json        what the runs are; a sweep that differs is refused with the name of the entry
    STORE/pieces/ID.npz        finished runs: identities, observables, first bad steps
    STORE/pieces/ID.done       sha256 of the piece, written last: a piece without it does not exist
    STORE/checkpoints/ID       a cohort between two segments
    STORE/lock*                held by the processes that write

Every file appears by write to a temporary name, fsync, rename. Arrays are plain npz: opening a store executes nothing.
"""

import contextlib
import io
import json
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from jaxscale.engine.keep.pieces import Piece, Pieces, check_piece, forbidden, piece_name
from jaxscale.engine.store import checkpoint
from jaxscale.engine.store.files import StoreError, held, is_held, load_arrays, read_file, sync_folder, told, write_atomic
from jaxscale.engine.store.manifest import FORMAT, compare, read_manifest

MOST_PIECE = 8 * 2**30  # bytes
HALF_WRITTEN = re.compile(r"\..+\.\d+\.[0-9a-f]{8}")


class Store:
    """One sweep's folder. Open it with `Store.open` to write or `Store.read` to look."""

    on_disk = True

    def __init__(self, path: Path, manifest: dict[str, Any]):
        self.path, self.manifest = path, manifest

    @classmethod
    @contextlib.contextmanager
    def open(
        cls,
        path: str | os.PathLike,
        contract: Mapping[str, Any],
        request: Mapping[str, Any],
        part: tuple[int, int] | None = None,
    ) -> "Iterator[Store]":
        """Open for writing: a new folder, or an old one whose contract agrees.

        Args:
          path: folder, made if needed.
          contract: what must agree for runs to be mixed; plain JSON.
          request: the grid asked for this time; plain JSON, kept for readers and replaced by later calls.
          part: (i, n) to write beside the other parts; None to write alone.

        Raises:
          StoreError: the path cannot be written, another process holds it, it holds something else, or its contract differs.
        """
        path = Path(path)
        with contextlib.ExitStack() as locks:
            with told(path):
                _make_folders(path)
                locks.enter_context(held(path, shared=part is not None))
                if part is not None:
                    with held(path, "manifest.lock", wait=True):  # or two parts look for each other before either is there
                        locks.enter_context(held(path, _part_lock(path, part, request)))
                store = cls(path, {})
                with store.changing():
                    store._begin(json.loads(json.dumps(contract)), dict(request))
                if part is None:
                    store._sweep_up()
            yield store

    def _begin(self, contract, request):
        old = self.manifest
        if not old and any((self.path / "pieces").glob("*.done")):
            raise StoreError(f"store='{self.path}' holds pieces but no manifest.json; it is damaged. Use a new folder.")
        if old:
            compare(self.path, old["contract"], contract)
        units = old["request"].get("units", {}) if old else {}
        self.manifest = {"format": FORMAT, "contract": contract, "request": request | {"units": units}}
        self.manifest["buckets"] = old["buckets"] if old else {}

    @contextlib.contextmanager
    def changing(self) -> Iterator[dict[str, Any]]:
        """The manifest, read afresh, written back if it was changed; other processes wait meanwhile."""
        with told(self.path), held(self.path, "manifest.lock", wait=True):
            self.manifest = read_manifest(self.path) or {}
            before = json.dumps(self.manifest)
            yield self.manifest
            if json.dumps(self.manifest) != before:
                write_atomic(self.path / "manifest.json", json.dumps(self.manifest, indent=1).encode())

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Store":
        """Open an existing store to look at it.

        Raises:
          StoreError: there is none at `path`.
        """
        manifest = read_manifest(Path(path))
        if manifest is None:
            inside = sorted(str(file.parent) for file in Path(path).glob("*/manifest.json"))
            hint = f" There are stores in it: {', '.join(inside)}." if inside else ""
            raise StoreError(f"'{path}' holds no jaxscale store: there is no manifest.json in it.{hint}")
        return cls(Path(path), manifest)

    def settle(self, bucket: str, program: str, make: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """Fix a bucket's settings (width, how it was found) the first time; later compare the program and return them.

        Raises:
          StoreError: the program of this bucket has changed.
        """
        with self.changing() as manifest:
            fixed = manifest["buckets"].get(bucket)
            if fixed is None:
                fixed = manifest["buckets"][bucket] = {"program": program, **make()}
        if fixed["program"] != program:  # also where every run is there: old results are not today's code's
            raise StoreError(
                f"store='{self.path}' belongs to another experiment: the program of bucket {bucket} was {fixed['program']} "
                f"and is now {program}, so the code of the model or its dynamics has changed. Use a new store=."
            )
        return fixed

    def narrow(self, bucket: str, width: int) -> dict[str, Any]:
        """Begin a bucket anew at a smaller width: its pieces are set aside, since all runs of a bucket have one width."""
        wide = [name for name, piece in self._whole(mend=False) if str(piece["bucket"]) == bucket]
        with told(self.path):
            for kind in (".done", ".npz"):
                for name in wide:
                    file = self.path / "pieces" / f"{name}{kind}"
                    file.rename(file.with_name(f"{file.name}.wider"))
                sync_folder(self.path / "pieces")  # before the new width is: a power cut must not bring them back under it
        with self.changing() as manifest:
            fixed = manifest["buckets"][bucket]
            fixed["narrowed"] = [*fixed.get("narrowed", []), fixed["width"]]
            fixed["width"] = width
        return fixed

    def write(self, bucket: str, arrays: Mapping[str, np.ndarray]) -> None:
        """Add a finished piece.

        Raises:
          StoreError: the disk is full or gone; what was written before is kept.
        """
        name = piece_name(bucket, arrays["ids"])
        buffer = io.BytesIO()
        np.savez(buffer, bucket=np.array(bucket), **arrays)  # type: ignore[arg-type]
        content = buffer.getvalue()
        with told(self.path):
            write_atomic(self.path / "pieces" / f"{name}.npz", content)
            write_atomic(self.path / "pieces" / f"{name}.done", sha256(content).hexdigest().encode())

    def checkpoint_path(self, bucket: str, ids: np.ndarray) -> Path:
        """Where a cohort of these lanes is saved."""
        return self.path / "checkpoints" / piece_name(bucket, ids)

    def saved_cohorts(self) -> list[np.ndarray]:
        """Identities of the lanes of every whole checkpoint."""
        return [arrays["ids"] for arrays in self.checkpoints()]

    def checkpoints(self) -> list[dict[str, np.ndarray]]:
        """What is saved of cohorts that have not finished, damaged files left out."""
        found = (checkpoint.read(file) for file in sorted((self.path / "checkpoints").glob("[!.]*")))
        return [arrays for arrays in found if arrays is not None]

    def keep_units(self, units: Mapping[str, tuple[str, str]]) -> dict[str, tuple[str, str]]:
        """Remember definitions for readers that do not have the experiment; return all that are known."""
        with self.changing() as manifest:
            merged = {**manifest["request"].get("units", {}), **{name: list(pair) for name, pair in units.items()}}
            manifest["request"]["units"] = merged
        return {name: tuple(pair) for name, pair in merged.items()}

    def pieces(self, *, mend: bool = False) -> Pieces:
        """All finished pieces by bucket, damaged ones left out with a warning: their runs count as pending.

        Args:
          mend: also set damaged pieces aside, so that they can be written anew. For the process that holds the store.
        """
        found: Pieces = {}
        for _, piece in self._whole(mend):
            found.setdefault(str(piece.pop("bucket")), []).append(piece)
        return found

    def _whole(self, mend):
        names = forbidden(self.manifest)
        for mark in sorted((self.path / "pieces").glob("*.done")):
            file = mark.with_suffix(".npz")
            try:
                content = read_file(file, MOST_PIECE) if file.exists() else b""
                if sha256(content).hexdigest().encode() != read_file(mark, MOST_PIECE):
                    raise StoreError("it does not match its checksum (truncated or altered)")
                piece = Piece(load_arrays(content))
                check_piece(piece, self.manifest["contract"], names)
            except OSError as error:  # too many open files, a network that is away: no reason to throw a piece away
                raise StoreError(f"'{file}' cannot be read: {error.strerror}. Try again.") from error
            except StoreError as error:
                fate = f"set aside as {file.name}.damaged and its runs are computed again" if mend else "its runs are left out"
                warnings.warn(f"{file}: {error}; {'it is ' if mend else ''}{fate}.", stacklevel=4)
                if mend:
                    mark.unlink()
                    if file.exists():
                        file.rename(file.with_suffix(".npz.damaged"))
                continue
            yield mark.stem, piece

    def _sweep_up(self):
        """Remove what was half-written when a process died."""
        for folder in ("", "pieces", "checkpoints"):
            for left_over in (self.path / folder).glob(".*"):
                if HALF_WRITTEN.fullmatch(left_over.name) and left_over.is_file():
                    left_over.unlink()

    def drop_checkpoints(self, done: Callable[[], np.ndarray]) -> None:
        """Remove checkpoints of runs that are finished by now, and what is no checkpoint."""
        files = [file for file in (self.path / "checkpoints").glob("[!.]*") if file.is_file()]
        ids = done() if files else np.zeros(0, np.uint64)
        for file in files:
            saved = checkpoint.read(file)
            if saved is None or np.isin(saved["ids"], ids).any():
                file.unlink()


def _make_folders(path):
    """The store's folders, and their names safe from a power cut."""
    new = [folder for folder in ("pieces", "checkpoints") if not (path / folder).is_dir()]
    try:
        for folder in new:
            (path / folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"store='{path}' cannot be written: {error.strerror}. Choose a folder you may write to.") from error
    for parent in [path, *path.resolve().parents[:3]] if new else []:
        with contextlib.suppress(PermissionError):
            sync_folder(parent)


def _part_lock(path, part, request) -> str:
    """Name of a part's lock; parts that cut the sweep in another way must not run beside it, or runs are computed twice.

    Raises:
      StoreError: one does.
    """
    cut = f"-of-{part[1]}.{sha256(json.dumps(request, sort_keys=True).encode()).hexdigest()[:8]}"
    for other in path.glob("lock.*"):
        if not other.name.endswith(cut) and is_held(other):
            raise StoreError(
                f"store='{path}' is being written by {other.read_text()}, a part that cuts the sweep in another way "
                f"({other.name}). Wait for it, or cut as it does."
            )
    return f"lock.{part[0]}{cut}"
