"""What a study measured: a number that does not travel without its 95 % interval."""

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

LEVEL = 0.95


@dataclasses.dataclass(frozen=True)
class Found:
    """A measured number with its interval. Without one no claim on it can be decided.

    Attributes:
      value: the number.
      error: its standard error; 0 where no chance enters, NaN where it is not known.
      note: what it is, and of what.
      low: lower end of its 95 % interval; NaN where that is Student's, of `error` and `freedom`.
      high: upper end.
      freedom: degrees of freedom of the error.
      status: "ok"; otherwise what kept the estimate from being one ("weak", "failed", "not established").
      parts: {name: Found} of what is claimed of several quantities at once; `value` is then that of the first.
    """

    value: float
    error: float = math.nan
    note: str = ""
    low: float = math.nan
    high: float = math.nan
    freedom: float = math.inf
    status: str = "ok"
    parts: Mapping[str, "Found"] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("value", "error", "low", "high", "freedom"):
            object.__setattr__(self, name, float(getattr(self, name)))  # numbers of single precision are no JSON

    @classmethod
    def exact(cls, value: float, note: str = "") -> "Found":
        """Hold a number that chance does not enter: a bound over all runs, a closed form, one deterministic run."""
        return cls(float(value), 0.0, note)

    @classmethod
    def over(cls, values: Any, note: str = "") -> "Found":
        """Return the mean of independent values, with Student's error; NaN if one of them is.

        One value has no error, and values that are all alike say nothing of their scatter: use `share` of what was counted, or
        `exact` where no chance enters.
        """
        values = np.ravel(np.asarray(values, np.float64))
        known = values.size > 1 and bool(np.isfinite(values).all()) and bool(np.ptp(values) > 0)
        error = float(values.std(ddof=1) / values.size**0.5) if known else math.nan
        return cls(float(values.mean()) if values.size else math.nan, error, note, freedom=max(values.size - 1, 1))

    @classmethod
    def share(cls, count: int, of: int, note: str = "") -> "Found":
        """Return a share of independent runs, with the exact interval of Clopper and Pearson."""
        from scipy.stats import beta

        if not of:
            return cls(math.nan, note=f"{note}; no runs", status="failed")
        tail = (1 - LEVEL) / 2
        low = float(beta.ppf(tail, count, of - count + 1)) if count else 0.0
        high = float(beta.ppf(1 - tail, count + 1, of - count)) if count < of else 1.0
        p = count / of
        return cls(p, math.sqrt(p * (1 - p) / of), f"{note}, {count} of {of}".lstrip(", "), low, high)

    @classmethod
    def shares(cls, shares: Any, each: int, note: str = "") -> "Found":
        """Return the share over all seeds together, of `each` independent things in every one."""
        shares = np.ravel(np.asarray(shares, np.float64))
        return cls.share(int(round(float(shares.sum()) * each)), shares.size * each, note)

    @classmethod
    def median(cls, values: Any, note: str = "") -> "Found":
        """Return the median of independent values, which may be infinite (censored), between order statistics.

        Six values are the fewest with a 95 % interval; of fewer it is without end.
        """
        from scipy.stats import binom

        values = np.sort(np.ravel(np.asarray(values, np.float64)))
        n = len(values)
        if not n or np.isnan(values).any():
            return cls(math.nan, note=note)
        rank = int(binom.ppf((1 - LEVEL) / 2, n, 0.5))  # below the rank-th lie at most 2.5 %
        low, high = (values[rank - 1], values[n - rank]) if rank > 0 else (-math.inf, math.inf)
        return cls(float(np.median(values)), math.nan, note, float(low), float(high))

    @classmethod
    def jackknife(cls, statistic: Callable[..., float], *arrays: Any, note: str = "") -> "Found":
        """Return a smooth function of independent seeds, with the jackknife's error.

        Args:
          statistic: function of the arrays, each (seeds, ...), giving a number.
          *arrays: seeds lead, and are the same in all.
          note: what it is.
        """
        arrays = tuple(np.asarray(a) for a in arrays)
        n = len(arrays[0])
        value = float(statistic(*arrays))
        if n < 2:
            return cls(value, note=note)
        left = np.array([statistic(*(np.delete(a, i, axis=0) for a in arrays)) for i in range(n)], np.float64)
        error = float(np.sqrt((n - 1) / n * np.sum((left - left.mean()) ** 2)))
        return cls(value, error, note, freedom=n - 1)

    @classmethod
    def fitted(cls, fit: Any, name: str, note: str = "", *, times: float = 1.0, less: float = 0.0) -> "Found":
        """Return a quantity of a fit with the fit's own interval and status; `times` its value, `less` a number.

        Args:
          fit: a `Fit`, a `Collapse` or what has `estimates`, a `status` and `reasons` as they do; or a function without
            arguments that makes it, whose refusal (`FitError`) is then the status.
          name: of the quantity.
          note: what it is.
          times: factor, e.g. -1 for the slope of a law of decay.
          less: taken off afterwards.
        """
        from jaxscale.fitting.result import FitError

        try:
            fit = fit() if callable(fit) else fit
            one = fit[name]
        except FitError as refusal:
            return cls(math.nan, note=f"{note}; {refusal}".lstrip("; "), status="failed")
        low, high = sorted((times * one.low - less, times * one.high - less))
        why = "" if fit.status == "ok" else f"{fit.status}: {'; '.join(map(str, fit.reasons))}"
        note = "; ".join(part for part in (note, why) if part)
        return cls(times * one.value - less, abs(times) * one.seeds, note, low, high, status=fit.status)

    @classmethod
    def placed(cls, band: Any, note: str = "") -> "Found":
        """Return one passage of `boundary`, a Dataset without dimensions, with its band and status."""
        value, low, high, error = (float(band[name]) for name in ("position", "low", "high", "error"))
        status = "ok" if str(band["status"].values) == "established" else str(band["status"].values)
        return cls(value, error, note, low, high, status=status)

    @classmethod
    def slope(cls, x: Any, places: Sequence["Found"], note: str = "") -> "Found":
        """Return the slope of a line through independent measurements with errors; not ok where one of them is not."""
        x, y = np.asarray(x, np.float64), np.array([one.value for one in places])
        weight = np.array([1 / one.spread**2 for one in places])
        gap = x - np.average(x, weights=weight)
        total = float(np.sum(weight * gap**2))
        status = next((one.status for one in places if one.status != "ok"), "ok")
        return cls(float(np.sum(weight * gap * y)) / total, total**-0.5, note, status=status)

    @classmethod
    def every(cls, parts: Mapping[str, "Found"], note: str = "") -> "Found":
        """Claim something of several quantities at once: their intervals hold together with 95 %, by Bonferroni."""
        if not parts:
            return cls(math.nan, note=note)
        return cls(next(iter(parts.values())).value, note=note, parts=dict(parts))

    def __sub__(self, other: "Found | float") -> "Found":
        """Return the difference to a number, or to another independent measurement."""
        if not isinstance(other, Found):
            return dataclasses.replace(self, value=self.value - other, low=self.low - other, high=self.high - other)
        error = math.hypot(self.spread, other.spread)
        status = self.status if self.status != "ok" else other.status
        freedom = min(self.freedom, other.freedom)
        return Found(self.value - other.value, error, self.note or other.note, freedom=freedom, status=status)

    def __truediv__(self, number: float) -> "Found":
        low, high = sorted((self.low / number, self.high / number))
        return dataclasses.replace(self, value=self.value / number, error=self.error / abs(number), low=low, high=high)

    @property
    def log(self) -> "Found":
        """The logarithm of a positive number."""
        with np.errstate(invalid="ignore", divide="ignore"):
            value, low, high = (float(np.log(v)) for v in (self.value, self.low, self.high))
        return dataclasses.replace(self, value=value, error=self.spread / self.value, low=low, high=high)

    @property
    def spread(self) -> float:
        """The standard error, of a quarter of the interval where only that is known."""
        return (self.high - self.low) / 3.92 if math.isnan(self.error) else self.error

    def interval(self, quantities: int = 1) -> tuple[float, float]:
        """Return both ends of the 95 % interval, NaN where there is none; as wide as it must be to hold for so many at once."""
        from scipy.stats import norm, t

        tail = (1 - LEVEL) / 2
        if math.isnan(self.low):
            half = float(t.ppf(1 - tail / quantities, self.freedom)) * self.error if self.error else 0.0
            return self.value - half, self.value + half
        wider = float(norm.ppf(1 - tail / quantities) / norm.ppf(1 - tail))
        with np.errstate(invalid="ignore"):
            ends = (self.value + wider * (end - self.value) if math.isfinite(end) else end for end in (self.low, self.high))
        low, high = ends
        return low, high

    def __str__(self) -> str:
        note = f" ({self.note})" if self.note else ""
        if self.parts:
            return ", ".join(f"{name} {part._number()}" for name, part in self.parts.items()) + note
        return self._number() + note

    def _number(self) -> str:
        """Return the number and its interval, with two digits of the interval's width."""
        low, high = self.interval()
        if self.error == 0 and math.isnan(self.low) or math.isnan(low) or not math.isfinite(high - low) or high == low:
            ends = "" if self.error == 0 and math.isnan(self.low) else f" [{_short(low)}, {_short(high)}]"
            return f"{self.value:.4g}" + ("" if math.isnan(low) else ends)
        half = (high - low) / 2
        if not -9 < math.log10(half) < 6:
            return f"{self.value:.3g} [{low:.3g}, {high:.3g}]"
        digits = max(0, 1 - math.floor(math.log10(half)))
        return f"{self.value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _short(end: float) -> str:
    return "inf" if end == math.inf else "-inf" if end == -math.inf else f"{end:.4g}"
