"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""

from jaxscale.engine.store.contract import Store as Store
from jaxscale.engine.store.disk import DiskStore as DiskStore
from jaxscale.engine.store.memory import MemoryStore as MemoryStore
from jaxscale.engine.store.recorded import Recorded as Recorded

__all__ = [
    "Store",
    "DiskStore",
    "MemoryStore",
    "Recorded",
]
