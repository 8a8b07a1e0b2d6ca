"""Learning curves of ridge regression on random features: finite samples, finite features, any spectrum.

n samples, k random combinations of infinitely many eigenmodes with eigenvalues lambda_i and squared target coefficients v_i^2.
Both scales are found from two equations; k to infinity gives `jaxscale.theory.kernel_regression`.
Simon et al. 2023, arXiv:2311.14646 (the "RF eigenframework"); Atanasov, Zavatone-Veth & Pehlevan 2024, arXiv:2405.00592.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxscale.shapes import Array, Float, Num

HALVINGS = 60
MANY = 1e6  # stands for infinity, in units of the other size


class Scales(NamedTuple):
    """The two scales that the equations fix, and two sums at them."""

    gamma: jax.Array  # modes with lambda above it are learned
    kappa: jax.Array  # the effective ridge, in units of the kernel's eigenvalues
    z: jax.Array  # sum lambda / (lambda + gamma), at most min(n, k)
    q: jax.Array  # sum (lambda / (lambda + gamma))^2


def scales(
    samples: Num[Array, ""] | float, features: Num[Array, ""] | float, eigenvalues: Float[Array, " modes"],
    ridge: ArrayLike,
) -> Scales:  # fmt: skip
    """Solve n = z + ridge / kappa and k = z + k kappa / gamma, z = sum lambda / (lambda + gamma).

    The second equation gives kappa = gamma (k - z) / k, so that the first is one equation in gamma, which falls with gamma.

    Args:
      samples: n, ().
      features: k, ().
      eigenvalues: (modes,) lambda_i > 0.
      ridge: positive; the ridgeless limit is a small one.
    """
    lam = jnp.asarray(eigenvalues)
    n, k = jnp.asarray(samples, lam.dtype), jnp.asarray(features, lam.dtype)

    def sums(gamma):
        share = lam / (lam + gamma)
        return jnp.sum(share), jnp.sum(share**2)

    def halve(_, ends):
        low, high = ends  # logarithms
        middle = (low + high) / 2
        z = sums(jnp.exp(middle))[0]
        # kappa must be positive, so gamma must exceed the root of z = k; above it, what is asked for falls with gamma
        short = (z >= k) | (z + ridge * k / (jnp.exp(middle) * jnp.maximum(k - z, 1e-30)) > n)
        return jnp.where(short, middle, low), jnp.where(short, high, middle)

    total = jnp.sum(lam)
    low = jnp.log(jnp.min(lam)) - 30
    high = jnp.log(2 * total / jnp.minimum(n, k) + 4 * ridge / n + total / k) + 3
    gamma = jnp.exp(sum(jax.lax.fori_loop(0, HALVINGS, halve, (low, high))) / 2)
    z, q = sums(gamma)
    return Scales(gamma, gamma * (k - z) / k, z, q)


def error(
    samples: ArrayLike, features: ArrayLike, eigenvalues: ArrayLike, target: ArrayLike, *, ridge: ArrayLike,
    noise: ArrayLike = 0.0,
) -> jax.Array:  # fmt: skip
    """Return the mean squared test error, the noise of a test label included; elementwise in `samples` and `features`.

    E = [sum (gamma / (lambda + gamma) - kappa lambda / (lambda + gamma)^2 k / (k - q)) v^2 + noise]
        / (1 - (q (k - 2 z) + z^2) / (n (k - q))).

    Args:
      samples: n, any shape; together with `features` it is broadcast.
      features: k.
      eigenvalues: (modes,) lambda_i > 0.
      target: (modes,) v_i^2.
      ridge: positive.
      noise: variance of the labels' noise.
    """
    lam, v2 = jnp.asarray(eigenvalues), jnp.asarray(target)
    n, k = jnp.broadcast_arrays(jnp.asarray(samples, lam.dtype), jnp.asarray(features, lam.dtype))

    def one(pair):
        n, k = pair
        gamma, kappa, z, q = scales(n, k, lam, ridge)
        bias = gamma / (lam + gamma) - kappa * lam / (lam + gamma) ** 2 * k / (k - q)
        return (jnp.sum(bias * v2) + noise) / (1 - (q * (k - 2 * z) + z**2) / (n * (k - q)))

    return jax.lax.map(one, (n.ravel(), k.ravel())).reshape(n.shape)


def power_law(
    modes: int, *, b: float | jax.Array, a: float | jax.Array, onset: float | jax.Array = 0.0
) -> tuple[jax.Array, jax.Array]:
    """Return the spectra of capacity and source: lambda_i = (i + onset)^-b and v_i^2 = (i + onset)^-a, i = 1 .. modes.

    The first `onset` modes are much alike, so that fewer samples than that learn next to nothing.
    """
    i = jnp.arange(1, modes + 1, dtype=jnp.result_type(float)) + onset
    return i**-b, i**-a


def bottleneck(
    samples: ArrayLike, eigenvalues: ArrayLike, target: ArrayLike, *, ridge: ArrayLike, noise: ArrayLike = 0.0
) -> jax.Array:
    """Return the phase line of the (n, k) plane: the k whose error with infinitely many samples is that of n with infinite k.

    Below the line the error is limited by features, above it by samples. (Slopes of the error itself cannot draw it: around
    n = k they are those of the interpolation peak.)

    Args:
      samples: (points,) n.
      eigenvalues: as for `error`.
      target: as for `error`.
      ridge: as for `error`.
      noise: as for `error`; more samples wash it out, more features do not.

    Returns:
      (points,) k.
    """
    lam, v2 = jnp.asarray(eigenvalues), jnp.asarray(target)

    def one(n):
        wanted = error(n, MANY * n, lam, v2, ridge=ridge, noise=noise)

        def halve(_, ends):
            low, high = ends
            k = jnp.exp((low + high) / 2)
            short = error(MANY * k, k, lam, v2, ridge=ridge, noise=noise) > wanted
            return jnp.where(short, jnp.log(k), low), jnp.where(short, high, jnp.log(k))

        return jnp.exp(sum(jax.lax.fori_loop(0, 40, halve, (jnp.log(n) - 7.0, jnp.log(n) + 7.0))) / 2)

    return jax.lax.map(one, jnp.atleast_1d(jnp.asarray(samples, lam.dtype)))


def ridge_crossover(
    samples: ArrayLike, eigenvalues: ArrayLike, target: ArrayLike, *, ridges: tuple[float, float], noise: ArrayLike,
    features: ArrayLike = jnp.inf,
) -> float:  # fmt: skip
    """Return the number of samples at which two ridges have the same error, the first if their order changes more often.

    Args:
      samples: (points,) increasing n to look at; the crossing is interpolated in logarithms.
      eigenvalues: as for `error`.
      target: as for `error`.
      ridges: the two.
      noise: as for `error`.
      features: k; infinitely many are `MANY` times the samples.

    Returns:
      n, NaN where the curves do not cross.
    """
    n = jnp.asarray(samples)
    k = jnp.where(jnp.isinf(features), MANY * n, features)
    one, other = (error(n, k, eigenvalues, target, ridge=r, noise=noise) for r in ridges)
    gap = jnp.log(one / other)
    change = gap[1:] * gap[:-1] < 0
    i = jnp.argmax(change)
    at = jnp.log(n[i]) - gap[i] * (jnp.log(n[i + 1]) - jnp.log(n[i])) / (gap[i + 1] - gap[i])
    return float(jnp.where(jnp.any(change), jnp.exp(at), jnp.nan))
