"""What to paste into an issue: versions, and the devices of this machine, without starting JAX (which takes over a second)."""

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

import jaxscale

PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy", "xarray")
PLUGINS = ("libtpu", "jax-cuda12-plugin", "jax-cuda13-plugin", "jax-rocm60-plugin", "jax-metal")


def versions() -> str:
    """Return one line for jaxscale and Python, one for its packages, one for devices."""
    packages = ", ".join(f"{name} {_version(name)}" for name in PACKAGES)
    return "\n".join(
        [
            f"jaxscale {jaxscale.__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}",
            packages,
            f"devices: {', '.join(devices())} (`jaxscale devices` asks JAX)",
        ]
    )


def devices() -> Iterator[str]:
    """Give what this machine has, and the plug-ins of JAX that are installed, in words."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield f"{cores} CPU core{'s' * (cores > 1)}"
    for pattern, name in (("nvidia[0-9]*", "NVIDIA GPU"), ("accel[0-9]*", "TPU chip"), ("vfio/[0-9]*", "TPU chip")):
        if count := len(list(Path("/dev").glob(pattern))):
            yield f"{count} {name}{'s' * (count > 1)}"
    installed = {distribution.name for distribution in distributions()}
    for plugin in PLUGINS:
        if plugin in installed:
            yield f"{plugin} {_version(plugin)} installed"
    if asked := os.environ.get("JAX_PLATFORMS"):
        yield f"JAX_PLATFORMS={asked}"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"
