"""Random labels of random points: can a perceptron realise them? Cover's question, decided run by run."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxscale.records import record, static


class Data(NamedTuple):
    """One draw of the quenched disorder."""

    points: jax.Array  # (n, d), label times input over sqrt(d)
    used: jax.Array  # (n,) bool, the rows in use


@record
class RandomLabels:
    """Gaussian points, P = alpha d, with fair-coin labels, and the logistic loss of a perceptron without threshold.

    Two certificates decide: a w with every margin positive separates the labels; a point where the gradient vanishes is a
    positive combination of the labelled points that is zero, so nothing separates them (Gordan's theorem).

    Attributes:
      d: input dimension N. Static.
      alpha: load P / d, in (0, alpha_max]; alpha d is rounded.
      alpha_max: largest load of the sweep; fixes the rows drawn. Static.

    References:
      Cover 1965, IEEE Trans. Electron. Comput. EC-14, 326. Gardner 1988, J. Phys. A 21, 257.
    """

    d: int = static()
    alpha: float
    alpha_max: float = static(default=3.0)

    units = {
        "loss": ("logistic loss summed over the points", "nats"),
        "separated": ("every point is on its side: the labels are realisable", "1"),
        "unfitted": ("points on the wrong side", "points"),
        "balance": ("norm of the gradient over its largest possible value; 0 proves that nothing separates", "1"),
    }

    def check(self):
        """Raise unless the load is positive, within the rows drawn, and worth one point."""
        if not 0 < self.alpha <= self.alpha_max:
            raise ValueError(
                f"RandomLabels.alpha must lie in (0, alpha_max={self.alpha_max}]; got {self.alpha}. Raise alpha_max."
            )
        if self.d < 1 or round(self.alpha * self.d) < 1:
            raise ValueError(f"RandomLabels.alpha * d must round to at least one point; got {self.alpha} * {self.d}.")

    def sample(self, key: jax.Array) -> Data:
        """Draw points times labels, which are as random as the points. Consumes `key`."""
        rows = round(self.alpha_max * self.d)
        used = jnp.arange(rows) < jnp.round(self.alpha * self.d)
        points = jax.random.normal(key, (rows, self.d)) / jnp.sqrt(self.d)
        return Data(jnp.where(used[:, None], points, 0), used)

    def init(self, key: jax.Array, data: Data) -> jax.Array:
        """Return zero weights, (d,)."""
        del key
        return jnp.zeros(self.d)

    def loss(self, w: jax.Array, data: Data, key: jax.Array | None = None) -> jax.Array:
        """Return the sum of log(1 + exp(-margin)) over the points in use."""
        del key  # full batch
        return jnp.sum(jnp.where(data.used, jax.nn.softplus(-(data.points @ w)), 0))

    def observe(self, w: jax.Array, data: Data) -> dict[str, jax.Array]:
        """Return the loss and the two certificates."""
        margin = data.points @ w
        share = jnp.where(data.used, jax.nn.sigmoid(-margin), 0)
        pull = jnp.linalg.norm(share @ data.points)
        unfitted = jnp.sum((margin <= 0) & data.used)
        return {
            "loss": self.loss(w, data),
            "separated": unfitted == 0,
            "unfitted": unfitted,
            "balance": pull / jnp.maximum(share @ jnp.linalg.norm(data.points, axis=1), jnp.finfo(w.dtype).tiny),
        }


TINY = RandomLabels(d=4, alpha=1.5)
