"""A sweep on disk: immutable checksummed pieces, a manifest, and nothing that a kill -9 can tear.

    STORE/manifest.json        what the runs are; a sweep that differs is refused with the name of the entry
    STORE/pieces/ID.npz        finished runs: identities, observables, first bad steps
    STORE/pieces/ID.done       sha256 of the piece, written last: a piece without it does not exist
    STORE/checkpoints/ID       a cohort between two segments
    STORE/lock*                held by the processes that write

Every file appears by write to a temporary name, fsync, rename. Arrays are plain npz: opening a store executes nothing.
"""

import contextlib
import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from jaxscale.engine.ask.reduction import find_reduction
from jaxscale.engine.errors import StoreError
from jaxscale.engine.events import Tell
from jaxscale.engine.keep.pieces import Piece, Pieces, Take, piece_name, reserved_names, whole
from jaxscale.engine.store.checkpoint import Checkpoint, SavedCohort
from jaxscale.engine.store.contract import Settings, Units
from jaxscale.engine.store.files import (
    as_store_errors,
    begins,
    folder_of,
    locked,
    no_link,
    read_file,
    sync_folder,
    write_atomic,
)
from jaxscale.engine.store.folders import CHECKPOINT, FOLDERS, HALF_WRITTEN, OURS, make_folders, ours, part_lock, set_aside
from jaxscale.engine.store.manifest import FORMAT, compare, read_manifest, signed, sweep_mark

MAX_PIECE = 8 * 2**30  # bytes


