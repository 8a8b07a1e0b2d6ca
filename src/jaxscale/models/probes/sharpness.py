"""Curvature and alignment: the top Hessian eigenvalue, the neural tangent kernel, gradient noise."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxscale.shapes import Array, Float, Shaped


def top_eigenvalue(
    loss: Callable[[Any], jax.Array], params: Any, *, start: Any = None, iterations: int = 20, key: int = 0
) -> tuple[jax.Array, Any]:
    """Return the Hessian's eigenvalue of largest size by power iteration, and its vector, to warm the next call.

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


def gradient_noise_scale(grads: Any) -> Float[Array, ""]:
    """Return tr(covariance) / |mean|^2 of per-example gradients with a leading axis: up to this batch size averaging pays.

    The squared norm of the mean is corrected for the noise in it.

    References:
      McCandlish et al. 2018, An empirical model of large-batch training, arXiv:1812.06162, appendix A.
    """
    rows = jax.vmap(lambda g: ravel_pytree(g)[0])(grads)
    n = rows.shape[0]
    mean = jnp.mean(rows, axis=0)
    trace = jnp.sum((rows - mean[None, :]) ** 2) / (n - 1)
    return trace / jnp.maximum(mean @ mean - trace / n, 1e-30)
