"""Many curves over one control parameter are each taken in by a Gaussian process, so that every cell of a curve counts.

The process is a straight line with departures of unknown size and length; both are summed over by their evidence, so the band
knows what lies between the cells as well as what the seeds leave open. Values come as means with variances, outcomes as
binomial counts (expectation propagation). All curves share the control parameter and are worked on at a time.
"""

from typing import NamedTuple

import numpy as np

from jaxscale.phase.process import DAMPING, PASSES, matern, tilted

DEPARTURES = {
    1e-3: 60.0,
    1e-2: 4.0,
    0.03: 2.0,
    0.1: 1.0,
    0.3: 1.0,
    1.0: 3.0,
    3.0: 3.0,
}  # {over the spread of the values: prior}
LINE = 10.0  # standard deviation of offset and of slope over the range, over that of the values
SLOPES = (2.0, 8.0, 32.0, 128.0)  # of the log odds over the range, standard deviations
ROUGH = {0.01: 3.0, 0.1: 2.0, 0.4: 2.0, 1.5: 1.0}  # {departures of the log odds, over their slope: prior}
STEP = 0.3  # departures as large as this may be shorter than the spacing: a step; small ones would be noise twice
SHORTEST, LENGTHS, LONGEST = 0.25, 7, 1.5  # of departures: in spacings, how many, and in ranges
NEGLIGIBLE = 1e-4  # share of the evidence
SETTLED = 1e-2  # change of the log evidence at which sites are left alone


class Above(NamedTuple):
    """Hold what is known of curves between their cells.

    Attributes:
      score: (curves, places) standard normal quantile of the chance that the curve is above the level there.
      mean: (curves, places) of the curve less the level, in working units.
      evidence: (curves,) log evidence.
    """

    score: np.ndarray
    mean: np.ndarray
    evidence: np.ndarray


def of_values(x: np.ndarray, y: np.ndarray, noise: np.ndarray, level: np.ndarray | float, places: np.ndarray) -> Above:
    """Return where curves of noisy values are above a level.

    Args:
      x: (n,) control parameter, on [0, 1].
      y: (curves, n) values.
      noise: (curves, n, n) covariance of their errors.
      level: (curves,) or one number.
      places: (m,) on [0, 1].
    """
    level = np.broadcast_to(np.asarray(level, np.float64), len(y))
    scale = np.maximum(np.std(y, axis=1), 1e-12 * np.maximum(np.abs(y).max(axis=1), 1e-300))
    v = noise / scale[:, None, None] ** 2 + 1e-10 * np.eye(len(x))
    u = (y - level[:, None]) / scale[:, None]
    hypers = [(length, size) for size in DEPARTURES for length in _lengths(x, size)]
    prior = [DEPARTURES[size] / len(_lengths(x, size)) for _, size in hypers]
    found = [_condition(x, u, v, length, LINE**2, size**2) for length, size in hypers]
    score, mean, evidence = _mixed(found, np.log(prior), x, places)
    return Above(score, mean, evidence - len(x) * np.log(scale))


def of_counts(x: np.ndarray, ones: np.ndarray, trials: np.ndarray, level: float, places: np.ndarray) -> Above:
    """Return where curves of success probabilities are above a level.

    Args:
      x: (n,) control parameter, on [0, 1].
      ones: (curves, n) successes; fractions of runs are allowed (correlated ones count for less).
      trials: (curves, n) runs; 0 where there are none.
      level: a probability.
      places: (m,) on [0, 1].
    """
    logit, found = np.log(level / (1 - level)), []
    hypers = [(length, slope, rough) for slope in SLOPES for rough in ROUGH for length in _lengths(x, rough)[::2]]
    prior = [ROUGH[rough] / len(_lengths(x, rough)[::2]) for _, _, rough in hypers]
    for length, slope, rough in hypers:
        line, departure = slope**2, (rough * slope) ** 2
        kernel = line * _straight(x, x) + departure * _matern(x, x, length) + 1e-8 * line * np.eye(len(x))
        evidence, precision, shift = _propagated(kernel, ones, trials)
        sites = np.eye(len(x)) / precision[:, None, :] + 1e-8 * line * np.eye(len(x))
        part = _condition(x, shift / precision - logit, sites, length, line, departure, middle=-logit)
        found.append(part._replace(evidence=evidence))
    return Above(*_mixed(found, np.log(prior), x, places))


def _lengths(x: np.ndarray, size: float) -> np.ndarray:
    """Return lengths of departures of a size: to more than the range, from the usual spacing, or less for a step."""
    lengths = np.geomspace(SHORTEST * np.median(np.diff(x)), LONGEST, LENGTHS)
    return lengths if size >= STEP else lengths[lengths >= np.median(np.diff(x))]


