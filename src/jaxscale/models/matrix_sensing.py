"""Over-parameterised matrix sensing: recover a low-rank matrix from linear measurements by descending on its factors."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxscale.models.operators import Entries, Gaussian, Population
from jaxscale.records import record, static


class Data(NamedTuple):
    """One draw of the quenched disorder."""

    operator: Any  # what the operator drew
    left: jax.Array  # (n1, rank), target = left @ right.T
    right: jax.Array  # (n2, rank)
    seen: jax.Array  # measurements of the target, noise included


class Factors(NamedTuple):
    """The two factors, which are the parameters of the asymmetric model."""

    left: jax.Array  # (n1, k)
    right: jax.Array  # (n2, k)


@record
class SymmetricSensing:
    """Fit X X^T, X (n, k), to a positive semi-definite target of rank `rank` with singular values from 1 to 1/condition.

    The loss is A(X X^T - M) in squared norm over 4, so that one step of descent reads X <- X - eta A*A(X X^T - M) X.

    Attributes:
      n: side of the matrix. Static.
      rank: rank r of the target. Static.
      k: columns of X; k > rank is over-parameterised. Static.
      alpha: standard deviation of the entries of X at the start.
      condition: ratio of the target's largest and smallest non-zero singular value, at least 1.
      noise: standard deviation of the additive noise on each measurement.
      operator: how the matrix is seen; see `jaxscale.models.operators`.
      random_basis: rotate the target at random. Needed for `Entries`, where the diagonal target would be invisible;
        the other operators do not see the difference. Static.
      spectrum: how many singular values of X X^T to record. 0 also leaves out the effective rank. Static.
      columns: columns of X in use, at most k; the others are zero and stay so, since the gradient of a zero column is zero.
        None uses all. Traced, so that one program serves many k.

    References:
      Xiong, Ding & Du, How over-parameterization slows down gradient descent in matrix sensing, ICLR 2024, arXiv:2310.01769.
    """

    n: int = static()
    rank: int = static()
    k: int = static()
    alpha: float = 0.05
    condition: float = 1.0
    noise: float = 0.0
    operator: Any = Population()
    random_basis: bool = static(default=False)
    spectrum: int = static(default=0)
    columns: int | None = None

    units = {
        "loss": ("squared norm of the measured residual", "squared matrix units"),
        "error": ("squared Frobenius distance to the target", "squared matrix units"),
        "relative_error": ("Frobenius distance to the target over its norm", "1"),
        "effective_rank": ("exponential of the entropy of the normalised singular values", "1"),
    }

    def check(self):
        """Raise unless rank, columns, condition and scales are possible, and the target can be seen by the operator."""
        _check(self, sides=(self.n,))

    def stability_limit(self) -> float:
        """Return the largest learning rate of plain descent, 1 / sigma_1, in the population limit."""
        return 1.0

    def sample(self, key: jax.Array) -> Data:
        """Draw the operator, the target's factors and the measurements. Consumes `key`."""
        key_operator, key_target, key_noise = jax.random.split(key, 3)
        scale = jnp.sqrt(_singular_values(self))
        left = _basis(key_target, self.n, self.rank, self.random_basis) * scale[None, :]
        return _measured(self, key_operator, key_noise, left, left)

    def init(self, key: jax.Array, data: Data) -> jax.Array:
        """Draw X, (n, k), with entries of standard deviation alpha. Consumes `key`."""
        return _in_use(self, self.alpha * jax.random.normal(key, (self.n, self.k)))

    def loss(self, x: jax.Array, data: Data, key: jax.Array | None = None) -> jax.Array:
        """Return a quarter of the energy of the measured residual."""
        del key  # full batch
        return self.operator.energy(self.operator.measure(data.operator, x, x) - data.seen) / 4

    def observe(self, x: jax.Array, data: Data) -> dict[str, jax.Array]:
        """Return loss, recovery error, and the spectrum when asked for."""
        values = jnp.linalg.eigvalsh(x.T @ x)[::-1] if self.spectrum else None
        return {**_recovery(self, x, x, data), **_spectrum(self, values)}


