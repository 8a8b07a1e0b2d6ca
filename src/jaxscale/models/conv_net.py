"""Small convolutional networks on real images, without normalisation layers, in the scaling of the fully connected ones."""

import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from jaxscale.data import digits
from jaxscale.models.image_parity import ImageParity
from jaxscale.models.networks import Apply, Init, network
from jaxscale.records import record, static


class Convolutions(nn.Module):
    """3x3 convolutions of stride 2 with ReLU, the mean over what is left of the image, and a linear output.

    Every weight is N(0, 1) and the scaling stands outside, as in the fully connected networks: hidden activations have unit
    second moment, and the output is divided by the channels (mean field) or by their root (NTK).
    """

    channels: int
    depth: int
    mean_field: bool
    shape: tuple[int, int, int]  # height, width, colours; pixels come plane after plane

    @nn.compact
    def __call__(self, x: Any) -> Any:
        """Return the outputs, (n,), of (n, pixels) images."""
        height, width, colours = self.shape
        normal = nn.initializers.normal(1.0)
        x = jnp.moveaxis(x.reshape(-1, colours, height, width), 1, -1)
        for _ in range(self.depth):
            fan_in = 9 * x.shape[-1]
            x = nn.Conv(self.channels, (3, 3), strides=2, use_bias=False, kernel_init=normal)(x) / jnp.sqrt(fan_in)
            x = nn.relu(x) * jnp.sqrt(2.0)
        out = nn.Dense(1, use_bias=False, kernel_init=normal)(x.mean(axis=(1, 2)))[..., 0]
        return out / (self.channels if self.mean_field else jnp.sqrt(self.channels))


@record
class ConvNet(ImageParity):
    """Parity of images by a convolutional network; see `ImageParity` for the task and the loss.

    Attributes:
      p: largest number of training points; fixes the rows drawn. Static.
      points: training points in use, at most p; None uses all. Traced.
      alpha: output scale: large is lazy, small learns features.
      source: of the images, see `ImageParity`; grey squares, or three colour planes. Static.
      test: test points, drawn from the rest. Static.
      channels: of every layer, h. Static.
      depth: convolutions, each halving the image. Static.
      mean_field: divide the output by h (mean field) and not sqrt(h) (NTK). Static.

    References:
      Sclocchi, Geiger & Wyart, ICML 2023, arXiv:2301.13703, section 4 (networks without normalisation layers).
    """

    channels: int = static(default=16)
    depth: int = static(default=2)
    mean_field: bool = static(default=True)

    def check(self):
        """Raise unless the sizes fit, alpha is positive and the images can be halved so often."""
        super().check()
        height, _, _ = image_shape(self.source)
        most = math.ceil(math.log2(height))
        if self.channels < 1 or not 1 <= self.depth <= most:
            raise ValueError(
                f"ConvNet needs channels >= 1 and 1 <= depth <= {most}, the halvings of {height} pixels; got {self.channels} "
                f"and {self.depth}."
            )

    def init_and_apply(self) -> tuple[Init, Apply]:
        """Return `init(key, inputs)` and `apply(weights, inputs)` of the network, whose output is f_w."""
        return network(Convolutions(self.channels, self.depth, self.mean_field, image_shape(self.source)))


def image_shape(source: str) -> tuple[int, int, int]:
    """Return (height, width, colours) of the images of a source: one grey plane, or three of colours.

    Raises:
      ValueError: they are not square.
    """
    pixels = digits.load(source)[0].shape[1]
    for colours in (1, 3):
        side = math.isqrt(pixels // colours)
        if side * side * colours == pixels:
            return side, side, colours
    raise ValueError(f"source='{source}' has images of {pixels} pixels, which are no square of one or three planes.")


TINY = ConvNet(p=16, points=12, alpha=1.0, channels=3, test=8)
