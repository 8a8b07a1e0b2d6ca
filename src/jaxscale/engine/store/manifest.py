"""The manifest of a store: what its runs are. Read as text from a stranger: checked whole before anything is made of it."""

import json
import math
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from jaxscale.engine.ask.grid import Grid, make_grid
from jaxscale.engine.ask.reduction import find_reduction
from jaxscale.engine.errors import StoreError
from jaxscale.engine.store.files import read_file
from jaxscale.simulation import check_times

FORMAT = 3
MAX_BYTES = 256 * 2**20  # of a manifest
MAX_AXES, MAX_BUCKETS, MAX_RUNS = 24, 10**5, 10**12
DTYPES = ("int32", "float32", "bool")


def read_manifest(path: Path) -> dict[str, Any] | None:
    """Return the manifest of a store, None if there is none.

    Raises:
      StoreError: it is damaged, of another format, or says what no jaxscale manifest says.
    """
    file = path / "manifest.json"
    try:
        manifest = json.loads(read_file(file, MAX_BYTES, "manifest"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(f"'{file}' cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        if isinstance(error, StoreError):
            raise
        raise StoreError(f"'{file}' is not JSON ({error}); the store is damaged. Use a new folder.") from error
    parts = ("contract", "request", "buckets")
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if type(found) is int and found > FORMAT:
        raise StoreError(
            f"'{file}' is of format {found}, and this jaxscale reads {FORMAT}: a newer one wrote it. Upgrade jaxscale."
        )
    if found != FORMAT or not all(isinstance(manifest.get(p), dict) for p in parts):
        raise StoreError(f"'{file}' is no jaxscale manifest of format {FORMAT}. Use a new folder.")
    try:
        if manifest.pop("sha256", None) != _digest(manifest):
            raise ValueError("it does not match its checksum, so it was altered or damaged")
        read_grid(manifest)
        read_times(manifest)
        _check_rest(manifest)
    except (ValueError, TypeError, KeyError, OverflowError, AttributeError, RecursionError) as error:
        raise StoreError(f"'{file}' does not describe a sweep: {_short(error)}. Use a new folder.") from error
    return manifest


def signed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return a manifest with its checksum, as it stands in its file."""
    return {**manifest, "sha256": _digest(manifest)}


def _digest(manifest: Mapping[str, Any]) -> str:
    return sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def sweep_mark(contract: Mapping[str, Any]) -> str:
    """Return what every piece of a sweep carries: of what root and times it is, whatever a manifest says later."""
    return sha256(json.dumps([contract["root"], contract["times"]]).encode()).hexdigest()[:16]


def read_grid(manifest: Mapping[str, Any]) -> Grid:
    """Return the grid last asked for.

    Raises:
      ValueError, TypeError, KeyError: it is not a grid.
    """
    asked = manifest["request"]
    axes = {}
    for name, axis in asked["grid"].items():
        if axis["dtype"] not in DTYPES:
            raise ValueError(f"axis '{name}' has type {axis['dtype']!r}")
        axes[name] = np.array(_plain(axis["values"], int | float), axis["dtype"])
    static = {name: _plain(values, int | float | str | None) for name, values in asked["static"].items()}
    for name in (*axes, *static):
        name.encode()  # a ValueError where it is no text
    grid = make_grid(axes, static, asked["seeds"], _plain(asked["share"], str))
    buckets = math.prod(len(v) for v in static.values())
    if len(axes) + len(static) > MAX_AXES or buckets > MAX_BUCKETS or buckets * grid.lanes_per_bucket > MAX_RUNS:
        raise ValueError(f"{len(axes) + len(static)} axes, {buckets} buckets of {grid.lanes_per_bucket} runs are no sweep")
    return grid


def read_times(manifest: Mapping[str, Any]) -> np.ndarray:
    """Return the recorded steps."""
    return check_times(_plain(manifest["contract"]["times"], int))


def write_grid(grid: Grid) -> dict[str, Any]:
    """Return a grid as plain JSON."""
    axes = {name: {"values": v.tolist(), "dtype": str(v.dtype)} for name, v in grid.axes.items()}
    static = {name: list(values) for name, values in grid.static.items()}
    return {"grid": axes, "static": static, "seeds": grid.seeds, "share": sorted(grid.share)}


def compare(path: str | os.PathLike, old: Mapping[str, Any], new: Mapping[str, Any]) -> None:
    """Refuse to mix runs whose contracts differ, naming the entry.

    Raises:
      StoreError: they differ.
    """
    for entry in sorted(set(old) | set(new)):
        if old.get(entry) != new.get(entry):
            if entry == "jax":
                raise StoreError(
                    f"store='{path}' is not finished, and its runs were made by JAX {_short(old.get(entry))}; this is "
                    f"{_short(new.get(entry))}, whose last bits may differ. Finish it with that version, or use a new store=."
                )
            raise StoreError(
                f"store='{path}' belongs to another sweep: its '{entry}' is {_short(old.get(entry))} and yours is "
                f"{_short(new.get(entry))}. Use a new store=, or go back to the old {entry}."
            )


def _check_rest(manifest: Mapping[str, Any]) -> None:
    find_reduction(manifest["contract"].get("reduce", False))
    for name, bucket in manifest["buckets"].items():
        width, program = bucket["width"], bucket["program"]
        if type(width) is not int or not 2 <= width <= 2**24 or not isinstance(program, str):
            raise ValueError(f"bucket {name} has width {width!r} and program {program!r}")
    for name, unit in manifest["request"].get("units", {}).items():
        if len(unit) != 2 or not all(isinstance(text, str) for text in unit):
            raise ValueError(f"observable '{name}' has units {unit!r}")


def _plain(values: Any, kinds: Any) -> list[Any]:
    if not isinstance(values, list) or not all(isinstance(v, kinds) for v in values):
        raise ValueError(f"{values!r} is no list of plain values")
    return values


def _short(value: Any) -> str:
    text = str(value) if isinstance(value, Exception) else json.dumps(value)
    return text if len(text) <= 120 else text[:110] + "..."
