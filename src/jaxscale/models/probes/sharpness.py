"""Curvature and alignment: the top Hessian eigenvalue, the neural tangent kernel, gradient noise."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxscale.shapes import Array, Float, Shaped


def top_eigenvalue(
    loss: Callable[[Any], jax.Array], params: Any, *, start: Any = None, iterations: int = 20, key: int = 0
) -> tuple[jax.Array, Any]:
    """Return the Hessian's eigenvalue of largest size by power iteration, and its vector, to warm the next call.

    Eigenvalues of equal size and opposite sign are mixed; where that may be, `extreme_eigenvalues` keeps them apart.

    Args:
      loss: of the parameters alone.
      params: where.
      start: a vector like the parameters; random if None.
      iterations: products with the Hessian.
      key: of the random start.

    Returns:
      (), and a unit vector like the parameters.
    """
    flat, unravel = ravel_pytree(params)
    vector = jax.random.normal(jax.random.key(key), flat.shape) if start is None else ravel_pytree(start)[0]

    def product(v):
        return jax.jvp(jax.grad(lambda w: loss(unravel(w))), (flat,), (v,))[1]

    def iterate(_, v):
        new = product(v)
        return new / jnp.maximum(jnp.linalg.norm(new), 1e-30)

    vector = jax.lax.fori_loop(0, iterations, iterate, vector / jnp.linalg.norm(vector))
    return vector @ product(vector), unravel(vector)


class Extremes(NamedTuple):
    """Hold both ends of a Hessian's spectrum.

    Attributes:
      largest: (), the largest eigenvalue.
      smallest: (), the smallest: negative at a saddle.
      residual: (2,) |H v - lambda v| of the two: each lies within it of an eigenvalue.
      vectors: two unit vectors like the parameters, stacked along a first axis.
    """

    largest: jax.Array
    smallest: jax.Array
    residual: jax.Array
    vectors: Any


def extreme_eigenvalues(
    loss: Callable[[Any], jax.Array], params: Any, *, start: Any = None, iterations: int = 20, key: int = 0
) -> Extremes:
    """Return the largest and the smallest eigenvalue of the Hessian by Lanczos' method, orthogonalised twice.

    Power iteration mixes two eigenvalues of equal size and opposite sign into a number between them; this does not.

    Args:
      loss: of the parameters alone.
      params: where.
      start: a vector like the parameters; random if None.
      iterations: products with the Hessian; at most as many as there are parameters.
      key: of the random start.

    References:
      Lanczos 1950; Golub & Van Loan 2013, chapter 10. Ghorbani, Krishnan & Xiao 2019, arXiv:1901.10159 (of networks).
    """
    flat, unravel = ravel_pytree(params)
    first = jax.random.normal(jax.random.key(key), flat.shape, flat.dtype) if start is None else ravel_pytree(start)[0]
    count = min(iterations, flat.size)

    def product(v):
        return jax.jvp(jax.grad(lambda w: loss(unravel(w))), (flat,), (v,))[1]

    def iterate(k, carry):
        basis, images = carry
        image = product(basis[k])
        rest = image
        for _ in range(2):
            rest = rest - basis.T @ (basis @ rest)  # rows that are not made yet are 0
        size = jnp.linalg.norm(rest)
        known = size > 1e-6 * jnp.linalg.norm(image)  # the space is used up: what is left is rounding
        following = jnp.where(known, rest / jnp.maximum(size, 1e-30), 0.0)
        return basis.at[k + 1].set(following, mode="drop"), images.at[k].set(image)

    empty = jnp.zeros((count, flat.size), flat.dtype)
    basis = empty.at[0].set(first / jnp.maximum(jnp.linalg.norm(first), 1e-30))
    basis, images = jax.lax.fori_loop(0, count, iterate, (basis, empty))
    made = jnp.linalg.norm(basis, axis=1) > 0.5
    small = basis @ images.T
    small = (small + small.T) / 2
    middle = small[0, 0]  # rows that were not made stand at an eigenvalue that is no extreme
    values, turn = jnp.linalg.eigh(jnp.where(made[:, None] & made[None, :], small, jnp.diag(jnp.full(count, middle))))
    ends = turn[:, jnp.array([count - 1, 0])].T  # (2, count)
    vectors, moved = ends @ basis, ends @ images
    chosen = jnp.array([values[-1], values[0]])
    residual = jnp.linalg.norm(moved - chosen[:, None] * vectors, axis=1)
    return Extremes(chosen[0], chosen[1], residual, jax.vmap(unravel)(vectors))


def tangent_kernel(
    apply: Callable[[Any, jax.Array], jax.Array], params: Any, inputs: Shaped[Array, "n ..."]
) -> Float[Array, "n n"]:
    """Return the (n, n) neural tangent kernel, summed over outputs: K_ij = sum_o <grad f_o(x_i), grad f_o(x_j)>."""
    flat, unravel = ravel_pytree(params)
    jacobian = jax.jacrev(lambda w: apply(unravel(w), inputs).reshape(inputs.shape[0], -1))(flat)
    return jnp.einsum("iop,jop->ij", jacobian, jacobian)


def alignment(first: Float[Array, "n n"], second: Float[Array, "n n"]) -> Float[Array, ""]:
    """Return the cosine between two kernels, <A, B> / (|A| |B|), (): of NTKs, or of representations R = H H^T."""
    return jnp.sum(first * second) / (jnp.linalg.norm(first) * jnp.linalg.norm(second))


class GradientNoise(NamedTuple):
    """Hold the two parts of the gradient noise scale; average each over seeds and batches, and divide the averages.

    Attributes:
      trace: (), unbiased trace of the covariance of a single example's gradient.
      signal: (), unbiased squared norm of the mean gradient; negative by chance where the noise outweighs it.
    """

    trace: jax.Array
    signal: jax.Array


def gradient_noise(grads: Any) -> GradientNoise:
    """Return trace of the covariance and squared mean of per-example gradients with a leading axis, each without bias.

    Their ratio is the batch size up to which averaging pays. The ratio of a few gradients is infinite or negative by chance,
    and its average over seeds means nothing: divide the average of `trace` by that of `signal`.

    References:
      McCandlish et al. 2018, An empirical model of large-batch training, arXiv:1812.06162, appendix A.
    """
    rows = jax.vmap(lambda g: ravel_pytree(g)[0])(grads)
    n = rows.shape[0]
    mean = jnp.mean(rows, axis=0)
    trace = jnp.sum((rows - mean[None, :]) ** 2) / (n - 1)
    return GradientNoise(trace, mean @ mean - trace / n)


def gradient_noise_scale(grads: Any) -> Float[Array, ""]:
    """Return the ratio of the two parts of `gradient_noise`, NaN where the squared mean is not above its own noise."""
    noise = gradient_noise(grads)
    return jnp.where(noise.signal > 0, noise.trace / jnp.where(noise.signal > 0, noise.signal, 1.0), jnp.nan)
