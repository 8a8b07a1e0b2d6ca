"""Many curves over one control parameter are each taken in by a Gaussian process, so that every cell of a curve counts.

The process is a straight line with departures of unknown size and length; both are summed over by their evidence, so the band
knows what lies between the cells as well as what the seeds leave open. Values come as means with variances, outcomes as
binomial counts (expectation propagation). All curves share the control parameter and are worked on at a time.
"""

from typing import NamedTuple

import numpy as np

from jaxscale.phase.cells import Cells
from jaxscale.phase.passages import Passage, best_guess, hull, passages_of
from jaxscale.phase.process import DAMPING, PASSES, matern, tilted

DEPARTURES = {1e-3: 60.0, 1e-2: 4.0, 0.03: 2.0, 0.1: 1.0, 0.3: 1.0, 1.0: 3.0, 3.0: 3.0}  # {over the spread of the values: prior}
LINE = 10.0  # standard deviation of offset and of slope over the range, over that of the values
SLOPES = (2.0, 8.0, 32.0, 128.0)  # of the log odds over the range, standard deviations
ROUGH = {0.01: 3.0, 0.1: 2.0, 0.4: 2.0, 1.5: 1.0}  # {departures of the log odds, over their slope: prior}
STEP = 0.3  # departures as large as this may be shorter than the spacing: a step; small ones would be noise twice
SHORTEST, LENGTHS, LONGEST = 0.25, 7, 1.5  # of departures: in spacings, how many, and in ranges
NEGLIGIBLE = 1e-4  # share of the evidence
SETTLED = 1e-2  # change of the log evidence at which sites are left alone
PLACES, BETWEEN = 200, 8  # between all cells, and between two of them at least
MEMORY = 4_000_000  # numbers held at a time


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


