"""Find what is there. No registry, no decorator, no list to edit: a file in the right folder is enough."""

import importlib
import inspect
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


def examples(package: str) -> list[tuple[str, Any]]:
    """Every small instance that the modules of `package` offer as `TINY`, for tests and docs.

    `TINY` is an instance, a tuple of them, or a function without arguments that returns either: a function when building the
    instance takes modules that the file itself does without.

    Returns:
      [("module-0", instance), ...], sorted by module.
    """
    labelled = []
    for name, tiny in discover(package, "TINY").items():
        made = tiny() if inspect.isfunction(tiny) else tiny
        several = made if isinstance(made, tuple) else (made,)
        labelled += [(f"{name}-{i}", instance) for i, instance in enumerate(several)]
    return labelled
