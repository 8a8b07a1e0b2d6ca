"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""

from jaxscale.engine.ask.grid import Grid as Grid
from jaxscale.engine.ask.grid import Lanes as Lanes
from jaxscale.engine.ask.options import SweepOptions as SweepOptions
from jaxscale.engine.ask.reduction import Reduction as Reduction
from jaxscale.engine.ask.request import Request as Request

__all__ = [
    "Request",
    "SweepOptions",
    "Reduction",
    "Grid",
    "Lanes",
]
