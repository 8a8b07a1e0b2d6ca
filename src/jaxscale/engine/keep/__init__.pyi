"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""

from jaxscale.engine.keep.moments import Moments as Moments
from jaxscale.engine.keep.pieces import CellsPiece as CellsPiece
from jaxscale.engine.keep.pieces import RunsPiece as RunsPiece
from jaxscale.engine.keep.rows import Rows as Rows

__all__ = [
    "RunsPiece",
    "CellsPiece",
    "Rows",
    "Moments",
]
