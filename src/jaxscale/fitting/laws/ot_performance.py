"""A mixture of sources performs by its optimal-transport distance to the target; a projection takes it to more data."""

import functools

import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value


def shape(*inputs: Value, **coefficients: Value) -> Value:
    """Return the performance of a mixture: quadratic in the shares, once times the distance and once alone.

    `inputs` are the shares and then the distance. Constants are absorbed, since shares sum to one.
    """
    *shares, distance = inputs
    total: Value = 0.0
    for i, share in enumerate(shares, 1):
        slope, level = (coefficients[f"{name}1_{i}"] + coefficients.get(f"{name}2_{i}", 0.0) * share for name in ("b", "c"))
        total = total + share * (slope * distance + level)
    return total


@functools.cache
def law(sources: int) -> Law:
    """Return the law for `sources` shares and one distance. Of two shares, the second one's square says nothing new."""
    meaning = {"b1": "distance times share", "b2": "distance times share squared", "c1": "share", "c2": "share squared"}
    terms = {
        f"{name}_{i}": f"of {text}, source {i}"
        for i in range(1, sources + 1)
        for name, text in meaning.items()
        if name[1] == "1" or sources > 2 or i == 1
    }
    return Law(
        name="ot_performance" if sources == 2 else f"ot_performance{sources}",
        shape=shape,
        params={name: Param(meaning=text) for name, text in terms.items()},
        linear=tuple(terms),
        formula=r"\sum_i (b_{2i} p_i^2 + b_{1i} p_i)\, \mathrm{OT} + \sum_i (c_{2i} p_i^2 + c_{1i} p_i)",
        source="Kang et al. 2023, arXiv:2307.02460, eq. 4",
        exponent="b1_1",
        inputs=(*(f"p{i}" for i in range(1, sources + 1)), "OT"),
        signed=(*(f"p{i}" for i in range(1, sources + 1)), "OT"),
        space="raw",
    )


def project(low: Value, high: Value, *, sizes: tuple[float, float], to: float) -> Value:
    """Return the performance at size `to`, on the line in ln N through two smaller sizes.

    It knows no ceiling, so report a law of the performance beside it.

    Args:
      low: performance at the first size.
      high: performance at the second size.
      sizes: (N_0, N_1), N_0 < N_1.
      to: N.
    """
    first, second = sizes
    if not 0 < first < second:
        raise ValueError(f"sizes must be two increasing positive numbers; got {sizes}.")
    return (np.log(to / first) * high - np.log(to / second) * low) / np.log(second / first)


def _example() -> tuple[np.ndarray, ...]:
    share, distance = (a.ravel() for a in np.meshgrid(np.linspace(0, 1, 9), np.linspace(0.5, 3.0, 6)))
    return share, 1 - share, distance


LAW = law(2)

TINY = Example({"b1_1": -0.2, "b2_1": 0.1, "c1_1": 0.9, "c2_1": -0.1, "b1_2": -0.1, "c1_2": 0.7}, _example(), 0.005, "raw")
