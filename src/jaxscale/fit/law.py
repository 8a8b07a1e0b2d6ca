"""What a law is: a formula, its parameters with bounds, a source. Nothing about data frames, plots or optimisers."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Param:
    """One parameter of a law.

    Attributes:
      lower: bound. 0 means positive: the search runs in its logarithm, and 0 itself is reached when it helps.
      upper: bound.
      search: (low, high) of the starting values; needed for every parameter that is not linear.
      meaning: in words, with the unit.
    """

    lower: float = -math.inf
    upper: float = math.inf
    search: tuple[float, float] | None = None
    meaning: str = ""

    @property
    def positive(self) -> bool:
        """Whether the search runs in the logarithm."""
        return self.lower == 0 and math.isinf(self.upper)


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

    def __post_init__(self):
        for name, param in self.params.items():
            if name not in self.linear and param.search is None:
                raise ValueError(f"Law '{self.name}': parameter '{name}' is not linear, so it needs search=(low, high).")

    @property
    def searched(self) -> tuple[str, ...]:
        """Parameters that need starting values."""
        return tuple(name for name in self.params if name not in self.linear)

    def __hash__(self) -> int:
        return hash((self.name, id(self.shape)))
