"""Several processes, one script: under `jax.distributed` every process runs its own part of the lanes on its own devices.

Lanes exchange nothing, so the programs are local; the processes meet only to agree on widths and to put results together.
"""

import io
from typing import Any

import jax
import numpy as np

from jaxscale.engine.keep.pieces import Piece, Pieces
from jaxscale.engine.store.disk import Store
from jaxscale.engine.store.files import StoreError, load_arrays


def part() -> tuple[int, int] | None:
    """The part of this process of a sweep, (index, count); None when it is alone."""
    return (jax.process_index(), jax.process_count()) if jax.process_count() > 1 else None


def agree(number: int) -> int:
    """The first process's number, in every process."""
    if jax.process_count() == 1:
        return number
    from jax.experimental import multihost_utils

    return int(multihost_utils.broadcast_one_to_all(np.int32(number)))


def gather(pieces: Pieces, store: Any) -> Pieces:
    """All processes' pieces, in every process: read from the store they share, or sent around. Alone: as given."""
    if jax.process_count() == 1:
        return pieces
    from jax.experimental import multihost_utils

    if store is not None:
        multihost_utils.sync_global_devices("jaxscale: every part is stored")
        return Store.read(store).pieces()
    mine = np.frombuffer(_packed(pieces), np.uint8)
    sizes = np.asarray(multihost_utils.process_allgather(np.int32(mine.size))).reshape(-1)
    padded = np.zeros(sizes.max(), np.uint8)
    padded[: mine.size] = mine
    whole: Pieces = {}
    for size, content in zip(sizes, np.asarray(multihost_utils.process_allgather(padded))):
        for name, found in _unpacked(content[:size].tobytes()).items():
            whole.setdefault(name, []).extend(found)
    return whole


def check_complete(pending: int, store: Any) -> None:
    """Refuse a result with holes, which the processes of a pod get when they do not share the folder.

    Raises:
      StoreError: runs are missing.
    """
    if pending and jax.process_count() > 1:
        raise StoreError(
            f"{pending} runs of other processes are not in store='{store}'; it must be one folder that all processes see."
        )


def _packed(pieces):
    arrays = {f"{i}/{name}/{key}": v for name, found in pieces.items() for i, p in enumerate(found) for key, v in p.items()}
    buffer = io.BytesIO()
    np.savez(buffer, **{str(k): v for k, v in enumerate(arrays.values())}, keys=np.array(list(arrays) or [""]))
    return buffer.getvalue()


def _unpacked(content):
    arrays = load_arrays(content)
    found: dict[tuple[str, str], Piece] = {}
    for k, text in enumerate(arrays.pop("keys").tolist()):
        if text:
            i, rest = text.split("/", 1)
            name, key = _split_bucket(rest)
            found.setdefault((name, i), Piece())[key] = arrays[str(k)]
    pieces: Pieces = {}
    for (name, _), piece in found.items():
        pieces.setdefault(name, []).append(piece)
    return pieces


def _split_bucket(text):
    """A bucket's name is JSON and ends in a brace; what follows is the array's."""
    at = text.rindex("}/") + 1
    return text[:at], text[at + 1 :]
