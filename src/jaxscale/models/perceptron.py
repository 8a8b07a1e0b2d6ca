"""Perceptrons: the margin-density perceptron of the SGD-noise papers, and the classical teacher-student perceptron."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.scipy.special import betainc

from jaxscale.data.margin import margin_density
from jaxscale.records import record, static


class Data(NamedTuple):
    """One draw of the quenched disorder."""

    inputs: jax.Array  # (n, d), label times input over sqrt(d): a point is fitted when inputs @ v >= margin
    weight: jax.Array  # (n,), 1/P on the P rows in use, 0 on the rest
    teacher: jax.Array  # (d,), unit vector

    @property
    def size(self) -> jax.Array:
        """Return P, the number of rows in use; they come first."""
        return jnp.sum(self.weight > 0)


@record
class Perceptron:
    """Learn the sign of x_1 by hinge loss, with density |x_1|^chi near the boundary.

    f(x) = w.x / sqrt(d), and the predictor is f minus its initial value, so only v = w - w0 matters; it starts at 0.
    The loss per sample is max(0, margin - y v.x / sqrt(d)). In the papers margin = 1/alpha, and the number of points
    is P = alpha d here.

    Attributes:
      d: input dimension. Static.
      alpha: load P/d, in (0, alpha_max].
      alpha_max: largest load of the sweep; fixes the rows drawn, so one program serves every load. Static.
      chi: exponent of the density near the boundary. Static.
      margin: hinge margin, kappa = 1/alpha of the papers. Only learning rate over margin matters.

    References:
      Sclocchi, Geiger & Wyart, ICML 2023, arXiv:2301.13703. Sclocchi & Wyart, PNAS 2024, arXiv:2309.10688.
    """

    d: int = static()
    alpha: float
    alpha_max: float = static(default=8.0)
    chi: float = static(default=0.0)
    margin: float = 1.0

    units = {
        "loss": ("mean hinge loss over the training set", "units of the output"),
        "error": ("generalisation error, exact", "probability"),
        "unfitted": ("training points short of the margin", "points"),
        "signal": ("v along the teacher", "weight units"),
        "noise": ("norm of v across the teacher", "weight units"),
        "norm": ("norm of v = w - w0", "weight units"),
        "lambda": ("signal over noise", "1"),
    }

    def check(self):
        """Raise unless the load fits the rows drawn, d >= 2, the margin is positive and chi above -1."""
        _check_load(self)
        if self.d < 2:
            raise ValueError(f"Perceptron.d must be at least 2; got {self.d}.")
        if not self.margin > 0:
            raise ValueError(f"Perceptron.margin must be positive; got {self.margin}. At v = 0 every point would be fitted.")
        if not self.chi > -1:
            raise ValueError(f"Perceptron.chi must exceed -1 for the density to be normalisable; got {self.chi}.")

    def sample(self, key: jax.Array) -> Data:
        """Draw points times labels; the teacher is the first axis. Consumes `key`."""
        rows = round(self.alpha_max * self.d)
        inputs = margin_density(key, rows, self.d, self.chi) / jnp.sqrt(self.d)
        return Data(inputs, _weight(self, rows), jnp.eye(self.d)[0])

    def init(self, key: jax.Array, data: Data) -> jax.Array:
        """Return v = 0, (d,); `key` goes unused."""
        del key
        return jnp.zeros(self.d)

    def batch(self, data: Data, index: jax.Array) -> Data:
        """Return the rows `index` of the data, each with weight 1/B."""
        return data._replace(inputs=data.inputs[index], weight=jnp.full(index.shape, 1 / index.size))

    def batch_limit(self) -> int:
        """Return P, the largest batch without replacement."""
        return round(self.alpha * self.d)

    def loss(self, v: jax.Array, data: Data, key: jax.Array | None = None) -> jax.Array:
        """Return the mean hinge loss over the rows in use."""
        del key  # full batch
        return data.weight @ jax.nn.relu(self.margin - data.inputs @ v)

    def unfitted(self, v: jax.Array, data: Data) -> jax.Array:
        """Say which rows in use are short of the margin, (n,) bool."""
        return (data.inputs @ v < self.margin) & (data.weight > 0)

    def observe(self, v: jax.Array, data: Data) -> dict[str, jax.Array]:
        """Return loss, exact generalisation error, unfitted points and the two components of v."""
        signal, noise = v[0], jnp.linalg.norm(v[1:])
        return {
            "loss": self.loss(v, data),
            "error": self.error(signal, noise),
            "unfitted": jnp.sum(self.unfitted(v, data)),
            "signal": signal,
            "noise": noise,
            "norm": jnp.linalg.norm(v),
            "lambda": signal / jnp.maximum(noise, jnp.finfo(v.dtype).tiny),
        }

    def error(self, signal: jax.Array, noise: jax.Array) -> jax.Array:
        """Return the probability that v and the teacher disagree on a fresh point.

        z / |x_1| follows Student's t with chi + 1 degrees of freedom, up to scale, for z standard normal; the error is
        its tail beyond lambda = signal / noise. The start, v = 0, guesses.
        """
        norm2 = signal**2 + noise**2
        cosine = signal / jnp.sqrt(jnp.where(norm2 > 0, norm2, 1))
        if self.chi == 0:
            return jnp.arccos(jnp.clip(cosine, -1, 1)) / jnp.pi
        if self.chi == 1:
            return (1 - cosine) / 2
        tail = betainc((self.chi + 1) / 2, 0.5, jnp.clip(1 - cosine**2, 0, 1)) / 2
        return jnp.where(cosine >= 0, tail, 1 - tail)


@record
class TeacherStudent:
    """Learn a random half-space from alpha d labelled Gaussian points by logistic loss.

    Attributes:
      d: input dimension (N in the paper). Static.
      alpha: load P/d, in (0, alpha_max]. Rows past alpha d get weight 0, so one program serves every load.
      alpha_max: largest load of the sweep; fixes the number of rows drawn. Static.

    References:
      Seung, Sompolinsky & Tishby, Phys. Rev. A 45, 6056 (1992).
    """

    d: int = static()
    alpha: float
    alpha_max: float = static(default=8.0)

    units = {
        "loss": ("mean logistic loss over the training set", "nats"),
        "error": ("generalisation error, exact", "probability"),
        "overlap": ("cosine between student and teacher", "1"),
        "unfitted": ("training points on the wrong side", "points"),
    }

    def check(self):
        """Raise unless the load fits the rows drawn."""
        _check_load(self)

    def sample(self, key: jax.Array) -> Data:
        """Draw points, already multiplied by their labels, and the teacher. Consumes `key`."""
        key_inputs, key_teacher = jax.random.split(key)
        rows = round(self.alpha_max * self.d)
        inputs = jax.random.normal(key_inputs, (rows, self.d)) / jnp.sqrt(self.d)
        teacher = jax.random.normal(key_teacher, (self.d,))
        teacher = teacher / jnp.linalg.norm(teacher)
        labels = jnp.where(inputs @ teacher >= 0, 1.0, -1.0)
        return Data(labels[:, None] * inputs, _weight(self, rows), teacher)

    def init(self, key: jax.Array, data: Data) -> jax.Array:
        """Draw a small random student, (d,). Consumes `key`."""
        return 1e-3 * jax.random.normal(key, (self.d,))

    batch = Perceptron.batch
    batch_limit = Perceptron.batch_limit

    def loss(self, w: jax.Array, data: Data, key: jax.Array | None = None) -> jax.Array:
        """Return the mean logistic loss over the rows in use, nats."""
        del key  # full batch
        return data.weight @ jax.nn.softplus(-(data.inputs @ w))

    def observe(self, w: jax.Array, data: Data) -> dict[str, jax.Array]:
        """Return loss, overlap, exact error and training mistakes."""
        overlap = w @ data.teacher / jnp.linalg.norm(w)
        return {
            "loss": self.loss(w, data),
            "overlap": overlap,
            "error": jnp.arccos(jnp.clip(overlap, -1, 1)) / jnp.pi,
            "unfitted": jnp.sum((data.inputs @ w < 0) & (data.weight > 0)),
        }


def _check_load(model):
    name = type(model).__name__
    if not 0 < model.alpha <= model.alpha_max:
        raise ValueError(
            f"{name}.alpha must lie in (0, alpha_max={model.alpha_max}]; got {model.alpha}. Raise alpha_max to go further."
        )
    if round(model.alpha * model.d) < 1:
        raise ValueError(f"{name}.alpha * d must round to at least one point; got {model.alpha * model.d}.")


def _weight(model, rows):
    used = jnp.arange(rows) < jnp.round(model.alpha * model.d)
    return jnp.where(used, 1 / jnp.sum(used, dtype=jnp.float32), 0)


TINY = (
    Perceptron(d=4, alpha=3.0, alpha_max=4.0, chi=1.0),
    Perceptron(d=4, alpha=3.0, alpha_max=4.0, chi=2.0),
    TeacherStudent(d=4, alpha=2.0, alpha_max=3.0),
)
