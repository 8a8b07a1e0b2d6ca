"""Shapes in annotations: `Float[Array, "n d"]` is jaxtyping's where that is installed, and plain `Array` where it is not.

Nothing is checked at run time in either case; the tests check, by beartype, the annotations of every module that uses these.
"""

from typing import TYPE_CHECKING, Any

import jax
import numpy as np

Array = jax.Array
Numbers = np.ndarray

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int, Key, Num, Shaped
else:
    try:
        from jaxtyping import Bool, Float, Int, Key, Num, Shaped
    except ImportError:

        class Shaped:
            """Stands for a type with a shape: without jaxtyping the shape is for readers only."""

            def __class_getitem__(cls, described: tuple[Any, str]) -> Any:
                """Return the type of the array, its shape left out."""
                return described[0]

        Bool = Float = Int = Key = Num = Shaped

__all__ = ["Array", "Bool", "Float", "Int", "Key", "Num", "Numbers", "Shaped"]
