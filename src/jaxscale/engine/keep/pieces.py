"""A piece of a sweep: what some finished runs gave, as one immutable set of arrays. There are two kinds: of runs, and of cells.

`to_npz` and `from_npz` are the only places that know how a piece is spelled in a file; `check` says whether this package
wrote it.
"""

import abc
import dataclasses
from collections.abc import Callable, Collection, Mapping
from hashlib import sha256
from typing import Any, Self

import numpy as np

from jaxscale.engine.ask.grid import RESERVED
from jaxscale.engine.ask.reduction import find_reduction
from jaxscale.engine.errors import StoreError
from jaxscale.engine.keep.arrays import pack, unpack
from jaxscale.engine.keep.sums import BINS, SUMS

OBSERVED, MOMENTS, SKETCH = "observed/", "moments/", "sketch/"  # what an array of a file is of


@dataclasses.dataclass(frozen=True)
class Piece(abc.ABC):
    """What the two kinds have in common: rows with identities."""

    ids: np.ndarray  # (n,) uint64, of runs, or of stretches of seeds of cells

    def __len__(self) -> int:
        return len(self.ids)

    @abc.abstractmethod
    def arrays(self) -> dict[str, np.ndarray]:
        """Return every array under its name in a file."""

    @classmethod
    @abc.abstractmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Return the piece of what `arrays` gave."""

    @abc.abstractmethod
    def check(self, times: int) -> None:
        """Raise StoreError if the arrays are not of the kinds and shapes that this package writes for so many times."""

    @property
    def nbytes(self) -> int:
        """How many bytes all arrays have."""
        return sum(values.nbytes for values in self.arrays().values())

    def take(self, rows: np.ndarray) -> Self:
        """Return a piece of some of the rows."""
        return self.of({name: values[rows] for name, values in self.arrays().items()})

    @abc.abstractmethod
    def part(self, columns: np.ndarray, names: Collection[str] | None) -> Self:
        """Return the piece at some of its times, of some of its observables or of all."""

    def to_npz(self, bucket: str, sweep: str = "") -> bytes:
        """Return the piece as a file that names its bucket, and its sweep by root and times."""
        return pack({"bucket": np.array(bucket), "sweep": np.array(sweep), **self.arrays()})

    @classmethod
    def from_npz(cls, content: bytes, times: int, reserved: set[str], sweep: str = "") -> tuple[str, Self]:
        """Return the bucket and the piece of a file.

        Args:
          content: the file's bytes.
          times: recorded steps of the sweep.
          reserved: names that no observable has.
          sweep: what the file must say it is of.

        Raises:
          StoreError: no jaxscale wrote this for this sweep.
        """
        arrays = unpack(content)
        ids, bucket, of = arrays.get("ids"), arrays.pop("bucket", None), arrays.pop("sweep", None)
        if ids is None or bucket is None or ids.ndim != 1 or ids.dtype != np.uint64 or bucket.dtype.kind != "U" or bucket.ndim:
            raise StoreError("it holds no runs")
        try:
            str(bucket).encode()
        except (ValueError, SystemError):  # code points that no text has
            raise StoreError("its bucket is no text") from None
        if of is None or of.dtype.kind != "U" or of.ndim or str(of) != sweep:
            raise StoreError("it is of a sweep of another root or other times")
        if missing := [name for name in cls._needed() if name not in arrays]:
            raise StoreError(f"it has no '{missing[0]}'")
        if strange := [name for name in arrays if not cls._knows(name)]:
            raise StoreError(f"it has a '{strange[0]}', which this sweep has not")
        for name in arrays:
            if name.partition("/")[2] in reserved:
                raise StoreError(f"its '{name}' is no observable")
        piece = cls.of(arrays)
        piece.check(times)
        return str(bucket), piece

    @classmethod
    @abc.abstractmethod
    def _needed(cls) -> tuple[str, ...]:
        """Return the names of arrays without which a file is no piece."""

    @classmethod
    @abc.abstractmethod
    def _knows(cls, name: str) -> bool:
        """Return whether an array of this name belongs to a piece."""


@dataclasses.dataclass(frozen=True)
class RunsPiece(Piece):
    """Finished runs, with one of them a row."""

    diverged_at: np.ndarray  # (n,) int32, first step whose state was not finite; -1 if all were
    observed: dict[str, np.ndarray]  # {observable: (n, times)}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return every array under its name in a file."""
        observed = {OBSERVED + name: values for name, values in self.observed.items()}
        return {"ids": self.ids, "diverged_at": self.diverged_at, **observed}

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> "RunsPiece":
        """Return the piece of what `arrays` gave."""
        return cls(arrays["ids"], arrays["diverged_at"], _below(arrays, OBSERVED))

    def check(self, times: int) -> None:
        """Raise StoreError if the arrays are not of the kinds and shapes that this package writes for so many times."""
        _check_array("diverged_at", self.diverged_at, "i", (len(self),))
        for name, values in self.observed.items():
            _check_array(OBSERVED + name, values, "biuf", (len(self), times))

    def part(self, columns: np.ndarray, names: Collection[str] | None) -> "RunsPiece":
        """Return the piece at some of its times, of some of its observables or of all."""
        return dataclasses.replace(self, observed=_columns(self.observed, columns, names))

    @classmethod
    def _needed(cls) -> tuple[str, ...]:
        return ("diverged_at",)

    @classmethod
    def _knows(cls, name: str) -> bool:
        return name in ("ids", "diverged_at") or name.startswith(OBSERVED)


