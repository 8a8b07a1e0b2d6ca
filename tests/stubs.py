"""What type checkers and editors read of the packages that hand their names on lazily: `make stubs` writes it, a test
compares.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import jaxscale

HEAD = '"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""\n\n'


def packages() -> Iterator[str]:
    """Give the dotted names of all packages with public names."""
    yield "jaxscale"
    for module in pkgutil.walk_packages(jaxscale.__path__, "jaxscale."):
        if module.ispkg and hasattr(importlib.import_module(module.name), "_PUBLIC"):
            yield module.name


def stub(package: str) -> tuple[Path, str]:
    """Return the file and the text of a package's stub."""
    module = importlib.import_module(package)
    lines = [f"from {source} import {name} as {name}\n" for name, source in module._PUBLIC.items()]
    names = "".join(f'    "{name}",\n' for name in module.__all__)
    version = "__version__: str\n" if hasattr(module, "__version__") else ""
    text = HEAD + "".join(sorted(lines)) + "\n" + version + f"__all__ = [\n{names}]\n"
    return Path(module.__file__ or "").with_suffix(".pyi"), text


def main() -> None:
    """Write every stub."""
    for package in packages():
        file, text = stub(package)
        file.write_text(text)


if __name__ == "__main__":
    main()