def passed(x: np.ndarray, cells: Cells, *, log: bool = False, values: str = "any") -> list[tuple[list[Passage], float]]:
    """Return the passages of every curve, and a guess of the first where none is established.

    Args:
      x: (n,) control parameter, increasing.
      cells: what the runs gave.
      log: the control parameter is even in its logarithm.
      values: "log" for the logarithms of values; "any" to let the evidence choose where all are positive.
    """
    axis = np.log(x) if log else np.asarray(x, np.float64)
    unit = (axis - axis[0]) / (axis[-1] - axis[0])
    inside = max(BETWEEN, PLACES // len(x))
    places = np.unique(np.append((unit[:-1, None] + np.diff(unit)[:, None] * np.arange(inside) / inside).ravel(), 1.0))
    step = max(1, MEMORY // (len(x) * len(places)))
    found = []
    for start in range(0, len(cells.value), step):
        part = slice(start, start + step)
        above = _above(unit, cells, part, values, places)
        for i, score in enumerate(above.score):
            known = passages_of(places, score) if cells.known else []
            known = [_widened(p, unit, places, above.mean[i], cells, start + i) for p in known]
            slope = np.gradient(above.mean[i], places) / (axis[-1] - axis[0])
            known = [p._replace(slope=float(np.interp(p.position, places, slope))) for p in known]
            found.append(([_in_units(p, axis, log) for p in known], _guess(places, above.mean[i], cells, start + i, axis, log)))
    return found


def _guess(places: np.ndarray, mean: np.ndarray, cells: Cells, curve: int, axis: np.ndarray, log: bool) -> float:
    """Return where the mean curve first passes the level, if cells lie on both sides of it."""
    some = cells.trials[curve] > 0
    seen = cells.value[curve][some] - cells.level * (cells.trials[curve][some] if cells.outcomes else 1.0)
    both = some.any() and seen.min() <= 0 <= seen.max()
    return _unit(best_guess(places, mean), axis, log) if both else float("nan")


def _unit(at: float, axis: np.ndarray, log: bool) -> float:
    at = axis[0] + at * (axis[-1] - axis[0])
    return float(np.exp(at)) if log else float(at)


def _in_units(p: Passage, axis: np.ndarray, log: bool) -> Passage:
    position, low, high = (_unit(v, axis, log) for v in (p.position, p.low, p.high))
    return p._replace(position=position, low=low, high=high)


def _above(unit: np.ndarray, cells: Cells, part: slice, values: str, places: np.ndarray) -> "Above":
    """Return where some of the curves are above the level; of positive values in the scale that the evidence prefers."""
    y = cells.value[part]
    if cells.outcomes:
        return of_counts(unit, y, cells.trials[part], cells.level, places)
    noise, positive = cells.covariance[part], np.all(y > 0, axis=1) & (cells.level > 0)
    if values == "log" and positive.all():
        return of_values(unit, *_logarithms(y, noise), np.log(cells.level), places)
    plain = of_values(unit, y, noise, cells.level, places)
    if not positive.any():
        return plain
    k = np.flatnonzero(positive)
    logs = of_values(unit, *_logarithms(y[k], noise[k]), np.log(cells.level), places)
    better = logs.evidence - np.log(y[k]).sum(axis=1) > plain.evidence[k]
    plain.score[k[better]], plain.mean[k[better]] = logs.score[better], logs.mean[better]
    return plain


def _logarithms(y: np.ndarray, noise: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return logarithms of positive values, and the covariance of their errors."""
    return np.log(y), noise / (y[:, :, None] * y[:, None, :])


def _widened(p: Passage, unit: np.ndarray, places: np.ndarray, mean: np.ndarray, cells: Cells, curve: int) -> Passage:
    """Return a passage whose band has at least the cells between which the curve steps."""
    if cells.outcomes:
        ones, runs = cells.value[curve], cells.trials[curve]
        seen = np.flatnonzero(runs > 0)
        sure = np.where(ones[seen] <= 0, -1, np.where(ones[seen] >= runs[seen], 1, 0)) * p.direction
        for a, b in zip(range(len(seen)), range(1, len(seen))):
            low, high = unit[seen[a]], unit[seen[b]]
            if sure[a] == -1 and sure[b] == 1 and low <= p.high and high >= p.low:
                return p._replace(low=min(p.low, low), high=max(p.high, high))
        return p
    y = np.interp(unit, places, mean)
    i = int(np.clip(np.searchsorted(unit, p.position) - 1, 0, len(unit) - 2))
    if not y[i] * y[i + 1] < 0:
        return p
    low, high = hull(unit, y, i)
    return p._replace(low=min(p.low, low), high=max(p.high, high))


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
    found = []
    for length, size in hypers:
        kernel = _kernel(x, x, length, LINE**2, size**2)
        found.append(_condition(kernel + v, u))
    prior = np.log([DEPARTURES[size] / len(_lengths(x, size)) for _, size in hypers])
    evidence = np.array([f[0] for f in found]) + prior[:, None] - len(x) * np.log(scale)
    weight = _shares(evidence)
    parts = [
        (weight[k], found[k][1], found[k][2], _kernel(places, x, *_of(h)), _own(places, *_of(h)))
        for k, h in enumerate(hypers) if np.any(weight[k] > NEGLIGIBLE)
    ]  # fmt: skip
    score, mean = _mixed(parts, len(y), len(places))
    return Above(score, mean, _total(evidence))


def _of(hyper: tuple[float, float]) -> tuple[float, float, float]:
    return hyper[0], LINE**2, hyper[1] ** 2


def of_counts(x: np.ndarray, ones: np.ndarray, trials: np.ndarray, level: float, places: np.ndarray) -> Above:
    """Return where curves of success probabilities are above a level.

    Args:
      x: (n,) control parameter, on [0, 1].
      ones: (curves, n) successes; fractions of runs are allowed (correlated ones count for less).
      trials: (curves, n) runs; 0 where there are none.
      level: a probability.
      places: (m,) on [0, 1].
    """
    logit = np.log(level / (1 - level))
    hypers = [(length, slope, rough) for slope in SLOPES for rough in ROUGH for length in _lengths(x, rough)[::2]]
    found = []
    for length, slope, rough in hypers:
        kernel = _kernel(x, x, length, slope**2, (rough * slope) ** 2) + 1e-8 * slope**2 * np.eye(len(x))
        found.append(_propagated(kernel, ones, trials))
    prior = np.log([ROUGH[rough] / len(_lengths(x, rough)[::2]) for _, _, rough in hypers])
    evidence = np.array([f[0] for f in found]) + prior[:, None]
    weight = _shares(evidence)
    parts = []
    for k, (length, slope, rough) in enumerate(hypers):
        if np.any(weight[k] > NEGLIGIBLE):
            of = (length, slope**2, (rough * slope) ** 2)
            _, precision, shift = found[k]
            kernel = _kernel(x, x, *of) + 1e-8 * slope**2 * np.eye(len(x))
            inverse = np.linalg.inv(kernel + np.eye(len(x)) / precision[:, None, :])
            weights = np.einsum("cij,cj->ci", inverse, shift / precision)
            parts.append((weight[k], inverse, weights, _kernel(places, x, *of), _own(places, *of)))
    score, mean = _mixed(parts, len(ones), len(places), logit)
    return Above(score, mean, _total(evidence))


def _lengths(x: np.ndarray, size: float) -> np.ndarray:
    """Return lengths of departures of a size: to more than the range, from the usual spacing, or less for a step."""
    lengths = np.geomspace(SHORTEST * np.median(np.diff(x)), LONGEST, LENGTHS)
    return lengths if size >= STEP else lengths[lengths >= np.median(np.diff(x))]


def _kernel(a: np.ndarray, b: np.ndarray, length: float, line: float, departure: float) -> np.ndarray:
    """Return (len a, len b) covariances of a line and departures from it."""
    straight = 1 + 12 * np.outer(a - 0.5, b - 0.5)
    return line * straight + departure * matern(np.abs(a[:, None] - b[None, :]) / length)


def _own(a: np.ndarray, length: float, line: float, departure: float) -> np.ndarray:
    del length
    return line * (1 + 12 * (a - 0.5) ** 2) + departure


def _condition(total: np.ndarray, u: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return log evidence, inverse and weights of (curves, n) values with covariance (curves, n, n)."""
    factor = np.linalg.cholesky(total)
    inverse = np.linalg.inv(total)
    weight = np.einsum("cij,cj->ci", inverse, u)
    half = np.log(np.einsum("cii->ci", factor)).sum(axis=1)
    return -0.5 * np.sum(u * weight, axis=1) - half, inverse, weight


def _mixed(parts: list, curves: int, places: int, level: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Return score and mean of the mixture over hyper-parameters, at the places."""
    from scipy.special import log_ndtr, logsumexp, ndtri_exp

    up, down, mean = [], [], np.zeros((curves, places))
    for share, inverse, weight, cross, own in parts:
        m = weight @ cross.T - level
        v = own - np.einsum("cgn,gn->cg", np.einsum("gm,cmn->cgn", cross, inverse, optimize=True), cross)
        z = m / np.sqrt(np.maximum(v, 1e-12 * own))
        with np.errstate(divide="ignore"):
            log = np.log(share)[:, None]
        up.append(log + log_ndtr(z))
        down.append(log + log_ndtr(-z))
        mean += share[:, None] * m
    above, below = (np.minimum(logsumexp(v, axis=0), -1e-300) for v in (up, down))
    score = np.where(above < below, ndtri_exp(above), -ndtri_exp(below))
    return score, mean


def _shares(evidence: np.ndarray) -> np.ndarray:
    share = np.exp(evidence - evidence.max(axis=0))
    return share / share.sum(axis=0)


def _total(evidence: np.ndarray) -> np.ndarray:
    from scipy.special import logsumexp

    return logsumexp(evidence, axis=0) - np.log(len(evidence))


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
