"""A piece of a sweep: arrays of some finished runs, what they are called, and whether this package wrote them."""

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np

from jaxscale.engine.ask.grid import RESERVED
from jaxscale.engine.keep.rows import PREFIX
from jaxscale.engine.keep.sums import BINS, MOMENT_NAMES, SUMS
from jaxscale.engine.store.files import StoreError

Pieces = dict[str, list["Piece"]]


class Piece(dict):
    """Arrays of some finished runs: "ids" (n,), "diverged_at" (n,) and one (n, times) array per observable; or moments."""

    @property
    def observed(self) -> dict[str, np.ndarray]:
        """{observable: (n, times)}."""
        return {name.removeprefix(PREFIX): v for name, v in self.items() if name.startswith(PREFIX)}


def piece_name(bucket: str, ids: np.ndarray) -> str:
    """Name of the piece of exactly these runs."""
    return sha256(bucket.encode() + ids.tobytes()).hexdigest()[:20]


def forbidden(manifest: Mapping[str, Any]) -> set[str]:
    """Names that no observable has: they are other parts of the result."""
    asked = manifest["request"]
    return {*asked["grid"], *asked["static"], *RESERVED, *(MOMENT_NAMES if manifest["contract"].get("reduce") else ())}


def check_piece(piece: Piece, contract: Mapping[str, Any], names: set[str]) -> None:
    """Arrays of the kinds that `contract` asks for, one row per run (or per cell of moments), one column per recorded step.

    Raises:
      StoreError: no jaxscale wrote this for this sweep.
    """
    ids, bucket = piece.get("ids"), piece.get("bucket")
    if ids is None or bucket is None or ids.ndim != 1 or ids.dtype != np.uint64 or bucket.dtype.kind != "U" or bucket.ndim:
        raise StoreError("it holds no runs")
    try:
        str(bucket).encode()
    except (ValueError, SystemError):  # code points that no text has
        raise StoreError("its bucket is no text") from None
    rows, times, reduced = len(ids), len(contract["times"]), bool(contract.get("reduce"))
    wanted = MOMENTS if reduced else RUNS
    if missing := [name for name in wanted if name not in piece]:
        raise StoreError(f"it has no '{missing[0]}'")
    for name, values in piece.items():
        kind, _, observable = name.partition("/")
        if name in wanted:
            kinds, shape = wanted[name]
            _check_array(name, values, kinds, (rows, *(times if n is None else n for n in shape)))
        elif observable in names or (kind == "sketch" and f"moments/{observable}" not in piece):
            raise StoreError(f"its '{name}' is no observable")
        elif reduced and kind in ("moments", "sketch"):
            last = SUMS if kind == "moments" else BINS
            _check_array(name, values, "f" if kind == "moments" else "iu", (rows, times, last))
        elif not reduced and kind == "observed":
            _check_array(name, values, "biuf", (rows, times))
        elif name not in ("ids", "bucket"):
            raise StoreError(f"it has a '{name}', which this sweep has not")
    if reduced and not np.all((piece["low"] >= 0) & (piece["low"] < piece["high"])):
        raise StoreError("it has cells without seeds")


RUNS: dict[str, tuple[str, tuple]] = {"diverged_at": ("i", ())}
MOMENTS: dict[str, tuple[str, tuple]] = {
    "cell": ("u", ()), "low": ("i", ()), "high": ("i", ()), "diverged": ("iu", (None,)), "censored": ("iu", (None,)),
}  # fmt: skip


def _check_array(name, values, kinds, shape):
    if values.dtype.kind not in kinds or values.shape != shape:
        raise StoreError(f"its '{name}' is {values.dtype} of shape {values.shape}, not of shape {shape}")
