"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""

from jaxscale.engine.machine.cache import program_cache as program_cache
from jaxscale.engine.machine.devices import memory_bytes as memory_bytes
from jaxscale.engine.machine.devices import use_all_cores as use_all_cores

__all__ = [
    "use_all_cores",
    "memory_bytes",
    "program_cache",
]
