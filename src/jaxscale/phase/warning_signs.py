"""Signs warn of a transition: rising variance and autocorrelation, against surrogates that approach nothing.

Boettiger, Ross & Hastings 2013; Dakos et al. 2012. Indicators on overlapping windows are so correlated that Kendall's tau of a
stationary series has a standard deviation near .48: a threshold that is not calibrated finds warnings everywhere.
"""

import dataclasses
from typing import Any

import numpy as np

from jaxscale.shapes import Float, Num, Numbers


@dataclasses.dataclass(frozen=True)
class Signal:
    """Hold the trend of an indicator, and how often chance does as well.

    Attributes:
      tau: (series,) Kendall's tau of the indicator against time.
      p: (series,) share of surrogates with at least this tau.
      null: (surrogates,) taus of the surrogates of the first series.
    """

    tau: np.ndarray
    p: np.ndarray
    null: np.ndarray


def ensemble(values: Num[Numbers, "seeds steps"]) -> tuple[Float[Numbers, " steps"], Float[Numbers, " lags"]]:
    """Return variance and lag-1 autocorrelation over seeds at every step: no windows, no detrending.

    Args:
      values: (seeds, steps).

    Returns:
      (steps,) variance over seeds; (steps - 1,) correlation over seeds of neighbouring steps.
    """
    y = np.asarray(values, float)
    if y.ndim != 2 or y.shape[0] < 3:
        raise ValueError(f"values must be (seeds, steps) with at least 3 seeds; got shape {y.shape}.")
    c = y - y.mean(axis=0)
    power = np.mean(c**2, axis=0)
    product = np.mean(c[:, 1:] * c[:, :-1], axis=0)
    return power * len(y) / (len(y) - 1), product / np.sqrt(np.maximum(power[1:] * power[:-1], 1e-300))


def rolling(values: np.ndarray, *, window: float = 0.5, indicator: str = "variance", detrend: bool = False) -> np.ndarray:
    """Return the variance or the lag-1 autocorrelation in a moving window.

    Args:
      values: (series, steps).
      window: length as a share of the series.
      indicator: "variance" or "autocorrelation".
      detrend: subtract a straight line from each series first. It takes slow fluctuations away too, and power with them.

    Returns:
      (series, steps - window + 1).
    """
    y = np.atleast_2d(np.asarray(values, float))
    if indicator not in ("variance", "autocorrelation"):
        raise ValueError(f"indicator must be 'variance' or 'autocorrelation'; got {indicator!r}.")
    length = int(round(window * y.shape[1]))
    if not 4 <= length < y.shape[1]:
        raise ValueError(f"window={window} of {y.shape[1]} steps leaves {length}; at least 4 and less than all are needed.")
    pieces = np.lib.stride_tricks.sliding_window_view(_detrended(y) if detrend else y, length, axis=1)
    centred = pieces - pieces.mean(-1, keepdims=True)
    power = np.mean(centred**2, axis=-1)
    if indicator == "variance":
        return power
    return np.mean(centred[..., 1:] * centred[..., :-1], axis=-1) / np.maximum(power, 1e-300)


def early_warnings(
    values: np.ndarray, *, window: float = 0.5, indicator: str = "both", detrend: bool = True, surrogates: int = 500,
    root: int = 0,
) -> Signal:  # fmt: skip
    """Test whether the indicators rise more than they do for stationary series of the same memory.

    Surrogates are AR(1) series fitted to each series' residuals. A system that slows down has a rising variance *and* a rising
    memory; noise that grows raises the variance alone, and a mean that moves raises both unless it is taken out.

    Args:
      values: (series, steps) or (steps,).
      window: as for `rolling`.
      indicator: "both", the larger of two p-values and the smaller of two taus; or one, as for `rolling`.
      detrend: subtract a straight line from each series first.
      surrogates: of each series.
      root: seed of them.

    Measured, in docs/calibration.md: of stationary series, of those whose mean moves and of those whose noise doubles, at most
    7 % have p <= .05. Both signs together ask for more data than one: of series of 100 steps that slow from a rate of 1 to .05
    one in twelve is warned of.
    """
    if indicator == "both":
        parts = [
            early_warnings(values, window=window, indicator=name, detrend=detrend, surrogates=surrogates, root=root)
            for name in ("variance", "autocorrelation")
        ]
        return Signal(*(pick(*(getattr(part, name) for part in parts)) for name, pick in
                        (("tau", np.minimum), ("p", np.maximum), ("null", np.minimum))))  # fmt: skip
    y = np.atleast_2d(np.asarray(values, float))
    if not np.all(np.isfinite(y)):
        raise ValueError("series must be finite; leave diverged seeds out, or cut before they diverge.")
    how: dict[str, Any] = {"window": window, "indicator": indicator, "detrend": detrend}
    tau = kendall(rolling(y, **how))
    rng, p, null = np.random.default_rng(root), np.empty(len(y)), np.empty(0)
    for i, row in enumerate(_detrended(y) if detrend else y - y.mean(axis=1, keepdims=True)):
        memory, noise = _memory(row)
        shocks = noise * rng.normal(size=(surrogates, y.shape[1]))
        series = np.empty_like(shocks)
        series[:, 0] = shocks[:, 0] / np.sqrt(1 - memory**2)
        for t in range(1, y.shape[1]):
            series[:, t] = memory * series[:, t - 1] + shocks[:, t]
        taus = kendall(rolling(series, **how))
        p[i] = (1 + np.sum(taus >= tau[i])) / (surrogates + 1)
        null = taus if i == 0 else null
    return Signal(tau, p, null)


def kendall(indicator: np.ndarray) -> np.ndarray:
    """Return (series,) Kendall's tau against time, of (series, steps)."""
    y = np.atleast_2d(indicator)
    n = y.shape[1]
    return np.array([np.sum(np.sign(row[None, :] - row[:, None])[np.triu_indices(n, 1)]) for row in y]) / (n * (n - 1) / 2)


def area_under_curve(signal: Num[Numbers, " a"], null: Num[Numbers, " b"]) -> float:
    """Return the chance that a tau of approaching series exceeds one of stationary series."""
    signal, null = np.asarray(signal), np.asarray(null)
    return float(np.mean(signal[:, None] > null[None, :]) + 0.5 * np.mean(signal[:, None] == null[None, :]))


def _detrended(y: np.ndarray) -> np.ndarray:
    t = np.arange(y.shape[1]) - (y.shape[1] - 1) / 2
    slope = (y @ t) / np.sum(t**2)
    return y - y.mean(axis=1, keepdims=True) - slope[:, None] * t


def _memory(row: np.ndarray) -> tuple[float, float]:
    """Return the lag-1 coefficient, corrected for the bias of short series, and the shocks' standard deviation."""
    memory = np.sum(row[1:] * row[:-1]) / max(np.sum(row[:-1] ** 2), 1e-300)
    memory = min(max(memory + (1 + 4 * memory) / len(row), -0.99), 0.99)
    return memory, float(np.std(row[1:] - memory * row[:-1]))