def _straight(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return (len a, len b) covariances of lines of unit variance: an offset, and a slope over the range."""
    return _line(a) @ _line(b).T


def _line(a: np.ndarray) -> np.ndarray:
    """Return (len a, 2) offset and slope, so scaled that both vary alike over the range."""
    return np.stack([np.ones(len(a)), np.sqrt(12) * (a - 0.5)], axis=1)


def _matern(a: np.ndarray, b: np.ndarray, length: float) -> np.ndarray:
    """Return (len a, len b) covariances of departures of unit variance."""
    return matern(np.abs(a[:, None] - b[None, :]) / length)


class _Part(NamedTuple):
    """Hold curves conditioned on their cells under one choice of hyper-parameters.

    The line is kept apart from the departures: where errors are small beside the line's prior their sum has lost their digits
    (Rasmussen & Williams 2006, section 2.7).

    Attributes:
      evidence: (curves,) log evidence, up to a constant.
      inverse: (curves, n, n) of the covariance of departures and errors.
      weight: (curves, n) inverse times what the line leaves.
      line: (curves, 2) its mean.
      spread: (curves, 2, 2) its covariance.
      length: of departures.
      departure: their variance.
    """

    evidence: np.ndarray
    inverse: np.ndarray
    weight: np.ndarray
    line: np.ndarray
    spread: np.ndarray
    length: float
    departure: float


def _condition(
    x: np.ndarray, u: np.ndarray, noise: np.ndarray, length: float, line: float, departure: float, middle: float = 0.0
) -> _Part:
    """Return curves conditioned on values u (curves, n) with errors of covariance noise (curves, n, n), about `middle`."""
    design, total = _line(x), noise + departure * _matern(x, x, length)
    inverse = np.linalg.inv(total)
    carried = design.T @ inverse  # (curves, 2, n)
    precision = carried @ design + np.eye(2) / line
    spread = np.linalg.inv(precision)
    start = np.array([middle, 0.0])
    mean = start + (spread @ (carried @ (u - design @ start)[:, :, None]))[:, :, 0]
    left = u - mean @ design.T
    weight = (inverse @ left[:, :, None])[:, :, 0]
    size = np.linalg.slogdet(total)[1] + np.linalg.slogdet(precision)[1] + 2 * np.log(line)
    fit = np.sum(left * weight, axis=1) + np.sum((mean - start) ** 2, axis=1) / line
    return _Part(-0.5 * (fit + size), inverse, weight, mean, spread, length, departure)


def _at(part: _Part, x: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return (curves, places) means and variances between the cells."""
    cross, line = part.departure * _matern(places, x, part.length), _line(places)
    known = cross @ part.inverse  # (curves, places, n)
    rest = line - known @ _line(x)  # what departures do not say of the line there
    variance = part.departure - np.sum(known * cross, axis=2) + np.sum((rest @ part.spread) * rest, axis=2)
    return part.line @ line.T + part.weight @ cross.T, np.maximum(variance, 1e-12 * part.departure)


def _mixed(
    parts: list[_Part], prior: np.ndarray, x: np.ndarray, places: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return score and mean of the mixture over hyper-parameters at the places, and its log evidence."""
    from scipy.special import log_ndtr, logsumexp, ndtri_exp

    evidence = np.array([part.evidence for part in parts]) + prior[:, None]
    whole = logsumexp(evidence, axis=0)
    up, down, mean = [], [], np.zeros((len(whole), len(places)))
    for part, log in zip(parts, evidence - whole):
        if np.all(log < np.log(NEGLIGIBLE)):
            continue
        m, v = _at(part, x, places)
        z = m / np.sqrt(v)
        up.append(log[:, None] + log_ndtr(z))
        down.append(log[:, None] + log_ndtr(-z))
        mean += np.exp(log)[:, None] * m
    above, below = (np.minimum(logsumexp(one, axis=0), -1e-300) for one in (up, down))
    return np.where(above < below, ndtri_exp(above), -ndtri_exp(below)), mean, whole


def _propagated(kernel: np.ndarray, ones: np.ndarray, trials: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return log evidence, and precision and shift of the sites, of binomial counts (curves, n) by expectation propagation.

    Sites of a curve are all updated at a time, and a curve whose evidence has settled is left alone.
    """
    precision, shift, evidence = np.full(ones.shape, 1e-4), np.zeros(ones.shape), np.full(len(ones), -np.inf)
    going = np.arange(len(ones))
    for _ in range(PASSES):
        p, s, wins = precision[going], shift[going], ones[going]
        root = np.sqrt(p)
        whole = np.eye(len(kernel)) + root[:, :, None] * kernel * root[:, None, :]
        reach = kernel * root[:, None, :]  # K sqrt(S)
        covariance = kernel - reach @ np.linalg.inv(whole) @ np.swapaxes(reach, 1, 2)
        mean, variance = (covariance @ s[:, :, None])[:, :, 0], np.maximum(np.einsum("cii->ci", covariance), 1e-10)
        left = np.maximum(1 / variance - p, 1e-10)  # the cavity's precision
        centre = (mean / variance - s) / left
        flat = [a.ravel() for a in (centre, 1 / left, wins, trials[going] - wins)]
        log_mass, m, v = (a.reshape(p.shape) for a in tilted(*flat))
        place, total = s / p, 1 / left + 1 / p
        normal = 0.5 * np.log(p).sum(1) - 0.5 * np.linalg.slogdet(whole)[1] - 0.5 * np.sum(s * (place - mean), axis=1)
        value = normal + np.sum(log_mass + 0.5 * np.log(total) + (centre - place) ** 2 / (2 * total), axis=1)
        moved, evidence[going] = np.abs(value - evidence[going]) >= SETTLED, value
        if not moved.any():
            break
        shift[going] = s + DAMPING * (m / v - centre * left - s) * moved[:, None]
        precision[going] = p + DAMPING * (np.maximum(1 / v - left, 1e-8) - p) * moved[:, None]
        going = going[moved]
    return evidence, precision, shift
