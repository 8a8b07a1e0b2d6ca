"""What a law is: a formula, its parameters with bounds, a source. Nothing about data frames, plots or optimisers."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxscale.fitting.double_precision import float64


@dataclasses.dataclass(frozen=True)
class Param:
    """One parameter of a law.

    Attributes:
      lower: bound. 0 means positive: the search runs in its logarithm, and 0 itself is reached when it helps.
      upper: bound.
      search: (low, high) of the starting values; needed for every parameter that is not linear.
      within: an input, "y", or "1/" and one of them: `search` is then in units of the data, from low times their smallest to
        high times their largest value. Starts of a positive parameter are spread evenly in its logarithm.
      meaning: in words, with the unit.
    """

    lower: float = -math.inf
    upper: float = math.inf
    search: tuple[float, float] | None = None
    within: str = ""
    meaning: str = ""

    @property
    def positive(self) -> bool:
        """Whether the search runs in the logarithm."""
        return self.lower == 0 and math.isinf(self.upper)

    @property
    def geometric(self) -> bool:
        """Whether starts are spread evenly in the logarithm."""
        return self.positive and self.search is not None and self.search[0] > 0

    def starts(self, data: dict[str, np.ndarray]) -> tuple[float, float]:
        """The search range in the parameter's own unit, in its logarithm where the search runs there."""
        low, high = self.search or (0.0, 0.0)
        if self.within:
            values = data[self.within.removeprefix("1/")]
            values = 1 / values if self.within.startswith("1/") else values
            low, high = low * float(np.min(values)), high * float(np.max(values))
        return (math.log(low), math.log(high)) if self.geometric else (low, high)


class Example(NamedTuple):
    """A small experiment that determines a law: for its recovery test, its coverage table and a first look."""

    values: dict[str, float]
    x: tuple[np.ndarray, ...]  # one column for each input
    noise: float = 0.01  # standard deviation of the residuals
    space: str = "log"


def power(x: Any, exponent: Any) -> Any:
    """x^exponent of positive x, by its logarithm: that of an input is taken once, whatever the number of lanes and steps."""
    return jnp.exp(exponent * jnp.log(x))


def residuals(space: str, made: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Law less data, in the space of a fit."""
    return np.log(np.maximum(made, 1e-300)) - np.log(y) if space == "log" else made - y


def columns(*axes: Any) -> tuple[np.ndarray, ...]:
    """The grid of some axes, as flat columns."""
    return tuple(np.ravel(a) for a in np.meshgrid(*axes, indexing="ij"))


@dataclasses.dataclass(frozen=True)
class Law:
    """A formula and what is needed to fit it.

    Attributes:
      name: as in the file name.
      shape: shape(*inputs, **params) -> y, elementwise in the inputs, written with jax.numpy.
      params: {name: Param}.
      linear: parameters in which `shape` is linear (and vanishing when all are 0): they are solved exactly at each start.
      formula: LaTeX.
      source: paper.
      exponent: the parameter people quote.
      inputs: what it is a function of, in the order of `shape`.
      floor: the parameter that is the limit at infinite scale, if there is one.
      derived: {name: function of the parameters}, quantities to report with intervals.
      at_budget: {name: function(compute, **params)}, what is best at a budget of `compute` flops.
      space: where its residuals usually live, "log" or "raw".
      signed: inputs that may be zero or negative.
      broken: its slope changes along the way by more than a floor does.
      falling: inputs whose small values are the large scales: losses.
      check: check(columns) raises ValueError where inputs make no sense to the law: shares that do not sum to one.
    """

    name: str
    shape: Callable[..., Any]
    params: dict[str, Param]
    linear: tuple[str, ...]
    formula: str
    source: str
    exponent: str = "exponent"
    inputs: tuple[str, ...] = ("x",)
    floor: str = ""
    derived: dict[str, Callable[..., Any]] = dataclasses.field(default_factory=dict)
    at_budget: dict[str, Callable[..., Any]] = dataclasses.field(default_factory=dict)
    space: str = "log"
    signed: tuple[str, ...] = ()
    broken: bool = False
    falling: tuple[str, ...] = ()
    check: Callable[[np.ndarray], None] | None = None

    def __post_init__(self):
        for name, param in self.params.items():
            if name not in self.linear and param.search is None:
                raise ValueError(f"Law '{self.name}': parameter '{name}' is not linear, so it needs search=(low, high).")

    def needs_positive(self, name: str) -> bool:
        """Whether an input must be positive. Scales must; shares, losses, days and counters need not."""
        return name not in self.signed

    @property
    def searched(self) -> tuple[str, ...]:
        """Parameters that need starting values."""
        return tuple(name for name in self.params if name not in self.linear)

    def at(self, columns: np.ndarray, values: dict[str, float]) -> np.ndarray:
        """The law at (inputs, n) columns, in float64: (n,)."""
        with float64():
            return np.asarray(self.shape(*(jnp.asarray(c, jnp.float64) for c in columns), **values))

    def __hash__(self) -> int:
        return hash((self.name, id(self.shape)))
