"""Variances from few seeds are modelled over all points: three seeds of one point do not know how noisy it is.

The sample variance of three seeds has two degrees of freedom: it is off by a factor of three every other time. Weights or error
bars made of it are worse than none. What the points have in common is nearly always known much better, so the variance of a
point is taken from a model of all points: one number (pooled), log-linear in a covariate, or each point's own drawn towards the
model as far as the data say that points differ (moderated). The corrected Akaike criterion of the sample variances chooses.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

NEWTON = 30
MOST_FREEDOM = 1e4  # of a prior that is as good as known


class Modelled(NamedTuple):
    """Hold the variances of some points, of one seed each.

    Attributes:
      variance: (points,) of one seed.
      freedom: (points,) degrees of freedom that the variance is known with: for Student's t.
      name: "pooled", "log-linear" or "moderated".
      design: (points, coefficients) of the logarithm of the variance; None where nothing is known.
      own: (points,) degrees of freedom of each point's sample variance; 0 without.
      prior: degrees of freedom that the model is worth for a single point; infinite where points are as the model says.
    """

    variance: np.ndarray
    freedom: np.ndarray
    name: str
    design: np.ndarray | None = None
    own: np.ndarray | None = None
    prior: float = np.inf

    def again(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Return (count, points) variances as other draws of the seeds would have given them: what the model is uncertain of.

        Coefficients have the covariance of gamma regression; what a point adds of its own is chi-square about it.
        """
        if self.design is None or self.own is None or not np.any(self.own > 0):
            return np.broadcast_to(self.variance, (count, len(self.variance)))
        gram = (self.design * self.own[:, None]).T @ self.design / 2
        half = np.linalg.cholesky(np.linalg.inv(gram))
        shift = rng.normal(size=(count, len(half))) @ half.T @ self.design.T
        model = self.variance * np.exp(shift)
        if not np.isfinite(self.prior):
            return model
        d = np.maximum(self.own, 1e-9)
        sample = self.variance * rng.chisquare(d, size=(count, len(d))) / d
        return (self.prior * model + self.own * sample) / (self.prior + self.own)


