"""Small fully connected networks on real images, of any depth; widths can be traced."""

from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from jaxscale.models.image_parity import ImageParity
from jaxscale.models.networks import Apply, Init, network
from jaxscale.records import record, static


class Layers(nn.Module):
    """A fully connected ReLU network with every weight N(0, 1) and the width scaling outside the weights.

    Hidden activations have unit second moment. The output is divided by sqrt(width) (NTK) or by width (mean field).
    """

    width: int
    depth: int
    mean_field: bool
    used: Any = None  # hidden units in use, traced; None for all

    @nn.compact
    def __call__(self, x):
        """Return the outputs, (n,), of (n, d) inputs."""
        used = self.width if self.used is None else self.used
        normal = nn.initializers.normal(1.0)
        fan_in = x.shape[-1]
        for _ in range(self.depth):
            x = nn.relu(nn.Dense(self.width, use_bias=False, kernel_init=normal)(x) / jnp.sqrt(fan_in)) * jnp.sqrt(2.0)
            x = x if self.used is None else jnp.where(jnp.arange(self.width) < used, x, 0)
            fan_in = used
        out = nn.Dense(1, use_bias=False, kernel_init=normal)(x)[..., 0]
        return out / (used if self.mean_field else jnp.sqrt(used))


@record
class Mlp(ImageParity):
    """Parity of images by a fully connected network; see `ImageParity` for the task and the loss.

    Attributes:
      p: largest number of training points; fixes the rows drawn. Static.
      points: training points in use, at most p; None uses all. Traced.
      alpha: output scale: large is lazy, small learns features.
      source: of the images, see `ImageParity`. Static.
      test: test points, drawn from the rest. Static.
      width: hidden width h. Static.
      hidden: hidden units in use, at most width; the others are zero and stay so. None uses all. Traced, so that one
        program serves many widths.
      depth: hidden layers. Static.
      mean_field: divide the output by h (mean field) and not sqrt(h) (NTK). Static.

    References:
      Sclocchi, Geiger & Wyart, ICML 2023, arXiv:2301.13703, section 4.
    """

    width: int = static(default=64)
    depth: int = static(default=1)
    mean_field: bool = static(default=True)
    hidden: int | None = None

    def check(self):
        """Raise unless the sizes fit and alpha is positive."""
        super().check()
        if self.hidden is not None and not 1 <= self.hidden <= self.width:
            raise ValueError(f"Mlp.hidden must lie in 1..width={self.width}; got {self.hidden}. Raise width to go further.")

    def init_and_apply(self) -> tuple[Init, Apply]:
        """Return `init(key, inputs)` and `apply(weights, inputs)` of the network, whose output is f_w."""
        init, apply = network(Layers(self.width, self.depth, self.mean_field, self.hidden))
        return lambda key, inputs: self._masked(init(key, inputs)), apply

    def _masked(self, weights):
        """Zero weights into and out of the hidden units that are not in use; descent leaves them there."""
        if self.hidden is None:
            return weights
        used = jnp.arange(self.width) < self.hidden
        layers = sorted(weights, key=lambda name: int(name.rpartition("_")[2]))  # Dense_0, Dense_1, ...
        kernels = [weights[name]["kernel"] for name in layers]
        kernels = [k * used[None, :] if i < self.depth else k for i, k in enumerate(kernels)]
        kernels = [k * used[:, None] if i > 0 else k for i, k in enumerate(kernels)]
        return {name: {"kernel": kernel} for name, kernel in zip(layers, kernels)}


TINY = Mlp(p=16, points=12, alpha=1.0, width=4, test=8)
