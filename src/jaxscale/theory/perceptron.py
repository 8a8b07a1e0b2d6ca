"""Closed forms of the perceptron: capacity, learning curves, and the margin-density perceptron under SGD."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np


def unfitted_fraction(ratio: jax.Array, chi: float) -> jax.Array:
    """Return the fraction of fresh points on the wrong side at lambda = `ratio`. Nothing cancels at large lambda.

    arctan(1/lambda)/pi for chi = 0, (1 - lambda/sqrt(1 + lambda^2))/2 for chi = 1; else half the incomplete beta function
    I_w((chi + 1)/2, 1/2) of w = 1/(1 + lambda^2), since lambda sqrt(chi + 1) is Student's t. All fall as C lambda^-(1+chi).
    """
    if chi not in (0, 1):
        return 0.5 * jax.scipy.special.betainc((chi + 1) / 2, 0.5, 1 / (1 + ratio**2))
    if chi == 0:
        return jnp.arctan2(1.0, ratio) / jnp.pi
    root = jnp.sqrt(1 + ratio**2)
    return 1 / (2 * root * (root + ratio))


def tail_constant(chi: float) -> float:
    """Return C in n = C lambda^-(1+chi): Gamma(1 + chi/2) / (sqrt(pi) (1 + chi) Gamma((1 + chi)/2)). It is 1/pi at chi = 0 and
    1/4 at chi = 1.
    """
    return math.gamma(1 + chi / 2) / (math.sqrt(math.pi) * (1 + chi) * math.gamma((1 + chi) / 2))


def mean_along(chi: float) -> float:
    """Return E|x_1| = sqrt(2) Gamma(1 + chi/2) / Gamma((1 + chi)/2): .798 at chi = 0, 1.253 at chi = 1."""
    return math.sqrt(2) * math.gamma(1 + chi / 2) / math.gamma((1 + chi) / 2)


def first_step(d: int, chi: float) -> float:
    """Return the signal after one full-batch step over the learning rate, E|x_1| / sqrt(d): the first-step regime of the (B,
    eta) plane.

    References:
      Sclocchi & Wyart, PNAS 2024, arXiv:2309.10688.
    """
    return mean_along(chi) / math.sqrt(d)


def first_step_norm(d: int, points: int, chi: float) -> float:
    """Return the root mean square of |v| after one full-batch step over the learning rate, in a sample of `points`.

    v = (eta / P) sum y x / sqrt(d) has mean along the teacher alone and variance eta^2 (E x^2 - mean^2) / (d P):
    |v|^2 = eta^2 / d (m^2 + (1 + chi - m^2 + d - 1) / P), m = E|x_1|, E x_1^2 = 1 + chi.
    """
    m = mean_along(chi)
    return math.sqrt((m**2 + (1 + chi - m**2 + d - 1) / points) / d)


def stationary_noise(d: int, chi: float) -> float:
    """Return the stationary |v_perp| over T: (d + chi) / (2 sqrt(d) m), m = sqrt(2) Gamma((3 + chi)/2) / Gamma(1 + chi/2).

    An unfitted point adds T |x_perp|^2 / d to |v_perp|^2 over T and takes 2 |v_perp| m / sqrt(d); E|x_perp|^2 = d + chi.
    """
    m = math.sqrt(2) * math.gamma((3 + chi) / 2) / math.gamma(1 + chi / 2)
    return (d + chi) / (2 * math.sqrt(d) * m)


def exponents(chi: float) -> dict[str, float]:
    """Return powers of P in the noise-dominated regime: lambda and |w| (gamma), training time (b), critical batch (B*), T_c."""
    gamma = 1 / (1 + chi)
    return {"lambda": gamma, "gamma": gamma, "time": 1 + 2 * gamma, "critical_batch": gamma, "critical_temperature": 0.0}


def capacity(margin: jax.Array) -> jax.Array:
    """Return the largest load P/d at which random labels can be fitted with a `margin` kappa: 1 / E[(kappa + t)^2; t > -kappa].

    2 without a margin. The margin is the smallest y w.x / sqrt(d), with |w| = sqrt(d) and inputs of variance 1.

    References:
      Gardner, J. Phys. A 21, 257 (1988), eq. 23.
    """
    density = jnp.exp(-(margin**2) / 2) / math.sqrt(2 * math.pi)
    return 1 / ((1 + margin**2) * jax.scipy.stats.norm.cdf(margin) + margin * density)


def hebb_error(alpha: jax.Array) -> jax.Array:
    """Return the generalisation error of the Hebb rule, w = sum y x, at load alpha = P/d: arccos(R) / pi, where R^2 = 2 alpha /
    (2 alpha + pi).

    References:
      Vallet, Europhys. Lett. 8, 747 (1989).
    """
    return jnp.arctan2(math.sqrt(math.pi), jnp.sqrt(2 * alpha)) / jnp.pi


def gibbs_error(alpha: jax.Array) -> jax.Array:
    """Return the generalisation error of a random student that fits all P = alpha d examples; .625 / alpha at large loads.

    The overlap R with the teacher solves R / sqrt(1 - R) = (alpha / pi) int Dt exp(-R t^2 / 2) / H(sqrt(R) t), by bisection.

    References:
      Gyorgyi & Tishby 1990; Seung, Sompolinsky & Tishby, Phys. Rev. A 45, 6056 (1992), section V.
    """
    return jnp.vectorize(lambda load: jnp.arccos(_overlap(load)) / jnp.pi)(jnp.asarray(alpha, float))


def bayes_error(alpha: jax.Array) -> jax.Array:
    """Return the least generalisation error any rule reaches from P = alpha d examples: arccos(sqrt(R)) / pi, with R as in
    `gibbs_error`.

    .442 / alpha at large loads. The best vote of all students that fit has overlap sqrt(R) with the teacher.

    References:
      Opper & Haussler, Phys. Rev. Lett. 66, 2677 (1991).
    """
    return jnp.vectorize(lambda load: jnp.arccos(jnp.sqrt(_overlap(load))) / jnp.pi)(jnp.asarray(alpha, float))


def _overlap(alpha):
    nodes, weights = _gauss()

    def lacking(overlap):
        t = jnp.sqrt(overlap) * nodes
        mean = weights @ jnp.exp(-(t**2) / 2 - jax.scipy.stats.norm.logcdf(-t))
        return alpha / jnp.pi * mean * jnp.sqrt(1 - overlap) - overlap

    def halve(_, ends):
        low, high = ends
        middle = (low + high) / 2
        more = lacking(middle) > 0
        return jnp.where(more, middle, low), jnp.where(more, high, middle)

    return jax.lax.fori_loop(0, 60, halve, (jnp.zeros_like(alpha), jnp.ones_like(alpha)))[0]


@functools.cache
def _gauss():
    """Nodes and weights of the standard normal measure."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    return nodes, weights / weights.sum()
