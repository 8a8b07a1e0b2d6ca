"""Find what is there. No registry, no decorator, no list to edit: a file in the right folder is enough, and for an installed
package of somebody else's an entry point.
"""

import importlib
import importlib.metadata
import inspect
import pkgutil
import types
import warnings
from typing import Any

GROUPS = {  # where a folder of ours has members that other packages bring: entry points of this group
    "jaxscale.studies": "jaxscale.studies",
    "jaxscale.fitting.laws": "jaxscale.laws",
    "jaxscale.models": "jaxscale.models",
    "jaxscale.data": "jaxscale.worlds",
    "jaxscale.dynamics.rules": "jaxscale.rules",
}


class DiscoveryWarning(UserWarning):
    """Another package announces something that cannot be used."""


def discover(package: str, name: str) -> dict[str, Any]:
    """Return everything called `name` in the modules of `package`, sub-packages and other people's packages included.

    Args:
      package: dotted name, e.g. "jaxscale.models".
      name: the attribute each member defines: `TINY` in models, dynamics and data, `LAW` in fitting.laws, `STUDY` in studies.

    Returns:
      {module name relative to `package`: object}, sorted. Modules without the attribute are left out. Other packages'
      members have
      the name of their entry point.
    """
    root = importlib.import_module(package)
    members = {}
    for info in sorted(pkgutil.walk_packages(root.__path__, prefix=package + "."), key=lambda info: info.name):
        module = importlib.import_module(info.name)
        if name in vars(module):  # what the file itself defines: a package hands on names of others
            members[info.name.removeprefix(package + ".")] = getattr(module, name)
    return members | _announced(package, name, set(members))


def examples(package: str) -> list[tuple[str, Any]]:
    """Return every small instance that the modules of `package` offer as `TINY`, for tests and docs.

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


def _announced(package: str, name: str, taken: set[str]) -> dict[str, Any]:
    """Return what entry points announce: a module that has `name`, or the object itself. What cannot be used is warned of."""
    members = {}
    entries = importlib.metadata.entry_points(group=GROUPS[package]) if package in GROUPS else ()
    for entry in sorted(entries, key=lambda entry: entry.name):
        owner = entry.dist.name if entry.dist else "a package"
        if entry.name in taken:
            why = "there is one of this name already"
        else:
            try:
                found = entry.load()
            except Exception as error:  # whatever a stranger's module does on import
                why = f"loading it fails: {type(error).__name__}: {error}"
            else:
                if not isinstance(found, types.ModuleType):
                    members[entry.name] = found
                elif hasattr(found, name):
                    members[entry.name] = getattr(found, name)
                continue
        warnings.warn(f"'{entry.name}' of {owner} ({entry.group}) is left out: {why}.", DiscoveryWarning, stacklevel=3)
    return members