class DiskStore:
    """One sweep's folder. Open it with `DiskStore.open` to write or `DiskStore.read` to look."""

    outlives = True

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
    ) -> "Iterator[DiskStore]":
        """Open for writing: a new folder, or an old one whose contract agrees.

        Args:
          path: folder, made if needed.
          contract: what must agree for runs to be mixed; plain JSON.
          request: the grid asked for this time; plain JSON, kept for readers and replaced by later calls.
          part: (i, n) to write beside the other parts; None to write alone.

        Raises:
          StoreError: the path cannot be written, another process holds it, it holds something else, or its contract differs.
        """
        path = folder_of(path)
        with contextlib.ExitStack() as locks:
            with as_store_errors(path):
                make_folders(path)
                locks.enter_context(locked(path, shared=part is not None))
                if part is not None:
                    with locked(path, "manifest.lock", wait=True):  # or two parts look for each other before either is there
                        locks.enter_context(locked(path, part_lock(path, part, request)))
                store = cls(path, {})
                with store.changing():
                    store._begin(json.loads(json.dumps(contract)), dict(request))
                if part is None:
                    store._sweep_up()
            yield store

    def _begin(self, contract: dict[str, Any], request: dict[str, Any]) -> None:
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
        """Give the manifest, read afresh, and write it back if it was changed; other processes wait meanwhile."""
        with as_store_errors(self.path), locked(self.path, "manifest.lock", wait=True):
            self.manifest = read_manifest(self.path) or {}
            before = json.dumps(self.manifest)
            yield self.manifest
            if json.dumps(self.manifest) != before:
                write_atomic(self.path / "manifest.json", json.dumps(signed(self.manifest), indent=1).encode())

    @classmethod
    def read(cls, path: str | os.PathLike) -> "DiskStore":
        """Open an existing store to look at it.

        Raises:
          StoreError: there is none at `path`.
        """
        path = folder_of(path)
        manifest = read_manifest(path)
        for folder in FOLDERS:
            no_link(path / folder)
        if manifest is None:
            inside = sorted(str(file.parent) for file in path.glob("*/manifest.json"))
            hint = f" There are stores in it: {', '.join(inside)}." if inside else ""
            raise StoreError(f"'{path}' holds no jaxscale store: there is no manifest.json in it.{hint}")
        return cls(path, manifest)

    def settle(self, bucket: str, program: str, make: Callable[[], Mapping[str, Any]]) -> Settings:
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

    def narrow(self, bucket: str, width: int) -> Settings:
        """Begin a bucket anew at a smaller width: its pieces are set aside, since all runs of a bucket have one width."""
        wide = [name for name, of, _ in self._undamaged(mend=False) if of == bucket]
        with as_store_errors(self.path):
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

    def write(self, bucket: str, piece: Piece) -> None:
        """Add a finished piece: its file first, and its mark when the file is whole.

        Raises:
          StoreError: the disk is full or gone, or the piece is not as a reader wants it; what was written before is kept.
        """
        file = self.path / "pieces" / f"{piece_name(bucket, piece.ids)}.npz"
        content = piece.to_npz(bucket, sweep_mark(self.manifest["contract"]))
        self._of(content)  # a writer never emits what its reader refuses
        with as_store_errors(self.path):
            write_atomic(file, content)
            write_atomic(file.with_suffix(".done"), sha256(content).hexdigest().encode())

    def saver(self, bucket: str, ids: np.ndarray, every: float, program: str, tell: Tell) -> Checkpoint:
        """Return the place where the cohort of these lanes is saved."""
        return Checkpoint(self.path / "checkpoints" / piece_name(bucket, ids), every, program, tell)

    def saved_cohorts(self) -> list[np.ndarray]:
        """Return the identities of the lanes of every whole checkpoint."""
        return [cohort.ids for cohort in self.checkpoints()]

    def checkpoints(self) -> list[SavedCohort]:
        """Return what is saved of cohorts that have not finished, damaged files left out."""
        cohorts = (SavedCohort.read(file) for file in sorted(ours(self.path / "checkpoints")))
        return [cohort for cohort in cohorts if cohort is not None]

    def add_units(self, units: Units) -> Units:
        """Remember definitions for readers that do not have the experiment; return all that are known."""
        with self.changing() as manifest:
            merged = {**manifest["request"].get("units", {}), **{name: list(pair) for name, pair in units.items()}}
            manifest["request"]["units"] = merged
        return {name: tuple(pair) for name, pair in merged.items()}

    def pieces(self, *, mend: bool = False, take: Take = whole) -> Pieces:
        """Return all finished pieces by bucket, damaged ones left out with a warning: their runs count as pending.

        Args:
          mend: also set damaged pieces aside, so that they can be written anew. For the process that holds the store.
          take: what to keep of each piece, as soon as it is read: of a store that is larger than the memory, a part.
        """
        by_bucket: Pieces = {}
        for _, bucket, piece in self._undamaged(mend):
            by_bucket.setdefault(bucket, []).append(take(piece))
        return by_bucket

    def _undamaged(self, mend: bool) -> Iterator[tuple[str, str, Piece]]:
        """Give (name, bucket, piece) of every piece that is as it was written."""
        for mark in sorted(ours(self.path / "pieces", ".done")):
            file = mark.with_suffix(".npz")
            try:
                content = read_file(file, MAX_PIECE) if os.path.lexists(file) else b""
                if sha256(content).hexdigest().encode() != read_file(mark, MAX_PIECE):
                    raise StoreError("it does not match its checksum (truncated or altered)")
                bucket, piece = self._of(content)
            except OSError as error:  # too many open files, a network that is away: no reason to throw a piece away
                raise StoreError(f"'{file}' cannot be read: {error.strerror}. Try again.") from error
            except StoreError as error:
                fate = f"set aside as {file.name}.damaged and its runs are computed again" if mend else "its runs are left out"
                warnings.warn(f"{file}: {error}; {'it is ' if mend else ''}{fate}.", stacklevel=4)
                if mend:
                    set_aside(mark, file)
                continue
            yield mark.stem, bucket, piece

    def _of(self, content: bytes) -> tuple[str, Piece]:
        """Return the bucket and the piece of a file of this sweep.

        Raises:
          StoreError: it is no piece of it.
        """
        contract = self.manifest["contract"]
        kind = find_reduction(contract.get("reduce", False)).piece
        return kind.from_npz(content, len(contract["times"]), reserved_names(self.manifest), sweep_mark(contract))

    def _sweep_up(self) -> None:
        """Remove what was half-written when a process died."""
        for folder in ("", *FOLDERS):
            for left_over in (self.path / folder).glob(".*"):
                if HALF_WRITTEN.fullmatch(left_over.name) and begins(left_over, OURS):
                    left_over.unlink()

    @classmethod
    def tidy(cls, path: str | os.PathLike, done: Callable[[], np.ndarray]) -> None:
        """Clean up after the parts of a sweep that is complete, if this was the last of them; otherwise the last one will."""
        with contextlib.suppress(StoreError), as_store_errors(Path(path)), locked(folder_of(path)):
            store = cls.read(path)
            store._sweep_up()
            store.drop_saved(done)

    def drop_saved(self, done: Callable[[], np.ndarray]) -> None:
        """Remove checkpoints of runs that are finished by now, and those that are not whole."""
        files = [file for file in ours(self.path / "checkpoints") if begins(file, CHECKPOINT)]
        ids = done() if files else np.zeros(0, np.uint64)
        for file in files:
            saved = SavedCohort.read(file)
            if saved is None or np.isin(saved.ids, ids).any():
                file.unlink()
