"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""

from jaxscale.dynamics.rules.adamw import AdamW as AdamW
from jaxscale.dynamics.rules.lion import Lion as Lion
from jaxscale.dynamics.rules.momentum import Momentum as Momentum

__all__ = [
    "AdamW",
    "Lion",
    "Momentum",
]
