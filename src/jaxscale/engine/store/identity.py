"""What makes two runs ones of the same sweep: the contract that a store holds later sweeps to."""

import inspect
from hashlib import sha256
from typing import Any

import jax

from jaxscale.engine.ask.request import Request
from jaxscale.engine.machine.devices import cpu_level


def contract(request: Request) -> dict[str, Any]:
    """Return what must agree for two runs to be mixed in one result; plain JSON. Whoever runs them adds the platform."""
    try:
        source = inspect.getsource(getattr(request.experiment, "experiment", request.experiment))
    except (OSError, TypeError):
        source = ""  # typed into a console; the program's fingerprint still guards it
    grid = request.grid
    return {
        "experiment": request.name,
        "source": sha256(source.encode()).hexdigest()[:16],
        "axes": {name: str(values.dtype) for name, values in sorted(grid.axes.items())},
        "static": sorted(grid.static),
        "seeds": sorted(grid.seeds),
        "share": sorted(grid.share),
        "times": request.times.tolist(),
        "root": request.root,
        "precision": request.precision,
        "reduce": request.reduction.name,
    }


def platform(request: Request) -> dict[str, Any]:
    """Return where the runs are made, as far as their bits depend on it."""
    device = request.devices[0]
    facts = {
        "x64": bool(jax.config.jax_enable_x64),
        "platform": f"{device.platform}: {device.device_kind}",
        "jax": jax.__version__,
    }
    return facts | ({"compiler level": cpu_level()} if device.platform == "cpu" else {})
