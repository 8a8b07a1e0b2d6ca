"""Sensing operators: how a matrix is seen. Each is a record, so an operator is swapped by passing another one.

`sample` draws the operator's frozen arrays, `measure` applies it to F G^T, `energy` turns residuals into a squared norm
scaled so that its expectation over draws is the squared Frobenius norm (E[A*A] = Id; for `SymmetricGaussian` on the
symmetric part only, which is all it can see). Drawn for symmetric matrices only (`symmetric=True`), a dense operator keeps
the upper triangle of A_i + A_i^T: half the numbers to read in every step, and the same measurements.
"""

from typing import Any

import jax
import jax.numpy as jnp

from jaxscale.records import record, static


@record
class Population:
    """The limit of infinitely many measurements, A*A = Id: plain matrix factorisation."""

    def sample(self, key: jax.Array, shape: tuple[int, int], symmetric: bool = False) -> Any:
        """Draw nothing: every entry is seen."""
        del key, shape, symmetric
        return ()

    def measure(self, drawn: Any, left: jax.Array, right: jax.Array) -> jax.Array:
        """Return every entry of left @ right.T, (n1, n2)."""
        return left @ right.T

    def noise(self, key: jax.Array, drawn: Any, seen: jax.Array) -> jax.Array:
        """Draw unit noise on every entry, (n1, n2)."""
        del drawn
        return jax.random.normal(key, seen.shape)

    def energy(self, residual: jax.Array) -> jax.Array:
        """Return the squared Frobenius norm, ()."""
        return jnp.sum(residual**2)


@record
class Gaussian:
    """Measurements y_i = <A_i, M> with i.i.d. N(0, 1) entries.

    Attributes:
      m: number of measurements. Static.
      used: measurements in use, at most m; the others are zero. None uses all. Traced, so that one program serves many.
    """

    m: int = static()
    used: float | None = None

    def check(self):
        """Raise unless there is a measurement, and those in use are among the m."""
        _positive(self)
        if self.used is not None and not 1 <= self.used <= self.m:
            raise ValueError(f"Gaussian.used must lie in 1..m={self.m}; got {self.used}. Raise m to go further.")

    def sample(self, key: jax.Array, shape: tuple[int, int], symmetric: bool = False) -> jax.Array:
        """Draw (m, n1 * n2), flat, so that a measurement is one matrix-vector product; (m, n (n + 1) / 2) when symmetric."""
        a = jax.random.normal(key, (self.m, *shape))
        a = a if self.used is None else jnp.where(self._on()[:, None, None], a, 0)
        return _triangle(a) if symmetric else a.reshape(self.m, -1)

    def _on(self):
        return jnp.arange(self.m) < jnp.asarray(self.used)

    def measure(self, drawn: Any, left: jax.Array, right: jax.Array) -> jax.Array:
        """Return (m,) measurements of left @ right.T."""
        product = left @ right.T
        if drawn.shape[1] == product.size:
            return drawn @ product.reshape(-1)
        return drawn @ product[jnp.triu_indices(len(product))]

    def noise(self, key: jax.Array, drawn: Any, seen: jax.Array) -> jax.Array:
        """Draw unit noise on every measurement in use, (m,)."""
        noise = Population().noise(key, drawn, seen)
        return noise if self.used is None else jnp.where(self._on(), noise, 0)

    def energy(self, residual: jax.Array) -> jax.Array:
        """Return the mean square over the measurements in use, ()."""
        return _mean_square(residual) if self.used is None else jnp.sum(residual**2) / self.used


@record
class SymmetricGaussian:
    """Measurements y_i = <(A_i + A_i^T) / 2, M>. Blind to the antisymmetric part of M, so fit for symmetric matrices only.

    Attributes:
      m: number of measurements. Static.
    """

    m: int = static()
    symmetric = True

    def check(self):
        """Raise unless there is a measurement."""
        _positive(self)

    def sample(self, key: jax.Array, shape: tuple[int, int], symmetric: bool = False) -> jax.Array:
        """Draw (m, n * n), or (m, n (n + 1) / 2) when symmetric."""
        a = jax.random.normal(key, (self.m, *shape))
        a = (a + jnp.swapaxes(a, 1, 2)) / 2
        return _triangle(a) if symmetric else a.reshape(self.m, -1)

    measure = Gaussian.measure
    noise = Population.noise

    def energy(self, residual: jax.Array) -> jax.Array:
        """Return the mean square over the measurements, ()."""
        return _mean_square(residual)


@record
class RankOne:
    """Measurements y_i = a_i^T M b_i with independent standard normal a_i, b_i: m (n1 + n2) numbers instead of m n1 n2.

    Attributes:
      m: number of measurements. Static.
    """

    m: int = static()

    def check(self):
        """Raise unless there is a measurement."""
        _positive(self)

    def sample(self, key: jax.Array, shape: tuple[int, int], symmetric: bool = False) -> tuple[jax.Array, jax.Array]:
        """Draw the vectors a, (m, n1), and b, (m, n2)."""
        key_a, key_b = jax.random.split(key)
        return jax.random.normal(key_a, (self.m, shape[0])), jax.random.normal(key_b, (self.m, shape[1]))

    def measure(self, drawn: Any, left: jax.Array, right: jax.Array) -> jax.Array:
        """Return (m,) measurements of left @ right.T, in m n k operations."""
        a, b = drawn
        return jnp.sum((a @ left) * (b @ right), axis=1)

    noise = Population.noise

    energy = SymmetricGaussian.energy


@record
class Entries:
    """Matrix completion: m entries seen, drawn uniformly without replacement.

    Attributes:
      m: number of entries seen. Static.
    """

    m: int = static()

    def check(self):
        """Raise unless an entry is seen."""
        _positive(self)

    def sample(self, key: jax.Array, shape: tuple[int, int], symmetric: bool = False) -> jax.Array:
        """Draw which entries are seen: (n1, n2), sqrt(n1 n2 / m) on those and 0 elsewhere."""
        n = shape[0] * shape[1]
        if self.m > n:
            raise ValueError(f"Entries.m must not exceed the {n} entries of a {shape} matrix; got {self.m}.")
        seen = jax.random.permutation(key, n) < self.m
        return jnp.sqrt(n / self.m) * seen.reshape(shape)

    def measure(self, drawn: Any, left: jax.Array, right: jax.Array) -> jax.Array:
        """Return (n1, n2) scaled entries of left @ right.T, 0 where nothing is seen."""
        return drawn * (left @ right.T)

    def noise(self, key: jax.Array, drawn: Any, seen: jax.Array) -> jax.Array:
        """Draw unit noise on each entry seen, scaled like the entry; the others get none."""
        return drawn * jax.random.normal(key, seen.shape)

    energy = Population.energy


def _mean_square(residual):
    return jnp.mean(residual**2)


def _triangle(a):
    """(m, n (n + 1) / 2): what <A, E> needs of A when E is symmetric, the diagonal once and A_ij + A_ji above it."""
    rows, columns = jnp.triu_indices(a.shape[1])
    return jnp.where(rows == columns, 0.5, 1.0)[None, :] * (a[:, rows, columns] + a[:, columns, rows])


def _positive(operator):
    if operator.m < 1:
        raise ValueError(f"{type(operator).__name__}.m must be at least 1 measurement; got {operator.m}.")
