"""What kind of transition is it? Susceptibility, Binder cumulant, bimodality over seeds, and a verdict."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    import xarray

FEW_SEEDS = 30
SIGMAS = 3.0
COEXIST = 0.5  # gain in BIC per seed of two phases over one
SHRINKS = 0.02  # exponent of the phases' distance that is as good as none
PARTS = 0.25  # exponent with which their distance over their width must grow: d / 2 far from a critical point, 0 at one


@dataclasses.dataclass(frozen=True)
class Transition:
    """Hold a verdict on a transition, and what it rests on.

    Attributes:
      table: Dataset over (size, control): mean, susceptibility, binder, each with its jackknife error, and bimodality.
      crossings: Dataset over `pair` of neighbouring sizes: position and error of the crossing of their Binder cumulants.
      drift: where the crossings go as 1/L -> 0, and the error of that; NaN for fewer than three of them.
      growth: exponent of the largest susceptibility against size, and its error.
      kind: "first-order", "continuous", "crossover" or "not decidable".
      reason: in words.
    """

    table: "xarray.Dataset"
    crossings: "xarray.Dataset"
    drift: tuple[float, float]
    growth: tuple[float, float]
    kind: str
    reason: str

    def __str__(self) -> str:
        pairs = zip(self.crossings["position"].values, self.crossings["error"].values)
        crossings = ", ".join(f"{p:.4g} ± {e:.2g}" for p, e in pairs if np.isfinite(p)) or "none"
        exponent, error = self.growth
        limit = f", towards {self.drift[0]:.4g} ± {self.drift[1]:.2g}" if np.isfinite(self.drift[0]) else ""
        growth = f"susceptibility grows as L^{exponent:.2f} ± {error:.2f}"
        return f"{self.kind}: {self.reason}\n  Binder crossings {crossings}{limit}; {growth}"


def transition(
    data: "xarray.DataArray", *, size: str = "L", control: str = "x", over: str = "seed", volume: ArrayLike | None = None
) -> Transition:
    """Judge a transition by the seed statistics of an order parameter over sizes and a control parameter.

    Args:
      data: DataArray with dims (size, control, over); NaN seeds are left out.
      size: dimension of the system size L.
      control: dimension of the control parameter, increasing.
      over: dimension of the seeds.
      volume: number of degrees of freedom of each size, multiplying the variance; L itself by default. Only an observable that
        averages over the system has a variance that shrinks with it: single runs' losses or times have not, and are told apart.

    Raises:
      ValueError: a dimension is missing, or its coordinate does not increase.

    References:
      Binder 1981, Z. Phys. B 43, 119. Challa, Landau & Binder 1986, Phys. Rev. B 34, 1841.
    """
    import xarray

    for name in (size, control, over):
        if name not in data.dims:
            raise ValueError(f"'{name}' is no dimension of the data; choose from {list(data.dims)}.")
    for name in (size, control):
        if np.any(np.diff(np.asarray(data[name], float)) <= 0):
            raise ValueError(
                f"the coordinate '{name}' must increase; got {data[name].values.tolist()[:6]}. Use .sortby('{name}')."
            )
    data = data.transpose(size, control, over)
    sizes = np.asarray(data[size], float)
    values, note = _one_branch(np.asarray(data.values, float))
    scale = (sizes if volume is None else np.asarray(volume, float))[:, None]
    count = np.isfinite(values).sum(-1)
    columns: dict[str, Any] = {"seeds": ((size, control), count), "bimodality": ((size, control), bimodality(values))}
    statistics = {
        "mean": lambda m: m[0],
        "susceptibility": lambda m: _like(scale, m[0]) * (m[1] - m[0] ** 2),
        "binder": lambda m: 1 - m[3] / np.maximum(3 * m[1] ** 2, 1e-300),
    }
    for name, of in statistics.items():
        columns[name], columns[f"{name}_error"] = (((size, control), v) for v in _jackknife(values, of))
    table = xarray.Dataset(columns, {size: data[size], control: data[control]})
    crossings = _crossings(table, size, control)
    growth = _growth(table, sizes)
    kind, reason = _verdict(table, crossings, growth, count, values, sizes)
    return Transition(table, crossings, limit_of_crossings(crossings), growth, kind, reason + note)


def bimodality(values: np.ndarray) -> np.ndarray:
    """Return the gain in BIC per seed of two normal distributions over one, normal or skewed, along the last axis.

    Above zero two phases coexist.

    Two peaks of equal width are fitted by fifty steps of expectation and maximisation from the halves of the sample.
    """
    y = np.asarray(values, float)
    known = np.isfinite(y)
    n = np.maximum(known.sum(-1), 1)
    z = np.where(known, y, 0.0)
    centre = z.sum(-1) / n
    spread = np.sqrt(np.maximum(np.sum(np.where(known, (y - centre[..., None]) ** 2, 0.0), -1) / n, 1e-300))
    z = np.where(known, (y - centre[..., None]) / spread[..., None], 0.0)
    low, high, share, width = (
        -np.ones_like(centre),
        np.ones_like(centre),
        0.5 * np.ones_like(centre),
        0.6 * np.ones_like(centre),
    )

    def densities() -> list[np.ndarray]:
        gaps = [((z - m[..., None]) / width[..., None]) ** 2 / 2 for m in (low, high)]
        return [w[..., None] * np.exp(-np.minimum(g, 700)) / width[..., None] for w, g in zip((share, 1 - share), gaps)]

    for _ in range(50):
        first, second = densities()
        r = np.where(known, first / np.maximum(first + second, 1e-300), 0.0)
        s = np.where(known, 1 - r, 0.0)
        low, high = (np.sum(w * z, -1) / np.maximum(w.sum(-1), 1e-9) for w in (r, s))
        variance = (np.sum(r * (z - low[..., None]) ** 2, -1) + np.sum(s * (z - high[..., None]) ** 2, -1)) / n
        share, width = np.clip(r.sum(-1) / n, 0.02, 0.98), np.sqrt(np.maximum(variance, 1e-4))
    likelihood = np.sum(np.where(known, np.log(np.maximum(sum(densities()), 1e-300)), 0.0), -1)
    gain = 2 * (likelihood - _one_peak(y, known, n)) - np.log(n)  # one parameter more than a skewed normal distribution
    separated = np.abs(high - low) > 2 * width  # else the sum has one peak
    return np.where(separated, gain / n, -np.abs(gain) / n)


def _one_peak(y: np.ndarray, known: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Return the log likelihood, less a constant, of the best of one peak: normal after a power (Box & Cox 1964)."""
    best = -n / 2.0
    if not np.all(y[known] > 0):
        return best
    log = np.where(known, np.log(np.where(known, y, 1.0)), 0.0)
    centre = log.sum(-1, keepdims=True) / n[..., None]
    log = np.where(known, log - centre, 0.0)
    gap = np.where(known, y - np.where(known, y, 0.0).sum(-1, keepdims=True) / n[..., None], 0.0)
    spread = np.sqrt(np.maximum(np.sum(gap**2, -1) / n, 1e-300))
    for power in (-1.0, -0.5, 0.0, 0.5):
        w = log if power == 0 else np.expm1(np.clip(power * log, -700, 50)) / power
        w = np.where(known, w, 0.0)
        mean = w.sum(-1, keepdims=True) / n[..., None]
        variance = np.maximum(np.sum(np.where(known, (w - mean) ** 2, 0.0), -1) / n, 1e-300)
        jacobian = np.sum((power - 1) * log, -1) - n * centre[..., 0] + n * np.log(spread)
        best = np.maximum(best, -n / 2 - n / 2 * np.log(variance) + jacobian)
    return best