@record
class AsymmetricSensing:
    """Fit F G^T, F (n1, k) and G (n2, k), to a target of rank `rank` with singular values from 1 to 1/condition.

    The loss is A(F G^T - M) in squared norm over 2: F <- F - eta A*A(F G^T - M) G, and alike for G.

    Attributes:
      n1: rows. Static.
      n2: columns. Static.
      rank: rank of the target. Static.
      k: columns of F and G. Static.
      alpha: standard deviation of the entries of F at the start.
      ratio: standard deviation of G at the start over that of F. The imbalance it creates sets the rate.
      condition: ratio of the target's largest and smallest non-zero singular value, at least 1.
      noise: standard deviation of the additive noise on each measurement.
      operator: how the matrix is seen. A symmetric operator is refused: it cannot see the antisymmetric part of F G^T.
      random_basis: rotate the target at random. Static.
      spectrum: how many singular values of F G^T to record. Static.
      columns: columns of F and G in use, at most k; None uses all. Traced.

    References:
      Xiong, Ding & Du, ICLR 2024, arXiv:2310.01769.
    """

    n1: int = static()
    n2: int = static()
    rank: int = static()
    k: int = static()
    alpha: float = 0.05
    ratio: float = 1 / 3
    condition: float = 1.0
    noise: float = 0.0
    operator: Any = Population()
    random_basis: bool = static(default=False)
    spectrum: int = static(default=0)
    columns: int | None = None

    units = SymmetricSensing.units | {
        "imbalance": ("Frobenius norm of F^T F - G^T G", "matrix units"),
        "factor_min": ("smallest singular value of F", "square root of matrix units"),
    }

    def check(self):
        """Raise if the operator is symmetric or the sizes are not possible, as for `SymmetricSensing`."""
        if getattr(self.operator, "symmetric", False):
            raise ValueError(
                f"AsymmetricSensing.operator must not be symmetric; got {type(self.operator).__name__}. Symmetric A_i cannot "
                "see the antisymmetric part of F G^T: the loss goes to 0 while the matrix stays wrong. Use Gaussian(m=...)."
            )
        _check(self, sides=(self.n1, self.n2))

    def stability_limit(self) -> float:
        """Return the largest learning rate of plain descent, 1 / sigma_1, in the population limit."""
        return 1.0

    def sample(self, key: jax.Array) -> Data:
        """Draw the operator, the target's factors and the measurements. Consumes `key`."""
        key_operator, key_target, key_noise = jax.random.split(key, 3)
        key_left, key_right = jax.random.split(key_target)
        scale = jnp.sqrt(_singular_values(self))
        left = _basis(key_left, self.n1, self.rank, self.random_basis) * scale[None, :]
        right = _basis(key_right, self.n2, self.rank, self.random_basis) * scale[None, :]
        return _measured(self, key_operator, key_noise, left, right)

    def init(self, key: jax.Array, data: Data) -> Factors:
        """Draw F, (n1, k), and G, (n2, k), the latter `ratio` times as large. Consumes `key`."""
        key_left, key_right = jax.random.split(key)
        left = self.alpha * jax.random.normal(key_left, (self.n1, self.k))
        right = self.ratio * self.alpha * jax.random.normal(key_right, (self.n2, self.k))
        return Factors(_in_use(self, left), _in_use(self, right))

    def loss(self, params: Factors, data: Data, key: jax.Array | None = None) -> jax.Array:
        """Return half the energy of the measured residual."""
        del key  # full batch
        return self.operator.energy(self.operator.measure(data.operator, *params) - data.seen) / 2

    def observe(self, params: Factors, data: Data) -> dict[str, jax.Array]:
        """Return loss, recovery error, imbalance, and the spectrum when asked for."""
        left, right = params
        observables = _recovery(self, left, right, data)
        observables["imbalance"] = jnp.linalg.norm(left.T @ left - right.T @ right)
        if not self.spectrum:
            return observables
        # F G^T and the (k, k) product of the triangular factors have the same singular values
        small = jnp.linalg.qr(left, mode="r") @ jnp.linalg.qr(right, mode="r").T
        observables["factor_min"] = jnp.sqrt(jnp.maximum(jnp.linalg.eigvalsh(left.T @ left)[0], 0))
        return {**observables, **_spectrum(self, jnp.linalg.svd(small, compute_uv=False))}


