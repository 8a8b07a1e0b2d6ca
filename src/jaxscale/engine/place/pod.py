"""Several processes, one script: under `jax.distributed` every process runs its own part of the lanes on its own devices.

Lanes exchange nothing, so the programs are local; the processes meet only to agree on widths and to put results together.
"""

from typing import Any

import jax
import numpy as np

from jaxscale.engine.ask.request import Request
from jaxscale.engine.errors import StoreError
from jaxscale.engine.keep.arrays import pack, unpack
from jaxscale.engine.keep.pieces import Pieces
from jaxscale.engine.store.disk import DiskStore


def gather(pieces: Pieces, request: Request, store: Any) -> Pieces:
    """Return all processes' pieces, in every process: read from the store they share, or sent around. Alone: as given."""
    if jax.process_count() == 1:
        return pieces
    from jax.experimental import multihost_utils

    if store is not None:
        multihost_utils.sync_global_devices("jaxscale: every part is stored")
        return DiskStore.read(store).pieces()
    mine = np.frombuffer(packed(pieces), np.uint8)
    sizes = np.asarray(multihost_utils.process_allgather(np.int32(mine.size))).reshape(-1)
    padded = np.zeros(sizes.max(), np.uint8)
    padded[: mine.size] = mine
    together: Pieces = {}
    for size, content in zip(sizes, np.asarray(multihost_utils.process_allgather(padded))):
        for name, some in unpacked(content[:size].tobytes(), request).items():
            together.setdefault(name, []).extend(some)
    return together


def check_complete(pending: int, store: Any) -> None:
    """Refuse a result with holes, which the processes of a pod get when they do not share the folder.

    Raises:
      StoreError: runs are missing.
    """
    if pending and jax.process_count() > 1:
        raise StoreError(
            f"{pending} runs of other processes are not in store='{store}'; it must be one folder that all processes see."
        )


def packed(pieces: Pieces) -> bytes:
    """Return pieces as bytes: a file of their files."""
    files = [piece.to_npz(bucket) for bucket, some in pieces.items() for piece in some]
    return pack({str(i): np.frombuffer(file, np.uint8) for i, file in enumerate(files)})


def unpacked(content: bytes, request: Request) -> Pieces:
    """Return what `packed` packed."""
    pieces: Pieces = {}
    for file in unpack(content).values():
        bucket, piece = request.reduction.piece.from_npz(file.tobytes(), len(request.times), set())
        pieces.setdefault(bucket, []).append(piece)
    return pieces
