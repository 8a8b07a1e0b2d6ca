"""A Gaussian process over the cells of a diagram takes in noisy values or 0/1 outcomes.

The latent function is smooth along the first axis and a slope, with departures, along the second: what a transition looks like
in log odds, however sharp. Outcomes that are all 0 or 1 are binomial counts, taken in by expectation propagation
(Minka 2001; Rasmussen & Williams 2006, section 3.6); others are means with a common noise.
"""

import dataclasses
from typing import NamedTuple

import numpy as np

ALONG = (0.15, 0.3, 0.6, 1.2, 2.4)  # length along the first axis, as a share of it
ACROSS = (0.08, 0.15, 0.3, 0.6)  # of departures from the slope, along the second
DEPARTURE = (1e-3, 1e-2, 0.1, 0.5, 3.0)  # variance of departures over the slope's
AMPLITUDE = tuple(4.0**k for k in range(-1, 9))  # variance of the slope's part; of values, over their variance
CHOSEN_ON = 200  # cells on which hyper-parameters are compared
PASSES, DAMPING = 30, 0.8  # of expectation propagation
LINK = 2.546  # variance of the normal density that is as high as the logistic's slope
NODES = np.linspace(-1, 1, 33)  # of the tilted moments, before they are spread


class Shape(NamedTuple):
    """Choose the covariance: indices into ALONG, ACROSS, DEPARTURE and AMPLITUDE."""

    along: int = 2
    across: int = 2
    departure: int = 2
    amplitude: int = 3

    def kernel(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """Return (len a, len b) covariances of places in the unit square."""
        x = matern(np.abs(a[:, None, 0] - b[None, :, 0]) / ALONG[self.along])
        y = matern(np.abs(a[:, None, 1] - b[None, :, 1]) / ACROSS[self.across])
        slope = 1 + 12 * np.outer(a[:, 1] - 0.5, b[:, 1] - 0.5)
        return AMPLITUDE[self.amplitude] * x * (slope + DEPARTURE[self.departure] * y)

    def neighbours(self) -> list["Shape"]:
        """Return the shapes that differ by one step of one index."""
        lengths = (len(ALONG), len(ACROSS), len(DEPARTURE), len(AMPLITUDE))
        steps = [(i, self[i] + d) for i in range(4) for d in (-1, 1)]
        return [self._replace(**{self._fields[i]: k}) for i, k in steps if 0 <= k < lengths[i]]


@dataclasses.dataclass(frozen=True)
class Observations:
    """Hold what the runs of some cells gave.

    Attributes:
      place: (n, 2) in the unit square.
      count: (n,) runs.
      total: (n,) sum of their values; of centred and scaled ones unless `outcomes`.
      outcomes: values are 0 or 1.
      noise: variance of one run, for values.
    """

    place: np.ndarray
    count: np.ndarray
    total: np.ndarray
    outcomes: bool
    noise: float = 0.0

    def some(self) -> "Observations":
        """Return at most CHOSEN_ON of the cells, drawn at random: enough to compare shapes on."""
        if len(self.count) <= CHOSEN_ON:
            return self
        pick = np.sort(np.random.default_rng(0).permutation(len(self.count))[:CHOSEN_ON])
        return dataclasses.replace(self, place=self.place[pick], count=self.count[pick], total=self.total[pick])

    def worth(self, mean: np.ndarray, variance: np.ndarray, runs: int) -> np.ndarray:
        """Return (m,) noise of a Gaussian observation that tells as much as `runs` runs of a cell.

        The cells have these latent means and variances, (m,) each.

        For outcomes, expected over them: however sure an outcome is, it halves an interval and does not measure a distance.
        """
        from scipy.special import ndtr

        if not self.outcomes:
            return np.full(len(mean), self.noise / runs)
        link = LINK / runs + variance
        z = mean / np.sqrt(link)
        chance = np.maximum(ndtr(z) * ndtr(-z), 1e-30)
        return link * chance * 2 * np.pi * np.exp(np.minimum(z**2, 600)) - variance


class Posterior:
    """Hold the process conditioned on observations; its means and variances are in latent units."""

    def __init__(self, observed: Observations, shape: Shape) -> None:
        self.observed, self.shape = observed, shape
        self._kernel = shape.kernel(observed.place, observed.place)
        self._kernel[np.diag_indices(len(observed.place))] *= 1 + 1e-7
        self.evidence = self._propagate() if observed.outcomes else self._exact()

    def _exact(self) -> float:
        """Take in values with Gaussian noise, and return the log evidence."""
        y, precision = self.observed.total / self.observed.count, self.observed.count / self.observed.noise
        self._given(precision, precision * y)
        return self._normal(precision, precision * y)

    @property
    def misfit(self) -> float:
        """Return the root mean square, in predicted errors, of values less what the others predict; 1 at least."""
        if self.observed.outcomes:
            return 1.0
        y, half = self.observed.total / self.observed.count, self._whiten(np.eye(len(self.observed.count)))
        inverse = half.T @ half  # of kernel and noise together
        return max(float(np.sqrt(np.mean((inverse @ y) ** 2 / np.diag(inverse)))), 1.0)

    def _given(self, precision: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (n,) mean and variance at the observed cells under Gaussian sites, and store what predictions need."""
        from scipy.linalg import cholesky

        root = np.sqrt(precision)
        self._root, self._shift = root, shift
        self._factor = cholesky(np.eye(len(root)) + root[:, None] * self._kernel * root, lower=True)
        part = self._whiten(self._kernel)
        self._weight = self._whiten(self._kernel @ shift)
        return self._kernel @ shift - part.T @ self._weight, np.diag(self._kernel) - np.sum(part**2, axis=0)

    def _whiten(self, kernel: np.ndarray) -> np.ndarray:
        """Return a covariance (n, ...) of the observed cells, so scaled that its squares sum to what is known."""
        from scipy.linalg import solve_triangular

        return solve_triangular(self._factor, (self._root * kernel.T).T, lower=True)

    def _propagate(self) -> float:
        """Take in binomial counts by sites that are all updated at a time, and return the log evidence."""
        ones, zeros = self.observed.total, self.observed.count - self.observed.total
        precision, shift = np.full(len(ones), 1e-4), np.zeros(len(ones))
        evidence = -np.inf
        for _ in range(PASSES):
            mean, variance = self._given(precision, shift)
            left = np.maximum(1 / variance - precision, 1e-10)  # the cavity's precision
            centre = (mean / variance - shift) / left
            log_mass, m, v = tilted(centre, 1 / left, ones, zeros)
            before, evidence = evidence, self._evidence(precision, shift, centre, 1 / left, log_mass)
            if abs(evidence - before) < 1e-2:
                break
            wanted = np.maximum(1 / v - left, 1e-8)
            shift = shift + DAMPING * (m / v - centre * left - shift)
            precision = precision + DAMPING * (wanted - precision)
        return evidence

    def _evidence(
        self, precision: np.ndarray, shift: np.ndarray, centre: np.ndarray, spread: np.ndarray, log_mass: np.ndarray
    ) -> float:
        """Return the log evidence of the sites and their cavities: Rasmussen & Williams, eq. 3.65."""
        place, total = shift / precision, spread + 1 / precision
        return self._normal(precision, shift) + np.sum(log_mass + 0.5 * np.log(total) + (centre - place) ** 2 / (2 * total))

    def _normal(self, precision: np.ndarray, shift: np.ndarray) -> float:
        """Return the log density, up to a constant, of Gaussian sites as observations."""
        fit = shift @ (shift / precision - self._kernel @ shift) + self._weight @ self._weight
        return 0.5 * np.log(precision).sum() - np.log(np.diag(self._factor)).sum() - 0.5 * fit

    def alone(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (m,) mean and variance at places (m, 2), each by itself."""
        cross = self.shape.kernel(self.observed.place, place)
        part = self._whiten(cross)
        own = AMPLITUDE[self.shape.amplitude] * (1 + 12 * (place[:, 1] - 0.5) ** 2 + DEPARTURE[self.shape.departure])
        return cross.T @ self._shift - part.T @ self._weight, np.maximum(own - np.sum(part**2, axis=0), 1e-9 * own)

    def joint(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return (m,) mean and (m, m) covariance at places (m, 2)."""
        part = self._whiten(self.shape.kernel(self.observed.place, place))
        return self.alone(place)[0], self.shape.kernel(place, place) - part.T @ part


def learn(observed: Observations, start: Shape) -> Posterior:
    """Return the posterior under the best shape found by climbing from `start`, one index at a time, on some of the cells."""
    some = observed.some()
    tried = {start: Posterior(some, start).evidence}
    best = start
    while True:
        for shape in best.neighbours():
            if shape not in tried:
                tried[shape] = Posterior(some, shape).evidence
        ahead = max(best.neighbours(), key=tried.__getitem__)
        if tried[ahead] <= tried[best] + 1e-3:
            return Posterior(observed, best)
        best = ahead


def tilted(
    centre: np.ndarray, spread: np.ndarray, ones: np.ndarray, zeros: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return (n,) log mass, mean and variance of N(centre, spread) times sigmoid^ones (1 - sigmoid)^zeros."""
    runs = ones + zeros
    low, high = centre - zeros * spread, centre + ones * spread  # the mode solves (f - centre) / spread = ones - runs sigmoid
    for _ in range(30):
        middle = (low + high) / 2
        rising = (centre - middle) / spread + ones - runs * _sigmoid(middle) > 0
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    mode = (low + high) / 2
    p = _sigmoid(mode)
    width = 1 / np.sqrt(1 / spread + runs * p * (1 - p))
    reach = np.arcsinh(8 * np.sqrt(spread) / width)[:, None]  # close near the mode, and as far as the prior goes
    f = mode[:, None] + width[:, None] * np.sinh(reach * NODES)
    weight = width[:, None] * np.cosh(reach * NODES) * reach * (NODES[1] - NODES[0])
    height = -((f - centre[:, None]) ** 2) / (2 * spread[:, None]) - 0.5 * np.log(2 * np.pi * spread[:, None])
    softplus = np.log1p(np.exp(-np.abs(f))) + np.maximum(-f, 0)  # logaddexp(0, -f), three times as fast
    height -= runs[:, None] * softplus + zeros[:, None] * f
    top = height.max(axis=1, keepdims=True)
    mass = np.exp(height - top) * weight
    whole = mass.sum(axis=1)
    mean = np.sum(mass * f, axis=1) / whole
    return top[:, 0] + np.log(whole), mean, np.sum(mass * (f - mean[:, None]) ** 2, axis=1) / whole


def _sigmoid(f: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * f))


def matern(r: np.ndarray) -> np.ndarray:
    """Return the covariance at distance r by Matern 5/2: smooth, and not smoother than boundaries are."""
    r = np.sqrt(5) * r
    return (1 + r + r**2 / 3) * np.exp(-r)
