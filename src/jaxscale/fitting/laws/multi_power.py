"""The multi-power law: every drop of the learning rate pays back along a power law of its own."""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value, power

KNOTS = 256  # drops of a long decay are merged into so many for a fit; None keeps every one


def law(schedules: Sequence[np.ndarray], *, warmup: int = 0, knots: int | None = KNOTS) -> Law:
    """Return the law of losses measured under some schedules. Its inputs are the number of the schedule and the step.

    Args:
      schedules: for each, (steps,) learning rate of every step, warm-up included.
      warmup: steps whose changes of the rate count as area only.
      knots: merge the drops of a schedule into so many, in equal shares of all that fall.
    """
    sums = [np.cumsum(np.asarray(rates, np.float64)) for rates in schedules]
    longest = max(len(s) for s in sums)
    area = np.stack([np.pad(s, (0, longest - len(s)), mode="edge") for s in sums])
    events = [_drops(np.asarray(rates, np.float64), s, warmup, knots) for rates, s in zip(schedules, sums)]
    most = max(1, *(len(e) for e in events))
    # a drop of nothing, at a rate of 1, pads the shorter lists
    padded = np.stack([np.concatenate([e, np.tile([[0.0, 1.0, 0.0]], (most - len(e), 1))]) for e in events])

    lengths = np.array([len(s) for s in sums])

    def check(columns: np.ndarray) -> None:
        curve, step = columns
        if np.any((curve < 0) | (curve >= len(lengths)) | (curve != np.round(curve))):
            raise ValueError(
                f"curve must be the number of a schedule, 0 to {len(lengths) - 1}; got {np.unique(curve).tolist()[:5]}."
            )
        if np.any((step < 0) | (step >= lengths[curve.astype(int)])):
            raise ValueError(f"step must lie within its schedule of {lengths.tolist()} steps; got up to {step.max():.6g}.")

    def shape(
        curve: Value, step: Value, *, floor: Value, amplitude: Value, gain: Value, alpha: Value, beta: Value, gamma: Value,
        scale: Value,
    ) -> Value:  # fmt: skip
        which = jnp.asarray(curve, jnp.int32)
        s1 = jnp.asarray(area)[which, jnp.asarray(step, jnp.int32)]
        drop, rate, before = jnp.moveaxis(jnp.asarray(padded)[which], -1, 0)  # (n, drops)
        since = jnp.maximum(s1[..., None] - before, 0.0)  # nothing before the drop
        paid = 1 - power(1 + scale * power(rate, -gamma) * since, -beta)
        return floor + amplitude * power(s1, -alpha) - gain * jnp.sum(drop * paid, axis=-1)

    return Law(
        name="multi_power",
        shape=shape,
        params={
            "floor": Param(lower=0, meaning="L0: loss at infinite training, nats per token"),
            "amplitude": Param(lower=0, meaning="A: loss above the floor at an area of 1"),
            "gain": Param(lower=0, meaning="B: loss gained for a unit drop of the rate, in the end"),
            "alpha": Param(lower=0.01, upper=3.0, search=(0.1, 1.0), meaning="exponent in the area under the rate"),
            "beta": Param(lower=0.01, upper=5.0, search=(0.1, 1.5), meaning="exponent of the payback"),
            "gamma": Param(
                lower=-1.0, upper=3.0, search=(0.0, 1.0), meaning="exponent of the rate in the speed of the payback"
            ),
            "scale": Param(lower=0, search=(0.1, 10.0), meaning="C: speed of the payback"),
        },
        linear=("floor", "amplitude", "gain"),
        formula=r"L_0 + A S_1^{-\alpha} - B \sum_k (\eta_{k-1} - \eta_k) [1 - (1 + C \eta_k^{-\gamma} S_k)^{-\beta}]",
        source="Luo et al. 2025, arXiv:2503.12811, eq. 6",
        exponent="alpha",
        inputs=("curve", "step"),
        signed=("curve", "step"),
        floor="floor",
        check=check,
    )


def _drops(rates: np.ndarray, area: np.ndarray, warmup: int, knots: int | None) -> np.ndarray:
    """Return (drops, 3) of a schedule: the size of each drop, the rate after it, the area under the rate before it."""
    drop = np.concatenate([[0.0], rates[:-1] - rates[1:]])
    drop[: warmup + 1] = 0.0
    at = np.flatnonzero(drop)
    if not len(at):
        return np.zeros((0, 3))
    rows = np.stack([drop[at], rates[at], area[at - 1]], axis=1)
    if knots is None or len(at) <= knots:
        return rows
    share = np.cumsum(np.abs(rows[:, 0])) / np.abs(rows[:, 0]).sum()
    groups = np.minimum((share * knots).astype(int), knots - 1)
    size = np.bincount(groups, rows[:, 0], knots)
    weight = np.bincount(groups, np.abs(rows[:, 0]), knots)
    means = [np.bincount(groups, np.abs(rows[:, 0]) * rows[:, i], knots) / np.maximum(weight, 1e-300) for i in (1, 2)]
    return np.stack([size, *means], axis=1)[weight > 0]


def _schedules() -> tuple[np.ndarray, ...]:
    steps = np.arange(3000)
    return (
        np.full(3000, 1e-3),
        1e-3 * (0.55 + 0.45 * np.cos(np.pi * steps / 3000)),
        np.where(steps < 2000, 1e-3, 2e-4),
        np.where(steps < 1200, 1e-3, 5e-4),
    )


def _example_only(columns: np.ndarray) -> None:
    raise ValueError("this multi_power law knows the schedules of its example only; make yours: multi_power.law(schedules).")


LAW = dataclasses.replace(law(_schedules(), knots=32), check=_example_only)

TINY = Example(
    {"floor": 2.6, "amplitude": 0.5, "gain": 400.0, "alpha": 0.5, "beta": 0.6, "gamma": 0.6, "scale": 0.5},
    tuple(np.meshgrid(np.arange(4.0), np.arange(200.0, 3000.0, 200.0), indexing="ij")[i].ravel() for i in (0, 1)), 0.0005,
)  # fmt: skip
