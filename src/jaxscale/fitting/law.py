"""What a law is: a formula, its parameters with bounds, a source. It knows nothing of data frames, plots or optimisers."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from jaxscale.fitting.double_precision import float64

Value = float | np.ndarray | jax.Array  # of an input or a parameter of a formula: laws broadcast, and are traced


@dataclasses.dataclass(frozen=True)
class Param:
    """Describe one parameter of a law: its bounds, where its search starts, and what it means.

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
        """Return whether the parameter is positive, so that the search runs in its logarithm."""
        return self.lower == 0 and math.isinf(self.upper)

    @property
    def geometric(self) -> bool:
        """Return whether starts are spread evenly in the logarithm."""
        return self.positive and self.search is not None and self.search[0] > 0

    def starts(self, data: dict[str, np.ndarray]) -> tuple[float, float]:
        """Return the search range in the parameter's own unit, in its logarithm where the search runs there."""
        low, high = self.search or (0.0, 0.0)
        if self.within:
            values = data[self.within.removeprefix("1/")]
            values = 1 / values if self.within.startswith("1/") else values
            low, high = low * float(np.min(values)), high * float(np.max(values))
        return (math.log(low), math.log(high)) if self.geometric else (low, high)


class Example(NamedTuple):
    """Hold a small experiment that determines a law: for its recovery test, its coverage table and a first look."""

    values: dict[str, float]
    x: tuple[np.ndarray, ...]  # one column for each input
    noise: float = 0.01  # standard deviation of the residuals
    space: str = "log"


def power(x: Value, exponent: Value) -> jax.Array:
    """Return x^exponent of positive x, by its logarithm: an input's is taken once, whatever the number of lanes and steps."""
    return jnp.exp(exponent * jnp.log(x))


def residuals(space: str, predicted: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the law less the data, as logarithms where a fit is in "log" space. `predicted` is the law, (n,)."""
    return np.log(np.maximum(predicted, 1e-300)) - np.log(y) if space == "log" else predicted - y


def columns(*axes: ArrayLike) -> tuple[np.ndarray, ...]:
    """Return the grid of some axes as flat columns, one for each axis."""
    return tuple(np.ravel(a) for a in np.meshgrid(*axes, indexing="ij"))


def rung(points: int) -> int:
    """Return the number of points that a program is compiled for: the next of 8, 12, 16, 24, 32, 48, ...

    What is more is padding, so that tables of nearly the same size share their programs.
    """
    size = 8
    while size < points:
        size = size * 3 // 2 if size & (size - 1) == 0 else size * 4 // 3
    return size


@functools.lru_cache(maxsize=256)
def _curves(law: "Law") -> Callable[..., jax.Array]:
    """Return the compiled law, of columns and rows of parameters."""
    return jax.jit(lambda x, rows: jax.vmap(lambda row: _shaped(law, x, row))(rows))


@functools.lru_cache(maxsize=256)
def _tangents(law: "Law") -> Callable[..., jax.Array]:
    """Return the compiled derivatives of a law, parameters before points."""

    def one(x: jax.Array, row: jax.Array) -> jax.Array:
        return jnp.moveaxis(jax.jacfwd(lambda values: _shaped(law, x, values))(row), -1, 0)

    return jax.jit(lambda x, rows: jax.vmap(lambda row: one(x, row))(rows))


def _shaped(law: "Law", x: jax.Array, row: jax.Array) -> jax.Array:
    return law.shape(*x, **dict(zip(law.params, row))) * jnp.ones_like(x[0])


def _padded(program: Callable[..., Any], law: "Law", columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Return a compiled function of columns and rows, both padded to sizes that are compiled once."""
    columns, rows = np.atleast_2d(np.asarray(columns, np.float64)), np.atleast_2d(np.asarray(rows, np.float64))
    n, count = columns.shape[1], len(rows)
    wide = np.pad(columns, ((0, 0), (0, rung(n) - n if law.elementwise else 0)), mode="edge")
    tall = np.pad(rows, ((0, rung(count) - count), (0, 0)), mode="edge")
    with float64():
        return np.asarray(program(law)(jnp.asarray(wide), jnp.asarray(tall)))[:count, ..., :n]


@dataclasses.dataclass(frozen=True)
class Law:
    """Hold a formula and what is needed to fit it.

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
      richer: laws, by name, that hold this one as a limit: what to try where the form is not the data's.
      elementwise: whether a point's value depends on its own inputs alone, as it should; points may then be padded.
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
    richer: tuple[str, ...] = ()
    elementwise: bool = True
    check: Callable[[np.ndarray], None] | None = None

    def __post_init__(self) -> None:
        for name, param in self.params.items():
            if name not in self.linear and param.search is None:
                raise ValueError(f"Law '{self.name}': parameter '{name}' is not linear, so it needs search=(low, high).")

    def needs_positive(self, name: str) -> bool:
        """Return whether an input must be positive. Scales must; shares, losses, days and counters need not."""
        return name not in self.signed

    @property
    def searched(self) -> tuple[str, ...]:
        """Return the names of the parameters that need starting values."""
        return tuple(name for name in self.params if name not in self.linear)

    def at(self, columns: np.ndarray, values: dict[str, float]) -> np.ndarray:
        """Return the law, (n,), at (inputs, n) columns for one set of parameters; worked out in float64."""
        with float64():
            return np.asarray(self.shape(*(jnp.asarray(c, jnp.float64) for c in columns), **values))

    def curves(self, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return the law, (rows, n), at (inputs, n) columns for many sets of parameters, (rows, params), at a time."""
        return _padded(_curves, self, columns, rows)

    def tangents(self, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Return its derivatives by every parameter, (rows, n, params), for many sets of parameters at a time."""
        return np.moveaxis(_padded(_tangents, self, columns, rows), -2, -1)

    def __hash__(self) -> int:
        return hash((self.name, id(self.shape)))
