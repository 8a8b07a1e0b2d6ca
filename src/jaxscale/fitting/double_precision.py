"""Fits run in float64 on the host CPU whatever the global flag: float32 fits fail, and float64 on a TPU is impractical."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import jax

from jaxscale.engine.machine.cache import program_cache


@contextmanager
def float64() -> Iterator[None]:
    """Make jax compute in float64 on the host CPU, for the code inside this context only."""
    name = "enable_x64"  # moved out of experimental after jax 0.7
    enable = getattr(jax if hasattr(jax, name) else jax.experimental, name)
    with ExitStack() as stack:
        stack.enter_context(enable(True))
        stack.enter_context(jax.default_device(jax.local_devices(backend="cpu")[0]))
        stack.enter_context(program_cache())  # the programs of a fit are as costly as those of a sweep
        yield
