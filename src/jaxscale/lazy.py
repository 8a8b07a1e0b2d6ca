"""A package that imports its public names and its modules when they are asked for, and nothing before (PEP 562)."""

import importlib
import importlib.util
import pkgutil
import sys
from collections.abc import Callable, Mapping
from typing import Any


def lazily(package: str, public: Mapping[str, str]) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """Return the `__getattr__` and `__dir__` of a package whose public names and modules are imported on first use.

    Args:
      package: dotted name of the package, its `__name__`.
      public: {public name: dotted name of the module that defines it}. No name may be a module's too: which of the two
        `package.name` meant would depend on what had been imported before.

    Returns:
      `__getattr__(name)`: the public name, or else the package's module of that name. `__dir__()`: all of them, sorted.
    """

    def __getattr__(name: str) -> Any:
        if name in public:
            return getattr(importlib.import_module(public[name]), name)
        if not name.startswith("__") and importlib.util.find_spec(f"{package}.{name}") is not None:
            return importlib.import_module(f"{package}.{name}")
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    def __dir__() -> list[str]:
        here = sys.modules[package]
        modules = (module.name for module in pkgutil.iter_modules(here.__path__) if not module.name.startswith("_"))
        return sorted({*vars(here), *public, *modules})

    return __getattr__, __dir__
