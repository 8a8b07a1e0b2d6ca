"""A loss curve under any learning-rate schedule follows from two areas: under the rate, and of its annealing."""

import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value, power


def areas(rates: np.ndarray, *, decay: float = 0.998, warmup: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return S1 and S2 after every step of a schedule: the inputs of this law.

    Args:
      rates: (steps,) learning rate of each step.
      decay: lambda, the memory of the annealing; its half-life is ln 2 / (1 - lambda) steps. Strongly correlated with the
        weight of S2: try several, keep the one of the lowest objective.
      warmup: steps whose increase of the rate is no (negative) annealing.

    Returns:
      (steps,) S1 = sum of the rates; (steps,) S2 = sum of m_i, m_i = lambda m_{i-1} + rate_{i-1} - rate_i.
    """
    try:
        rates = np.asarray(rates, np.float64)
    except (ValueError, TypeError):
        raise ValueError(f"rates must be one learning rate for each step; got {type(rates).__name__}.") from None
    if rates.ndim != 1 or len(rates) < 2 or not np.all(rates >= 0):
        bad = f"{int(np.sum(~(rates >= 0)))} of them are negative or NaN" if rates.ndim == 1 else f"shape {rates.shape}"
        raise ValueError(f"rates must be one learning rate for each step, not negative; got {bad}.")
    if not 0 <= decay < 1:
        raise ValueError(f"decay must lie in [0, 1); got {decay}.")
    drops = np.concatenate([[0.0], rates[:-1] - rates[1:]])
    drops[: warmup + 1] = 0.0
    momentum, last = np.empty_like(drops), 0.0
    for i, drop in enumerate(drops):
        last = decay * last + drop
        momentum[i] = last
    return np.cumsum(rates), np.cumsum(momentum)


def shape(s1: Value, s2: Value, *, floor: Value, amplitude: Value, drop: Value, alpha: Value) -> Value:
    """Return the loss after areas s1 and s2 (see `areas`): floor + amplitude s1^-alpha - drop s2."""
    return floor + amplitude * power(s1, -alpha) - drop * s2


LAW = Law(
    name="annealing",
    shape=shape,
    params={
        "floor": Param(lower=0, meaning="L0: loss at infinite training, nats per token"),
        "amplitude": Param(lower=0, meaning="A: loss above the floor at S1 = 1"),
        "drop": Param(lower=0, meaning="C: loss gained for a unit of S2"),
        "alpha": Param(lower=0.01, upper=3.0, search=(0.1, 1.5), meaning="exponent in S1"),
    },
    linear=("floor", "amplitude", "drop"),
    formula=r"L_0 + A S_1^{-\alpha} - C S_2",
    source="Tissue et al. 2024, arXiv:2408.11029, eq. 1",
    exponent="alpha",
    inputs=("S1", "S2"),
    signed=("S2",),
    floor="floor",
)


def _example() -> tuple[np.ndarray, ...]:
    steps = np.arange(4000)
    flat = np.where(steps < 3000, 1.0, 0.1) * 1e-3
    cosine = 1e-3 * (0.55 + 0.45 * np.cos(np.pi * steps / 4000))
    pairs = [np.stack(areas(rates, decay=0.99))[:, 200::200] for rates in (flat, cosine)]
    return tuple(np.concatenate(pairs, axis=1))


TINY = Example({"floor": 2.8, "amplitude": 0.6, "drop": 0.9, "alpha": 0.45}, _example(), 0.002)
