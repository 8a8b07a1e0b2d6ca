"""Sizes in one program: pad every size to the largest and mask, or compile each. A cost model says which is cheaper.

An experiment with a size axis takes `points` and `points_max`: `points_max` is a plain number and fixes shapes; `points` is
traced when padded, and equal to `points_max` when each size has its own program.
"""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from jaxscale.engine.ask.options import asked
from jaxscale.engine.ask.request import Request
from jaxscale.engine.place.probe import BASIC_RATE
from jaxscale.engine.run.cost import step_cost
from jaxscale.engine.run.executables import program_of
from jaxscale.engine.store.files import folder_of
from jaxscale.engine.store.manifest import read_manifest

COMPILE_SECONDS = {"cpu": 2.0, "gpu": 15.0, "tpu": 30.0}  # of a bucket's two programs, about
WAYS = ("padded", "buckets")


@dataclasses.dataclass(frozen=True)
class Sized:
    """An experiment whose `NAME_max` arguments are filled in."""

    experiment: Callable[..., Any]
    largest: Mapping[str, int]  # {name: value} when padded
    names: tuple[str, ...] = ()  # when each size has its own program

    def __post_init__(self) -> None:
        for name in ("__module__", "__qualname__"):  # stores and messages call it by the experiment's name
            object.__setattr__(self, name, getattr(self.experiment, name))

    def __call__(self, **coordinates: Any) -> Any:
        """Return the system of one grid point."""
        own = {f"{name}_max": coordinates[name] for name in self.names}
        return self.experiment(**coordinates, **{f"{name}_max": value for name, value in self.largest.items()}, **own)

    @property
    def __signature__(self) -> inspect.Signature:
        signature = inspect.signature(self.experiment)
        filled = {f"{name}_max" for name in (*self.largest, *self.names)}
        return signature.replace(parameters=[p for p in signature.parameters.values() if p.name not in filled])


def settle_sizes(experiment: Callable[..., Any], options: Mapping[str, Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Turn size axes into grid axes of one padded program, or into static axes.

    Args:
      experiment: takes `NAME` and `NAME_max` for every name in `sizes`.
      options: of the sweep, complete. `sizes_as` says which way; None for what the store was begun with, else the cheaper.

    Returns:
      experiment and options, without sizes.

    Raises:
      ValueError, TypeError: sizes that are not positive whole numbers, an unknown way, an experiment without `NAME_max`.
    """
    options = dict(options)
    sizes, way = options.pop("sizes"), options.pop("sizes_as")
    if not sizes:
        return experiment, options
    checked = {str(name): _whole(name, values) for name, values in sizes.items()}
    if way not in (None, *WAYS):
        raise ValueError(f"sizes_as must be one of {list(WAYS)} or None; got {way!r}.")
    parameters = inspect.signature(experiment).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    for name in checked:
        if f"{name}_max" not in parameters and not open_ended:
            raise TypeError(f"the experiment must take '{name}_max' beside '{name}': the plain number that fixes shapes.")
    both = {way: _as(way, experiment, options, checked) for way in WAYS}
    return both[way or _begun(options["store"], checked) or _cheaper(both)]


def _as(
    way: str, experiment: Callable[..., Any], options: dict[str, Any], sizes: Mapping[str, tuple[int, ...]]
) -> tuple[Callable[..., Any], dict[str, Any]]:
    if way == "padded":
        grid = {**{n: np.array(v, np.int32) for n, v in sizes.items()}, **(options["grid"] or {})}
        return Sized(experiment, {name: max(values) for name, values in sizes.items()}), options | {"grid": grid}
    static = {**(options["static"] or {}), **sizes}
    return Sized(experiment, {}, tuple(sizes)), options | {"static": static}


def _begun(store: Any, sizes: Mapping[str, Any]) -> str | None:
    manifest = read_manifest(folder_of(store)) if store is not None else None
    if manifest is None:
        return None
    return "padded" if set(sizes) <= set(manifest["contract"].get("axes", {})) else "buckets"


def _cheaper(both: Mapping[str, tuple[Callable[..., Any], dict[str, Any]]]) -> str:
    """Return the way of the fewest seconds, compile seconds and those of all steps, both by rule of thumb; systems that
    stop early make steps cheaper still.
    """
    seconds = {}
    for way, (experiment, options) in both.items():
        request = Request.make(experiment, **asked(options), checked=True)
        steps, rate = int(request.times[-1]), BASIC_RATE * len(request.devices)
        buckets = request.grid.buckets()
        flops = sum(step_cost(program_of(request, static)).flops for static in buckets)
        compiling = COMPILE_SECONDS.get(request.devices[0].platform, 15.0) * len(buckets)
        seconds[way] = compiling + flops * steps * request.grid.lanes_per_bucket / rate
    return min(WAYS, key=seconds.__getitem__)


def _whole(name: str, values: Any) -> tuple[int, ...]:
    plain = tuple(np.atleast_1d(values).tolist())
    if not plain or any(isinstance(v, bool) or v != round(v) or v < 1 for v in plain):
        raise ValueError(f"sizes['{name}'] must be positive whole numbers; got {list(plain)}.")
    return tuple(int(v) for v in plain)
