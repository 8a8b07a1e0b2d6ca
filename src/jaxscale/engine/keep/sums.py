"""Moments over seeds on the host: putting parts together, and what is printed of them."""

from typing import Any

import numpy as np

from jaxscale.shapes import Float, Int, Num, Numbers

SUMS = 7  # count, mean, M2, M3, M4 (sums of powers of deviations from the mean), smallest, largest
FIRST_OCTAVE, OCTAVES, PARTS = -24, 48, 16  # bins of the quantile sketch: 2^-24 .. 2^24, sixteen an octave, both signs
BINS = 2 * (OCTAVES * PARTS + 1) + 1
STATISTICS = ("mean", "std", "skewness", "kurtosis", "binder", "min", "max")
QUANTILES = (0.025, 0.16, 0.25, 0.5, 0.75, 0.84, 0.975)
NOTHING = np.array([0, 0, 0, 0, 0, np.inf, -np.inf])  # sums of no run


def unscaled(facts: Num[Numbers, "*n 6"], limbs: Num[Numbers, "*n 4 3"]) -> Float[Numbers, "*n 7"]:
    """Return device sums as (..., 7) sums about the mean.

    Args:
      facts: (..., 6), count, centre, unit, smallest, largest, how many are not finite.
      limbs: (..., 4, 3) whole numbers, sums of the first four powers of (x - centre) / unit as digits of 10 bits.
    """
    n, centre, unit, least, most, wild = np.moveaxis(facts.astype(np.float64), -1, 0)
    s1, s2, s3, s4 = np.moveaxis(limbs.astype(np.float64) @ 2.0 ** -np.array([10.0, 20.0, 30.0]), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        m = s1 / np.maximum(n, 1)
        m2 = s2 - n * m**2
        m3 = s3 - 3 * m * s2 + 2 * n * m**3
        m4 = s4 - 4 * m * s3 + 6 * m**2 * s2 - 3 * n * m**4
        sane = np.where(wild > 0, np.nan, 1.0)  # an observable that is not finite has no mean
        sums = [centre + unit * m, unit**2 * m2, unit**3 * m3, unit**4 * m4]
        return np.stack([n, *(sane * s for s in sums), least, most], axis=-1)


def merge(a: Float[Numbers, "*n 7"], b: Float[Numbers, "*n 7"]) -> Float[Numbers, "*n 7"]:
    """Return the sums of two disjoint sets of runs, (..., 7) each.

    References:
      Pebay, Sandia report SAND2008-6212 (2008), eqs. 2.1 and 3.1.
    """
    na, mean_a, a2, a3, a4, least_a, most_a = np.moveaxis(a, -1, 0)
    nb, mean_b, b2, b3, b4, least_b, most_b = np.moveaxis(b, -1, 0)
    n = na + nb
    whole = np.maximum(n, 1)
    with np.errstate(invalid="ignore"):
        d = np.where((na > 0) & (nb > 0), mean_b - mean_a, 0)
        mean = np.where(nb > 0, np.where(na > 0, mean_a + d * nb / whole, mean_b), mean_a)
        m2 = a2 + b2 + d**2 * na * nb / whole
        m3 = a3 + b3 + d**3 * na * nb * (na - nb) / whole**2 + 3 * d * (na * b2 - nb * a2) / whole
        m4 = (
            a4 + b4 + d**4 * na * nb * (na**2 - na * nb + nb**2) / whole**3
            + 6 * d**2 * (na**2 * b2 + nb**2 * a2) / whole**2 + 4 * d * (na * b3 - nb * a3) / whole
        )  # fmt: skip
    return np.stack([n, mean, m2, m3, m4, np.minimum(least_a, least_b), np.maximum(most_a, most_b)], axis=-1)


def statistics(sums: Float[Numbers, "*n 7"]) -> Float[Numbers, "*n 7"]:
    """Return (..., 7) sums as (..., 7) `STATISTICS`: of the population; NaN without a run. Binder is 1 - <x^4> / 3 <x^2>^2."""
    n, mean, m2, m3, m4, least, most = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        v, t, f = (np.where(n > 0, m / n, np.nan) for m in (m2, m3, m4))
        mean = np.where(n > 0, mean, np.nan)
        raw2, raw4 = v + mean**2, f + 4 * t * mean + 6 * v * mean**2 + mean**4
        least, most = np.where(n > 0, least, np.nan), np.where(n > 0, most, np.nan)
        return np.stack([mean, np.sqrt(np.maximum(v, 0)), t / v**1.5, f / v**2, 1 - raw4 / (3 * raw2**2), least, most], axis=-1)


def edges() -> Float[Numbers, " edges"]:
    """Return the (BINS + 1,) edges of the quantile sketch; the outermost bins and the one about zero are open or wide."""
    steps = np.arange(OCTAVES * PARTS + 1)
    up = 2.0 ** (FIRST_OCTAVE + steps // PARTS) * (1 + steps % PARTS / PARTS)
    up = np.append(up, 2 * up[-1])
    return np.concatenate([-up[::-1], up])


def quantiles(
    bins: Int[Numbers, "*n bins"], sums: Float[Numbers, "*n 7"], levels: Any = QUANTILES
) -> Float[Numbers, "*n levels"]:
    """Return (..., BINS) counts as (..., levels): the middle of the bin that holds the level, within 4 % between 2^-24 and
    2^24.
    """
    edge = edges()
    middle = (edge[1:] + edge[:-1]) / 2
    below = bins.cumsum(-1)
    total = below[..., -1:]
    places = [(below < np.maximum(level * total, 0.5)).sum(-1).clip(max=BINS - 1) for level in levels]
    out = np.stack([middle[place] for place in places], axis=-1)
    return np.where(total > 0, np.clip(out, sums[..., 5:6], sums[..., 6:7]), np.nan)