@dataclasses.dataclass(frozen=True)
class CellsPiece(Piece):
    """Sums over consecutive seeds of cells, one stretch of seeds a row."""

    cell: np.ndarray  # (n,) uint64, identity of the grid point
    low: np.ndarray  # (n,) int, first seed
    high: np.ndarray  # (n,) int, one past the last
    diverged: np.ndarray  # (n, times) int, runs whose state was not finite by then
    censored: np.ndarray  # (n, times) int, runs that had neither stopped nor diverged by then
    moments: dict[str, np.ndarray]  # {observable: (n, times, SUMS)}
    sketch: dict[str, np.ndarray]  # {observable: (n, times, BINS)}, or {}

    def arrays(self) -> dict[str, np.ndarray]:
        """Return every array under its name in a file."""
        plain = {name: getattr(self, name) for name in ("ids", *self._needed())}
        sums = {MOMENTS + name: values for name, values in self.moments.items()}
        return plain | sums | {SKETCH + name: values for name, values in self.sketch.items()}

    @classmethod
    def of(cls, arrays: Mapping[str, np.ndarray]) -> "CellsPiece":
        """Return the piece of what `arrays` gave."""
        plain = {name: arrays[name] for name in ("ids", *cls._needed())}
        return cls(**plain, moments=_below(arrays, MOMENTS), sketch=_below(arrays, SKETCH))

    def check(self, times: int) -> None:
        """Raise StoreError if the arrays are not of the kinds and shapes that this package writes for so many times."""
        rows = (len(self),)
        for name, kinds in (("cell", "u"), ("low", "i"), ("high", "i")):
            _check_array(name, getattr(self, name), kinds, rows)
        for name in ("diverged", "censored"):
            _check_array(name, getattr(self, name), "iu", (*rows, times))
        for name, values in self.moments.items():
            _check_array(MOMENTS + name, values, "f", (*rows, times, SUMS))
        for name, values in self.sketch.items():
            if name not in self.moments:
                raise StoreError(f"its '{SKETCH + name}' is no observable")
            _check_array(SKETCH + name, values, "iu", (*rows, times, BINS))
        if not np.all((self.low >= 0) & (self.low < self.high)):
            raise StoreError("it has cells without seeds")

    def part(self, columns: np.ndarray, names: Collection[str] | None) -> "CellsPiece":
        """Return the piece at some of its times, of some of its observables or of all."""
        counts = {name: getattr(self, name)[:, columns] for name in ("diverged", "censored")}
        sums, sketch = (_columns(values, columns, names) for values in (self.moments, self.sketch))
        return dataclasses.replace(self, **counts, moments=sums, sketch=sketch)

    @classmethod
    def _needed(cls) -> tuple[str, ...]:
        return ("cell", "low", "high", "diverged", "censored")

    @classmethod
    def _knows(cls, name: str) -> bool:
        return name in ("ids", *cls._needed()) or name.startswith((MOMENTS, SKETCH))


Pieces = dict[str, list[Any]]  # {bucket: pieces of one kind}
Take = Callable[[Any], Any]  # what is kept of a piece


def whole(piece: Any) -> Any:
    """Return the piece as it is."""
    return piece


def account(piece: Any) -> Any:
    """Return what it takes to count a piece's runs: of pieces of runs, no observables."""
    return dataclasses.replace(piece, observed={}) if isinstance(piece, RunsPiece) else piece


def piece_name(bucket: str, ids: np.ndarray) -> str:
    """Return the name of the piece of exactly these rows."""
    return sha256(bucket.encode() + ids.tobytes()).hexdigest()[:20]


def reserved_names(manifest: Mapping[str, Any]) -> set[str]:
    """Return the names that no observable of a store has: they are other parts of the result."""
    asked = manifest["request"]
    return {*asked["grid"], *asked["static"], *RESERVED, *find_reduction(manifest["contract"].get("reduce", False)).reserved}


def _columns(arrays: Mapping[str, np.ndarray], columns: np.ndarray, names: Collection[str] | None) -> dict[str, np.ndarray]:
    """Return arrays (rows, times, ...) at some times, those of some names; copies, or the whole would be held."""
    return {name: values[:, columns].copy() for name, values in arrays.items() if names is None or name in names}


def _below(arrays: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): values for name, values in arrays.items() if name.startswith(prefix)}


def _check_array(name: str, values: np.ndarray, kinds: str, shape: tuple[int, ...]) -> None:
    if values.dtype.kind not in kinds or values.shape != shape:
        raise StoreError(f"its '{name}' is {values.dtype} of shape {values.shape}, not of shape {shape}")
