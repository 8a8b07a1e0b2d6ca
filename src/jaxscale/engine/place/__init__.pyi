"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""

from jaxscale.engine.place.bucket import Bucket as Bucket
from jaxscale.engine.place.bucket import Runner as Runner
from jaxscale.engine.place.local import Local as Local
from jaxscale.engine.place.width import choose_width as choose_width
from jaxscale.engine.place.workers import Workers as Workers

__all__ = [
    "Bucket",
    "Runner",
    "Local",
    "Workers",
    "choose_width",
]