def of_means(
    runs: np.ndarray, mean: np.ndarray, trials: np.ndarray, crossed: tuple[int, int] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the variance of each mean by its own runs, and its degrees of freedom; NaN where a mean has one run.

    Args:
      runs: (..., seeds), NaN where a run was lost.
      mean: (...) of them.
      trials: (...) how many there are.
      crossed: (a, b) where seeds are a draws of the disorder times b of everything else: two random effects.
    """
    if crossed is None:
        square = np.nansum((runs - mean[..., None]) ** 2, axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(trials > 1, square / (trials - 1) / trials, np.nan), np.maximum(trials - 1, 0)
    a, b = crossed
    table = runs.reshape(*runs.shape[:-1], a, b)
    rows, columns = table.mean(axis=-1), table.mean(axis=-2)
    both = table - rows[..., None] - columns[..., None, :] + mean[..., None, None]
    of_both = np.sum(both**2, axis=(-2, -1)) / max((a - 1) * (b - 1), 1)
    of_rows = b * rows.var(axis=-1, ddof=1) if a > 1 else of_both
    of_columns = a * columns.var(axis=-1, ddof=1) if b > 1 else of_both
    whole = np.maximum(of_rows + of_columns - of_both, np.maximum(of_rows, of_columns))
    return whole / (a * b), np.full(mean.shape, float(max(min(a, b) - 1, 1)))


def modelled(sample: np.ndarray, freedom: np.ndarray, covariates: Sequence[np.ndarray] = ()) -> Modelled:
    """Return modelled variances of points whose sample variances have few degrees of freedom.

    Args:
      sample: (points,) sample variances (ddof 1); NaN where there are none.
      freedom: (points,) their degrees of freedom, seeds - 1.
      covariates: of (points,) each; the logarithm of the variance may be linear in one of them. Pass logarithms of
        positive inputs, of the size of the mean, and the like.

    Returns:
      The model that the data choose. Points without a sample variance get the model's.

    References:
      Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3, 3 (moderated variances); McCullagh & Nelder 1989, ch. 8 (gamma regression).
    """
    sample, freedom = np.asarray(sample, np.float64), np.asarray(freedom, np.float64)
    known = np.isfinite(sample) & (freedom > 0)
    if not known.any():
        return Modelled(np.zeros(len(sample)), np.zeros(len(sample)), "unknown")
    s2, d = sample[known], freedom[known]
    if not np.any(s2 > 0):
        return Modelled(np.zeros(len(sample)), np.full(len(sample), d.sum()), "pooled")
    s2 = np.maximum(s2, 1e-12 * s2[s2 > 0].mean())  # a point whose seeds agree to the last bit is no more exact than others
    designs = [("pooled", np.ones((len(sample), 1)))]
    for z in covariates:
        z = np.asarray(z, np.float64)
        if np.all(np.isfinite(z)) and np.ptp(z[known]) > 0 and known.sum() > 3:
            designs.append(("log-linear", np.stack([np.ones(len(z)), (z - z[known].mean()) / np.ptp(z[known])], axis=1)))
    best: tuple[float, Modelled] | None = None
    for name, design in designs:
        mean = np.exp(design @ _gamma_regression(s2, d, design[known]))
        left = max(d.sum() - design.shape[1] + 1, 1.0)  # the level itself is what is estimated
        own = np.where(known, freedom, 0.0)
        plain = Modelled(mean, np.full(len(sample), left), name, design, own)
        prior = _prior_freedom(s2 / mean[known], d)
        options = [(plain, design.shape[1], MOST_FREEDOM)]
        if prior < MOST_FREEDOM:
            options.append((_moderated(sample, own, mean, design, prior), design.shape[1] + 1, prior))
        for model, count, strength in options:
            score = _criterion(s2, d, mean[known], strength, count)
            if best is None or score < best[0]:
                best = score, model
    assert best is not None
    return best[1]


def known_with(runs: np.ndarray, freedom: np.ndarray) -> np.ndarray:
    """Return the degrees of freedom that sample variances are worth: fewer of heavy-tailed or skewed runs than of normal ones.

    The relative variance of s^2 is 2 / (n - 1) + kurtosis / n. Taken for chi-square of n - 1, variances of skewed runs seem to
    differ from point to point, and points that are low by chance seem exact.

    Args:
      runs: (points, seeds), NaN where a run was lost.
      freedom: (points,) seeds - 1.
    """
    n = np.sum(~np.isnan(runs), axis=1).astype(np.float64)
    some = n >= 4
    if not some.any():
        return freedom
    n, r = n[some], runs[some]
    r = np.nan_to_num(r - np.nanmean(r, axis=1, keepdims=True))
    two, four = np.sum(r**2, axis=1), np.sum(r**4, axis=1)
    # unbiased fourth cumulant, and square of the variance, of each point: only their sums are steady
    fourth = (n * (n + 1) * four - 3 * (n - 1) * two**2) / ((n - 1) * (n - 2) * (n - 3))
    square = (two / (n - 1)) ** 2
    kurtosis = np.sum(fourth) / max(float(np.sum(square * (n - 1) / (n + 1))), 1e-300)
    count = np.maximum(freedom + 1, 2)
    return np.where(freedom > 0, 2 / (2 / np.maximum(freedom, 1) + max(float(kurtosis), 0.0) / count), freedom)


def _gamma_regression(s2: np.ndarray, d: np.ndarray, design: np.ndarray) -> np.ndarray:
    """Return coefficients of log variance: s2 / variance is chi-square of d over d; Fisher scoring, which is Newton's here."""
    beta = np.zeros(design.shape[1])
    beta[0] = np.log(np.average(s2, weights=d))
    gram = (design * d[:, None]).T @ design
    for _ in range(NEWTON):
        step = np.linalg.solve(gram, design.T @ (d * (s2 * np.exp(-design @ beta) - 1)))
        beta = beta + np.clip(step, -1, 1)
        if np.max(np.abs(step)) < 1e-10:
            break
    return beta


def _prior_freedom(ratio: np.ndarray, d: np.ndarray) -> float:
    """Return how many degrees of freedom the model's variance is worth for a single point, from the spread of log ratios."""
    from scipy import special

    if len(ratio) < 3:
        return MOST_FREEDOM
    log = np.log(ratio) - special.digamma(d / 2) + np.log(d / 2)
    beyond = np.var(log, ddof=1) - np.mean(special.polygamma(1, d / 2))
    if beyond <= special.polygamma(1, MOST_FREEDOM / 2):
        return MOST_FREEDOM
    half = 1 / beyond + 0.5  # trigamma(half) = beyond, by Newton's method from its expansion
    for _ in range(NEWTON):
        value = special.polygamma(1, half)
        half = max(half + value * (1 - value / beyond) / special.polygamma(2, half), 1e-3)
    return float(min(2 * half, MOST_FREEDOM))


def _moderated(sample: np.ndarray, own: np.ndarray, mean: np.ndarray, design: np.ndarray, prior: float) -> Modelled:
    """Return each point's own variance drawn towards the model's."""
    variance = (prior * mean + own * np.where(own > 0, sample, 0.0)) / (prior + own)
    return Modelled(variance, np.minimum(prior + own, own.sum()), "moderated", design, own, prior)


def _criterion(s2: np.ndarray, d: np.ndarray, mean: np.ndarray, prior: float, count: int) -> float:
    """Return the corrected Akaike criterion of sample variances: F-distributed about the model's, chi-square if it is exact."""
    from scipy import stats

    if prior >= MOST_FREEDOM:
        log = stats.chi2.logpdf(s2 * d / mean, d) + np.log(d / mean)
    else:
        log = stats.f.logpdf(s2 / mean, d, prior) - np.log(mean)
    n = len(s2)
    return float(-2 * log.sum() + 2 * count + 2 * count * (count + 1) / max(n - count - 1, 0.5))
