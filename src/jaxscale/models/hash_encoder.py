"""A small ReLU classifier whose activation codes are counted: when does every input have a code of its own?"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxscale.models.probes.codes import neighbours_error, redundancy
from jaxscale.records import record, static


class Data(NamedTuple):
    """One draw of the quenched disorder."""

    inputs: jax.Array  # (n, d)
    labels: jax.Array  # (n,), int
    used: jax.Array  # (n,) bool


class Params(NamedTuple):
    """Weights and biases of two hidden layers and the readout; units that are not in use have none."""

    kernels: tuple[jax.Array, ...]
    biases: tuple[jax.Array, ...]


@record
class HashEncoder:
    """A network d - width - width - classes with ReLU, under cross-entropy on a mixture of normal distributions.

    Attributes:
      d: input dimension. Static.
      classes: number of classes. Static.
      samples_max: rows drawn. Static.
      width_max: largest hidden width. Static.
      samples: rows in use. Traced.
      width: hidden units in use per layer. Traced, so that one program serves every width.
      spread: distance of the class centres from the origin, in standard deviations of a class along one direction.

    References:
      He, Lei, Ji & Tao 2021, Neural networks behave as hash encoders, arXiv:2101.05490.
    """

    d: int = static(default=20)
    classes: int = static(default=4)
    samples_max: int = static()
    width_max: int = static()
    samples: float
    width: float
    spread: float = 2.0

    units = {
        "loss": ("mean cross-entropy on the training set", "nats"),
        "error": ("share of training points misclassified", "1"),
        "redundancy": ("share of the points whose code of both layers is another point's too", "1"),
        "redundancy_first": ("the same for the first layer alone", "1"),
        "neighbours_error": ("share of the points whose nearest other one, by code, is of another class", "1"),
    }

    def check(self):
        """Raise unless the sizes in use are within those drawn."""
        for name in ("samples", "width"):
            value, most = getattr(self, name), getattr(self, f"{name}_max")
            if not 1 <= value <= most:
                raise ValueError(f"HashEncoder.{name} must lie in 1..{name}_max={most}; got {value}. Raise {name}_max.")

    def sample(self, key: jax.Array) -> Data:
        """Draw the class centres, the points around them, and their labels. Consumes `key`."""
        key_centres, key_labels, key_points = jax.random.split(key, 3)
        centres = jax.random.normal(key_centres, (self.classes, self.d))
        centres = self.spread * centres / jnp.linalg.norm(centres, axis=1, keepdims=True)
        labels = jax.random.randint(key_labels, (self.samples_max,), 0, self.classes)
        inputs = centres[labels] + jax.random.normal(key_points, (self.samples_max, self.d))
        return Data(inputs, labels, jnp.arange(self.samples_max) < self.samples)

    def init(self, key: jax.Array, data: Data) -> Params:
        """Draw He-normal weights in the units in use, zero elsewhere; biases are zero. Consumes `key`."""
        sides = (self.d, self.width_max, self.width_max, self.classes)
        fan_in = (self.d, self.width, self.width)
        on = jnp.arange(self.width_max) < self.width
        kernels = []
        for i, one in enumerate(jax.random.split(key, 3)):
            kernel = jax.random.normal(one, (sides[i], sides[i + 1])) * jnp.sqrt(2 / fan_in[i])
            kernel = kernel if i == 0 else jnp.where(on[:, None], kernel, 0)
            kernels.append(kernel if i == 2 else jnp.where(on[None, :], kernel, 0))
        return Params(tuple(kernels), tuple(jnp.zeros(side) for side in sides[1:]))

    def layers(self, params: Params, inputs: jax.Array) -> tuple[list[jax.Array], jax.Array]:
        """Return pre-activations of both hidden layers, (n, width_max) each, zero where not in use, and logits (n, classes)."""
        on, x, seen = jnp.arange(self.width_max) < self.width, inputs, []
        for kernel, bias in zip(params.kernels[:-1], params.biases[:-1]):
            seen.append(jnp.where(on[None, :], x @ kernel + bias[None, :], 0))
            x = jax.nn.relu(seen[-1])
        return seen, x @ params.kernels[-1] + params.biases[-1][None, :]

    def loss(self, params: Params, data: Data, key: jax.Array | None = None) -> jax.Array:
        """Return the mean cross-entropy over the rows in use, nats."""
        del key  # full batch
        return self._loss(self.layers(params, data.inputs)[1], data)

    def _loss(self, logits, data):
        picked = jnp.take_along_axis(jax.nn.log_softmax(logits), data.labels[:, None], axis=1)[:, 0]
        return -jnp.sum(jnp.where(data.used, picked, 0)) / jnp.sum(data.used)

    def observe(self, params: Params, data: Data) -> dict[str, Any]:
        """Return loss, error, and the redundancy of the activation codes."""
        seen, logits = self.layers(params, data.inputs)
        wrong = (jnp.argmax(logits, axis=1) != data.labels) & data.used
        codes = jnp.concatenate(seen, axis=1) > 0
        return {
            "loss": self._loss(logits, data),
            "error": jnp.sum(wrong) / jnp.sum(data.used),
            "neighbours_error": neighbours_error(codes, data.labels, data.used),
            "redundancy": redundancy(codes, data.used),
            "redundancy_first": redundancy(seen[0] > 0, data.used),
        }


TINY = HashEncoder(d=5, classes=3, samples_max=12, width_max=6, samples=9.0, width=4.0)
