"""A Gaussian process over the cells of a diagram, told of noisy values or of 0/1 outcomes.

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
NODES = np.linspace(-1, 1, 65)  # of the tilted moments, before they are spread


class Shape(NamedTuple):
    """Indices into ALONG, ACROSS, DEPARTURE, AMPLITUDE."""

    along: int = 2
    across: int = 2
    departure: int = 2
    amplitude: int = 3

    def kernel(self, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        """(len a, len b) covariances of places in the unit square."""
        x = _matern(np.abs(a[:, None, 0] - b[None, :, 0]) / ALONG[self.along])
        y = _matern(np.abs(a[:, None, 1] - b[None, :, 1]) / ACROSS[self.across])
        slope = 1 + 12 * np.outer(a[:, 1] - 0.5, b[:, 1] - 0.5)
        return AMPLITUDE[self.amplitude] * x * (slope + DEPARTURE[self.departure] * y)

    def neighbours(self) -> list["Shape"]:
        """One step of one index."""
        lengths = (len(ALONG), len(ACROSS), len(DEPARTURE), len(AMPLITUDE))
        steps = [(i, self[i] + d) for i in range(4) for d in (-1, 1)]
        return [self._replace(**{self._fields[i]: k}) for i, k in steps if 0 <= k < lengths[i]]


@dataclasses.dataclass(frozen=True)
class Told:
    """What cells gave.

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

    def some(self) -> "Told":
        """At most CHOSEN_ON of the cells."""
        if len(self.count) <= CHOSEN_ON:
            return self
        pick = np.sort(np.random.default_rng(0).permutation(len(self.count))[:CHOSEN_ON])
        return dataclasses.replace(self, place=self.place[pick], count=self.count[pick], total=self.total[pick])

    def worth(self, mean: np.ndarray, variance: np.ndarray, runs: int) -> np.ndarray:
        """(m,) noise of a Gaussian observation that tells as much as `runs` runs of a cell of this latent mean and variance.

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
    """The process after cells were told; latent units."""

    def __init__(self, told: Told, shape: Shape):
        self.told, self.shape = told, shape
        self._kernel = shape.kernel(told.place, told.place)
        self._kernel[np.diag_indices(len(told.place))] *= 1 + 1e-7
        self.evidence = self._propagate() if told.outcomes else self._exact()

    def _exact(self):
        """Values with Gaussian noise; returns the log evidence."""
        y, precision = self.told.total / self.told.count, self.told.count / self.told.noise
        self._given(precision, precision * y)
        return self._normal(precision, precision * y)

    @property
    def misfit(self) -> float:
        """Root mean square of values less what the others say of them, in the predicted errors; 1 at least, and of outcomes."""
        if self.told.outcomes:
            return 1.0
        y, half = self.told.total / self.told.count, self._whiten(np.eye(len(self.told.count)))
        inverse = half.T @ half  # of kernel and noise together
        return max(float(np.sqrt(np.mean((inverse @ y) ** 2 / np.diag(inverse)))), 1.0)

    def _given(self, precision, shift):
        """(n,) mean and variance at the told cells under Gaussian sites; keeps what predictions need."""
        from scipy.linalg import cholesky

        root = np.sqrt(precision)
        self._root, self._shift = root, shift
        self._factor = cholesky(np.eye(len(root)) + root[:, None] * self._kernel * root, lower=True)
        part = self._whiten(self._kernel)
        self._weight = self._whiten(self._kernel @ shift)
        return self._kernel @ shift - part.T @ self._weight, np.diag(self._kernel) - np.sum(part**2, axis=0)

    def _whiten(self, kernel):
        """Covariance (n, ...) of the told cells with anything, so that its squares sum to what is known of it."""
        from scipy.linalg import solve_triangular

        return solve_triangular(self._factor, (self._root * kernel.T).T, lower=True)

    def _propagate(self):
        """Sites of binomial counts, all updated at a time; returns the log evidence."""
        ones, zeros = self.told.total, self.told.count - self.told.total
        precision, shift = np.full(len(ones), 1e-4), np.zeros(len(ones))
        evidence = -np.inf
        for _ in range(PASSES):
            mean, variance = self._given(precision, shift)
            left = np.maximum(1 / variance - precision, 1e-10)  # the cavity's precision
            centre = (mean / variance - shift) / left
            log_mass, m, v = _tilted(centre, 1 / left, ones, zeros)
            before, evidence = evidence, self._evidence(precision, shift, centre, 1 / left, log_mass)
            if abs(evidence - before) < 1e-2:
                break
            wanted = np.maximum(1 / v - left, 1e-8)
            shift = shift + DAMPING * (m / v - centre * left - shift)
            precision = precision + DAMPING * (wanted - precision)
        return evidence

    def _evidence(self, precision, shift, centre, spread, log_mass):
        """Rasmussen & Williams, eq. 3.65."""
        place, total = shift / precision, spread + 1 / precision
        return self._normal(precision, shift) + np.sum(log_mass + 0.5 * np.log(total) + (centre - place) ** 2 / (2 * total))

    def _normal(self, precision, shift):
        """Log density, up to a constant, of Gaussian sites as observations."""
        fit = shift @ (shift / precision - self._kernel @ shift) + self._weight @ self._weight
        return 0.5 * np.log(precision).sum() - np.log(np.diag(self._factor)).sum() - 0.5 * fit

    def alone(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(m,) mean and variance at places (m, 2)."""
        cross = self.shape.kernel(self.told.place, place)
        part = self._whiten(cross)
        own = AMPLITUDE[self.shape.amplitude] * (1 + 12 * (place[:, 1] - 0.5) ** 2 + DEPARTURE[self.shape.departure])
        return cross.T @ self._shift - part.T @ self._weight, np.maximum(own - np.sum(part**2, axis=0), 1e-9 * own)

    def joint(self, place: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(m,) mean and (m, m) covariance at places (m, 2)."""
        part = self._whiten(self.shape.kernel(self.told.place, place))
        return self.alone(place)[0], self.shape.kernel(place, place) - part.T @ part


def learn(told: Told, start: Shape) -> Posterior:
    """The posterior under the best shape found by climbing from `start`, one index at a time, on some of the cells."""
    some = told.some()
    tried = {start: Posterior(some, start).evidence}
    best = start
    while True:
        for shape in best.neighbours():
            if shape not in tried:
                tried[shape] = Posterior(some, shape).evidence
        ahead = max(best.neighbours(), key=tried.__getitem__)
        if tried[ahead] <= tried[best] + 1e-3:
            return Posterior(told, best)
        best = ahead


def _tilted(centre, spread, ones, zeros):
    """(n,) log mass, mean and variance of N(centre, spread) times sigmoid^ones (1 - sigmoid)^zeros."""
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
    height -= runs[:, None] * np.logaddexp(0, -f) + zeros[:, None] * f
    top = height.max(axis=1, keepdims=True)
    mass = np.exp(height - top) * weight
    whole = mass.sum(axis=1)
    mean = np.sum(mass * f, axis=1) / whole
    return top[:, 0] + np.log(whole), mean, np.sum(mass * (f - mean[:, None]) ** 2, axis=1) / whole


def _sigmoid(f):
    return 0.5 * (1 + np.tanh(0.5 * f))


def _matern(r):
    """Matern 5/2: smooth, and not smoother than boundaries are."""
    r = np.sqrt(5) * r
    return (1 + r + r**2 / 3) * np.exp(-r)
