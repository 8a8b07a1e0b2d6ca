"""Find what is there. No registry, no decorator, no list to edit: a file in the right folder is enough."""

import importlib
import pkgutil
from typing import Any


def discover(package: str, name: str) -> dict[str, Any]:
    """Everything called `name` in the modules of `package`, sub-packages included.

    Args:
      package: dotted name, e.g. "jaxscale.models".
      name: the attribute each member defines: `TINY` in models, dynamics and data, `LAW` in fit.laws, `STUDY` in studies.

    Returns:
      {module name relative to `package`: object}, sorted. Modules without the attribute are left out.
    """
    root = importlib.import_module(package)
    found = {}
    for info in sorted(pkgutil.walk_packages(root.__path__, prefix=package + "."), key=lambda info: info.name):
        module = importlib.import_module(info.name)
        if hasattr(module, name):
            found[info.name.removeprefix(package + ".")] = getattr(module, name)
    return found
