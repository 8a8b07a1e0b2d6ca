"""Learning curves of kernel ridge regression from the eigenvalues of the kernel and the target.

Bordelon, Canatar & Pehlevan 2020, arXiv:2002.02561; Simon et al. 2023, arXiv:2110.03922.
"""

import jax
import jax.numpy as jnp

HALVINGS = 100


def learning_curve(
    samples: jax.Array, eigenvalues: jax.Array, target: jax.Array, *, ridge: float = 0.0, noise: float = 0.0
) -> jax.Array:
    """Return the mean squared test error at each number of samples.

    The threshold kappa solves P = sum_i lambda_i / (lambda_i + kappa) + ridge / kappa; modes above it are learned.

    Args:
      samples: (n,) P, below the number of modes where ridge = 0.
      eigenvalues: (modes,) lambda_i > 0, of the kernel.
      target: (modes,) squared coefficients of the target.
      ridge: of the regression, in units of the eigenvalues. Modes that are left out because they are too small to be
        learned act as a ridge of the sum of their eigenvalues.
      noise: variance of the labels' noise; the error counts it too. Modes left out act as a noise of the sum of their
        target coefficients.

    Returns:
      (n,).
    """
    samples, lam, v2 = jnp.atleast_1d(samples), jnp.asarray(eigenvalues), jnp.asarray(target)

    def one(p):
        def excess(kappa):
            return jnp.sum(lam / (lam + kappa)) + ridge / kappa - p  # falls with kappa

        def halve(_, ends):
            low, high = ends
            middle = jnp.exp((jnp.log(low) + jnp.log(high)) / 2)
            above = excess(middle) > 0
            return jnp.where(above, middle, low), jnp.where(above, high, middle)

        top = (jnp.sum(lam) + ridge) / p
        low, high = jax.lax.fori_loop(0, HALVINGS, halve, (1e-12 * jnp.min(lam), top))
        kappa = jnp.sqrt(low * high)
        learned = lam / (lam + kappa)
        overfit = p / (p - jnp.sum(learned**2))
        return overfit * (jnp.sum((1 - learned) ** 2 * v2) + noise)

    return jax.lax.map(one, samples)


def exponent(b: float, a: float) -> float:
    """Return the decay exponent of the error for eigenvalues i^-b and squared target coefficients i^-a: min(a - 1, 2 b)."""
    return min(a - 1, 2 * b)
