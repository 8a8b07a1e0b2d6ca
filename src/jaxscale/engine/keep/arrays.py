"""Arrays as bytes, and back, where nothing in the bytes is ever executed."""

import io
import math
import re
import zipfile
from collections.abc import Mapping

import numpy as np

from jaxscale.engine.errors import StoreError

MAX_HEADER = 1024  # bytes before an array: 118 as numpy writes it
HEADER = re.compile(
    rb"\{'descr': '[<>|=][biufU][1-9]\d{0,8}', 'fortran_order': (True|False), "
    rb"'shape': \(((\d{1,18}, ?)*(\d{1,18})?)\), \}\s*"
)


def pack(arrays: Mapping[str, np.ndarray]) -> bytes:
    """Return an npz file of arrays, uncompressed."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


def unpack(content: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of an npz file. Nothing in it is executed, unpacked or allocated before its size is known to be true.

    Raises:
      StoreError: it is not what `numpy.savez` writes: objects, compressed members, shapes that do not fit their bytes.
    """
    arrays, left = {}, len(content)
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as members:
            for member in members.infolist():
                left -= member.file_size  # members that overlap, or unpack to more than there is
                if member.compress_type != zipfile.ZIP_STORED or left < 0:
                    raise ValueError(f"member '{member.filename}' is compressed, or larger than the file")
                arrays[member.filename.removesuffix(".npy")] = _array(members.read(member))
    except Exception as error:  # a stranger's bytes can break the readers of zip files and headers in any way
        raise StoreError(f"not a file of plain arrays: {error}") from error
    return arrays


def _array(data: bytes) -> np.ndarray:
    stream = io.BytesIO(data)
    if np.lib.format.read_magic(stream) != (1, 0):
        raise ValueError("not an array as numpy writes plain ones")
    size = int.from_bytes(data[8:10], "little")
    if not HEADER.fullmatch(data[10 : 10 + min(size, MAX_HEADER)]):  # before numpy parses it: no objects, no records
        raise ValueError(f"an array with the header {data[10:110]!r}")
    shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    size = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or any(n < 0 for n in shape) or size != len(data) - stream.tell():
        raise ValueError(f"an array of {dtype} and shape {shape} in {len(data)} bytes")
    flat = np.frombuffer(data, dtype, math.prod(shape), stream.tell()) if size else np.zeros(math.prod(shape), dtype)
    return flat.reshape(shape, order="F" if fortran else "C").copy()