def _like(scale: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """Return (sizes, 1) with as many axes as a moment, (sizes, controls) or (sizes, controls, seeds)."""
    return scale.reshape(len(scale), *([1] * (moment.ndim - 1)))


def _jackknife(
    values: np.ndarray, of: Callable[[list[np.ndarray]], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return a function of the raw moments over seeds, and its error from leaving out each seed in turn."""
    known = np.isfinite(values)
    n = known.sum(-1)
    powers = [np.where(known, values, 0.0) ** k for k in (1, 2, 3, 4)]
    sums = [p.sum(-1) for p in powers]
    whole = of([s / np.maximum(n, 1) for s in sums])
    without = of([(s[..., None] - p) / np.maximum(n - 1, 1)[..., None] for s, p in zip(sums, powers)])
    spread = np.sum(np.where(known, (without - whole[..., None]) ** 2, 0.0), -1) * (n - 1) / np.maximum(n, 1)
    return np.where(n > 1, whole, np.nan), np.where(n > 1, np.sqrt(spread), np.nan)


def _crossings(table: "xarray.Dataset", size: str, control: str) -> "xarray.Dataset":
    """Return where the Binder cumulants of neighbouring sizes cross; errors by the delta method."""
    import xarray

    x, u, du = np.asarray(table[control], float), table["binder"].values, table["binder_error"].values
    position, error = [], []
    for i in range(len(u) - 1):
        gap, noise = u[i + 1] - u[i], np.hypot(du[i + 1], du[i])
        at = np.flatnonzero((gap[1:] * gap[:-1] < 0) & np.isfinite(gap[1:] * gap[:-1]))
        if not len(at):
            position.append(np.nan)
            error.append(np.nan)
            continue
        # noise crosses zero anywhere: the crossing is the change of sign that most of the evidence agrees with
        with np.errstate(divide="ignore", invalid="ignore"):
            evidence = np.nancumsum(np.nan_to_num(gap / noise, posinf=0.0, neginf=0.0))
        k = at[int(np.argmax(np.abs(2 * evidence[at] - evidence[-1])))]
        slope = (gap[k + 1] - gap[k]) / (x[k + 1] - x[k])
        position.append(x[k] - gap[k] / slope)
        error.append(0.5 * (noise[k] + noise[k + 1]) / abs(slope))
    middle = np.sqrt(np.asarray(table[size], float)[1:] * np.asarray(table[size], float)[:-1])
    return xarray.Dataset({"position": ("pair", position), "error": ("pair", error)}, {"pair": middle})


def limit_of_crossings(crossings: "xarray.Dataset") -> tuple[float, float]:
    """Return where the crossings go as 1/L -> 0, by a line through them, and its error; NaN for fewer than three.

    Pairs that share a size are taken as independent.

    Args:
      crossings: `Transition.crossings`.
    """
    x, y, error = 1 / crossings["pair"].values, crossings["position"].values, crossings["error"].values
    known = np.isfinite(y) & (error > 0)
    if known.sum() < 3:
        return float("nan"), float("nan")
    line, covariance = np.polyfit(x[known], y[known], 1, w=1 / error[known], cov="unscaled")
    return float(line[1]), float(np.sqrt(covariance[1, 1]))


def _growth(table: "xarray.Dataset", sizes: np.ndarray) -> tuple[float, float]:
    """Return the exponent of the largest susceptibility against size, and its error."""
    chi, error = table["susceptibility"].values, table["susceptibility_error"].values
    peak = np.nanargmax(np.where(np.isfinite(chi), chi, -np.inf), axis=1)
    top, noise = chi[np.arange(len(chi)), peak], error[np.arange(len(chi)), peak]
    if len(sizes) < 2 or np.any(~(top > 0)):
        return float("nan"), float("nan")
    weight, x = (top / np.maximum(noise, 1e-12 * top)) ** 2, np.log(sizes)
    mean = np.average(x, weights=weight)
    power = np.sum(weight * (x - mean) ** 2)
    return float(np.sum(weight * (x - mean) * np.log(top)) / power), float(1 / np.sqrt(power))


def _one_branch(values: np.ndarray) -> tuple[np.ndarray, str]:
    """Return values of an order parameter, absolute where both of its signs are as likely: two branches are not two phases."""
    known = np.isfinite(values)
    count = known.sum(-1)
    if not (values[known] < 0).any() or count.min() == 0:
        return values, ""
    y = np.where(known, values, 0.0)
    mean, size, magnitude = (a.sum(-1) / count for a in (y, y**2, np.abs(y)))
    even = np.abs(mean) < 4 * np.sqrt(size / count)
    if even.mean() > 0.9 and magnitude.max() > 1.5 * magnitude.min():
        return np.abs(values), "; both signs are as likely, and the absolute value was taken"
    return values, ""


def _phases(values: np.ndarray) -> np.ndarray:
    """Return (sizes, 4) distance and width of two phases where they part most, and their relative errors; NaN without."""
    parted = np.nan_to_num(bimodality(values), nan=-np.inf)
    found = np.full((len(values), 4), np.nan)
    for i, row in enumerate(parted):
        k = int(np.argmax(row))
        y = np.sort(values[i, k][np.isfinite(values[i, k])])
        if row[k] <= 0 or len(y) < 8:
            continue
        cut = int(np.argmin([y[:j].var() * j + y[j:].var() * (len(y) - j) for j in range(2, len(y) - 1)])) + 2
        low, high = y[:cut], y[cut:]
        gap = high.mean() - low.mean()
        width = np.sqrt((low.var() * len(low) + high.var() * len(high)) / (len(y) - 2))
        error = np.sqrt(low.var(ddof=1) / len(low) + high.var(ddof=1) / len(high)) / gap
        found[i] = gap, max(width, 1e-6 * gap), error, 1 / np.sqrt(2 * (len(y) - 2))
    return found


def _phases_part(values: np.ndarray, sizes: np.ndarray) -> bool:
    """Return whether two phases stay as far apart as systems grow while each gets narrower; critical ones do neither."""
    gap, width, error, noise = _phases(values).T
    known = np.isfinite(gap) & (gap > 0)
    if known.sum() < 2:
        return False
    x = np.log(sizes[known])
    stays, wrong = _slope(x, np.log(gap[known]), np.maximum(error[known], 1e-3))
    parts, unsure = _slope(x, np.log(gap[known] / width[known]), np.hypot(error[known], noise[known]))
    return stays > -SIGMAS * wrong - SHRINKS and parts > PARTS and parts > 2 * unsure


def _slope(x: np.ndarray, y: np.ndarray, error: np.ndarray) -> tuple[float, float]:
    """Return the slope of a weighted line and its error."""
    w = 1 / error**2
    middle = np.average(x, weights=w)
    power = np.sum(w * (x - middle) ** 2)
    return float(np.sum(w * (x - middle) * y) / power), float(1 / np.sqrt(power))


def _crosses(table: "xarray.Dataset") -> bool:
    """Return whether Binder cumulants of the smallest and the largest size differ to either side, beyond chance."""
    u, du = table["binder"].values, table["binder_error"].values
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (u[-1] - u[0]) / np.hypot(du[-1], du[0])
    z = z[np.isfinite(z)]
    return bool(len(z) and z.max() > SIGMAS and z.min() < -SIGMAS)


def _verdict(
    table: "xarray.Dataset", crossings: "xarray.Dataset", growth: tuple[float, float], count: np.ndarray, values: np.ndarray,
    sizes: np.ndarray,
) -> tuple[str, str]:  # fmt: skip
    """Return the kind of transition, and the reason in words."""
    if len(table["binder"]) < 2:
        return "not decidable", "one size only"
    if count.min() < FEW_SEEDS:
        return "not decidable", f"as few as {int(count.min())} seeds a cell; {FEW_SEEDS} are needed for fourth moments"
    if len(np.unique(values[np.isfinite(values)])) <= 2:
        return "not decidable", "0/1 outcomes have two values at every size; see success_boundary, collapse"
    two = np.nanmax(table["bimodality"].values, axis=1)
    exponent, error = growth
    # critical distributions are broad at every size; phases part more clearly the larger the system, and stay as far apart
    parted = two[-1] > COEXIST and two[-1] > two[0] and exponent > SIGMAS * error
    if parted and _phases_part(values, sizes):
        return "first-order", "two phases coexist over seeds, as far apart at the largest sizes, and narrower"
    crossed = np.isfinite(crossings["position"].values)
    if exponent > SIGMAS * error and crossed.any() and _crosses(table):
        return "continuous", "the susceptibility grows with size, Binder cumulants cross, and no two phases coexist"
    if abs(exponent) < SIGMAS * error + 0.1 or exponent < 0:
        return "crossover", "the susceptibility does not grow with size"
    if parted:
        return "not decidable", "two phases are seen over seeds, and they do not part as systems grow"
    return "not decidable", (
        "the variance does not shrink as that of an average would, and Binder cumulants do not cross beyond chance: "
        "give volume= of an observable that averages over the system"
    )