def _check(model, sides):
    name = type(model).__name__
    if not 1 <= model.rank <= min(sides):
        raise ValueError(f"{name}.rank must lie in 1..{min(sides)}, the side of the matrix; got {model.rank}.")
    if model.k < 1:
        raise ValueError(f"{name}.k must be at least 1 column; got {model.k}.")
    if model.columns is not None and not 1 <= model.columns <= model.k:
        raise ValueError(f"{name}.columns must lie in 1..k={model.k}; got {model.columns}. Raise k to go further.")
    if not model.condition >= 1:
        raise ValueError(f"{name}.condition must be at least 1; got {model.condition}. It is sigma_1 / sigma_r.")
    if not model.alpha > 0:
        raise ValueError(f"{name}.alpha must be positive; got {model.alpha}. At alpha=0 descent never leaves the saddle.")
    if model.noise < 0:
        raise ValueError(f"{name}.noise must not be negative; got {model.noise}.")
    if isinstance(model.operator, Entries) and not model.random_basis:
        raise ValueError(f"{name} with Entries needs random_basis=True: a diagonal target hides in the entries not seen.")
    if model.spectrum > model.k:
        raise ValueError(f"{name}.spectrum must not exceed k={model.k}; got {model.spectrum}.")


def _in_use(model, factor):
    """(n, k), zero in the columns that are not in use."""
    return factor if model.columns is None else jnp.where(jnp.arange(model.k)[None, :] < model.columns, factor, 0)


def _singular_values(model):
    """(rank,), geometric from 1 to 1 / condition."""
    return model.condition ** (-jnp.linspace(0.0, 1.0, model.rank))


def _basis(key, n, rank, rotated):
    return jnp.linalg.qr(jax.random.normal(key, (n, rank)))[0] if rotated else jnp.eye(n, rank)


def _measured(model, key_operator, key_noise, left, right):
    drawn = model.operator.sample(key_operator, (left.shape[0], right.shape[0]), symmetric=left is right)
    seen = model.operator.measure(drawn, left, right)
    return Data(drawn, left, right, seen + model.noise * model.operator.noise(key_noise, drawn, seen))


def _recovery(model, left, right, data):
    target = data.left @ data.right.T
    error = jnp.sum((left @ right.T - target) ** 2)
    return {
        "loss": model.operator.energy(model.operator.measure(data.operator, left, right) - data.seen),
        "error": error,
        "relative_error": jnp.sqrt(error / jnp.sum(target**2)),
    }


def _spectrum(model, values):
    if values is None:
        return {}
    share = jnp.maximum(values, 0) / jnp.maximum(jnp.sum(values), jnp.finfo(values.dtype).tiny)
    entropy = -jnp.sum(jnp.where(share > 0, share * jnp.log(jnp.where(share > 0, share, 1)), 0))
    return {"effective_rank": jnp.exp(entropy)} | {f"singular_{i + 1}": values[i] for i in range(model.spectrum)}


TINY = (
    SymmetricSensing(n=6, rank=2, k=3, alpha=0.1, spectrum=3),
    SymmetricSensing(n=6, rank=2, k=3, alpha=0.1, operator=Gaussian(m=20), noise=0.1),
    AsymmetricSensing(n1=6, n2=4, rank=2, k=3, alpha=0.1, operator=Gaussian(m=20), spectrum=2),
)
