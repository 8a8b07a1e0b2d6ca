"""Ridge regression on power-law features, many random features or all of them: the solvable model of scaling laws."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxscale.records import Scalar, record, static
from jaxscale.theory.random_features import power_law


class Data(NamedTuple):
    """One draw of the quenched disorder."""

    design: jax.Array  # (n_max, k_max), features of the samples; zero in the rows and columns that are not in use
    labels: jax.Array  # (n_max,), zero in rows that are not in use
    maps: jax.Array  # (modes, k_max), mode i's share in each feature, sqrt(lambda_i) included; or (modes,)


@record
class RandomFeatures:
    """Ridge regression of y = sum_i v_i x_i + noise, x standard normal, on k features z = sum_i sqrt(lambda_i) x_i W_i.

    lambda_i = (i + onset)^-b, v_i^2 = (i + onset)^-a; W is normal with variance 1/k. Without
    `features`, every mode is a feature of its own: kernel regression.

    Attributes:
      modes: number of eigenmodes. Static.
      samples_max: largest number of samples; fixes the rows drawn. Static.
      features_max: largest number of random features; 0 for kernel regression. Static.
      samples: n, at most samples_max. Traced.
      features: k, at most features_max. Traced; unused for kernel regression.
      b: exponent of the eigenvalues (capacity).
      a: exponent of the squared target coefficients (source).
      onset: number of modes that are much alike before the power laws set in.
      ridge: of the regression, |Z w - y|^2 + ridge |w|^2.
      noise: standard deviation of the labels' noise.

    References:
      Simon et al. 2023, arXiv:2311.14646. Bordelon, Canatar & Pehlevan 2020, arXiv:2002.02561. Maloney, Roberts & Sully 2022.
    """

    modes: int = static()
    samples_max: int = static()
    features_max: int = static(default=0)
    samples: float
    features: float = 0.0
    b: Scalar = 1.5
    a: Scalar = 1.5
    onset: float = 0.0
    ridge: float = 1e-3
    noise: float = 0.0

    units = {
        "error": ("mean squared error on fresh points, their labels' noise included; exact", "squared label units"),
        "loss": ("mean squared error on the training set", "squared label units"),
        "norm": ("norm of the weights", "label units"),
    }

    def check(self):
        """Raise unless sizes fit, spectra decay, the ridge is positive and the noise not negative."""
        for name in ("samples", "features"):
            value, most = getattr(self, name), getattr(self, f"{name}_max")
            if most and not 1 <= value <= most:
                raise ValueError(
                    f"RandomFeatures.{name} must lie in 1..{name}_max={most}; got {value}. Raise {name}_max to go further."
                )
        if not self.b > 0 or not self.a > 0:
            raise ValueError(f"RandomFeatures.b and .a must be positive, or nothing converges; got {self.b} and {self.a}.")
        if not self.ridge > 0:
            raise ValueError(f"RandomFeatures.ridge must be positive; got {self.ridge}. Take 1e-6 for the ridgeless limit.")
        if self.noise < 0:
            raise ValueError(f"RandomFeatures.noise must not be negative; got {self.noise}.")

    def _spectrum(self):
        """(modes,) sqrt(lambda_i), and coefficients v_i of the target."""
        eigenvalues, squares = power_law(self.modes, b=self.b, a=self.a, onset=self.onset)
        return jnp.sqrt(eigenvalues), jnp.sqrt(squares)

    def sample(self, key: jax.Array) -> Data:
        """Draw every sample's modes, the random features and the labels' noise. Consumes `key`."""
        key_inputs, key_maps, key_noise = jax.random.split(key, 3)
        x = jax.random.normal(key_inputs, (self.samples_max, self.modes))
        scale, target = self._spectrum()
        if self.features_max:
            used = jnp.arange(self.features_max) < self.features
            w = jax.random.normal(key_maps, (self.modes, self.features_max)) / jnp.sqrt(self.features)
            maps = jnp.where(used[None, :], scale[:, None] * w, 0)
            design = x @ maps
        else:
            maps, design = scale, x * scale[None, :]
        rows = jnp.arange(self.samples_max) < self.samples
        labels = x @ target + self.noise * jax.random.normal(key_noise, (self.samples_max,))
        return Data(jnp.where(rows[:, None], design, 0), jnp.where(rows, labels, 0), maps)

    def init(self, key: jax.Array, data: Data) -> jax.Array:
        """Return zero weights, (k_max,) or (modes,)."""
        del key
        return jnp.zeros(data.design.shape[1])

    def solution(self, data: Data) -> jax.Array:
        """Return the minimiser, (k_max,), by the (n, n) system: w = Z^T (Z Z^T + ridge)^-1 y. Rows not in use stay out."""
        gram = data.design @ data.design.T + self.ridge * jnp.eye(self.samples_max)
        return data.design.T @ jax.scipy.linalg.solve(gram, data.labels, assume_a="pos")

    def loss(self, w: jax.Array, data: Data, key: jax.Array | None = None) -> jax.Array:
        """Return (|Z w - y|^2 + ridge |w|^2) / (2 n)."""
        del key  # full batch
        return (jnp.sum((data.design @ w - data.labels) ** 2) + self.ridge * jnp.sum(w**2)) / (2 * self.samples)

    def observe(self, w: jax.Array, data: Data) -> dict[str, jax.Array]:
        """Return the exact test error, the training error, and the norm of the weights."""
        learned = data.maps @ w if self.features_max else data.maps * w
        return {
            "error": jnp.sum((learned - self._spectrum()[1]) ** 2) + self.noise**2,
            "loss": jnp.sum((data.design @ w - data.labels) ** 2) / self.samples,
            "norm": jnp.linalg.norm(w),
        }


TINY = (
    RandomFeatures(modes=16, samples_max=8, features_max=6, samples=6.0, features=5.0, ridge=0.1, noise=0.1),
    RandomFeatures(modes=16, samples_max=8, samples=6.0, ridge=0.1),
)
