"""Every option of a sweep, declared once: type, default, meaning. `sweep`, `plan`, `top_up` and the others take these."""

import difflib
import inspect
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypedDict, TypeVar

from jaxscale.engine.ask.grid import Seeds
from jaxscale.engine.events import Listener

CHECKPOINT_SECONDS = 60.0


class Placed(TypedDict, total=False):
    """How runs are laid out on the devices. A width fixes the last bits of a run; the others change nothing.

    Attributes:
      width: lanes per block, at least 2; "measure" to time several; None for the rule of thumb, or, with a store, for
        a measurement where the run is long enough to pay for it. Kept on resume.
      devices: devices to shard lanes over; all local ones if None.
      memory: bytes per device; measured if None.
      disorder: "kept" in memory, or "redrawn" from its key in every segment; by the memory plan if None: redrawn where keeping
        it would leave room for few runs at once. The bits are the same.
    """

    width: int | str | None
    devices: Sequence[Any] | None
    memory: int | None
    disorder: str | None


class Asked(Placed, total=False):
    """What is asked for: options that decide what the runs are.

    Attributes:
      grid: {axis: numbers}; traced, so values cost no compile. The product of all axes is run.
      static: {axis: values}; one compile per point of their product.
      sizes: {axis: whole numbers}, shapes that one padded program can serve: the experiment takes `axis`, traced then, and
        `axis_max`, a plain number.
      seeds: runs per grid point, or {"data": a, "init": b} to cross a draws of the disorder with b of everything else;
        the disorder is then held once for the b runs that share it.
      times: (n,) increasing steps at which to observe; see `jaxscale.log_times`. Needed.
      share: axes left out of the random key, for common random numbers along them.
      root: seed of everything.
      precision: `jax.default_matmul_precision` inside the runs.
      reduce: what is kept of the seeds. False keeps every run; True their moments (mean, std, skewness, kurtosis, Binder,
        smallest, largest, counts of diverged and censored runs); "quantiles" a sketch of the distribution too; "median" the
        median with its exact interval. Each is one file in `jaxscale.engine.keep.reductions`.
      sizes_as: "padded" (one program, masked) or "buckets" (a compile per size); the cheaper by estimate if None. Kept on
        resume. The two draw different numbers.
    """

    grid: Mapping[str, Any] | None
    static: Mapping[str, Any] | None
    sizes: Mapping[str, Any] | None
    seeds: Seeds
    times: Any
    share: str | Sequence[str]
    root: int
    precision: str
    reduce: bool | str
    sizes_as: str | None


class Conduct(TypedDict, total=False):
    """How runs are made, by whom, and who hears of it: options that change no result.

    Attributes:
      reclaim: drop stopped lanes between segments.
      checkpoint: with a store, seconds between two saves of runs under way; shorter runs are never saved. None for never.
      executor: whatever has `submit(function, *arguments)` giving futures: `concurrent.futures`, a Dask client, submitit.
        Workers write their runs into `store`, a folder that all of them see.
      listeners: functions of every `jaxscale.engine.events.Event`, e.g. `JsonLines(path)` or `OnCells(function)`.
      profile: folder for a trace to open in Perfetto.
    """

    reclaim: bool
    checkpoint: float | None
    executor: Any
    listeners: Iterable[Listener]
    profile: str | os.PathLike | None


class Manner(Conduct, total=False):
    """How a sweep as a whole goes on: options that change no result.

    Attributes:
      budget: seconds after which no further segment begins. Runs that have not ended by then are pending: saved where there is
        a store, and resumed by the same call. None for no limit.
      part: (i, n) to compute the i-th of n parts, counted from 0, into a store that the other parts write too.
      progress: show a bar on anything over two seconds.
    """

    budget: float | None
    part: tuple[int, int] | None
    progress: bool


class Again(Placed, Manner, total=False):
    """Options of a sweep that is made longer: what its runs are is known already."""


class Inner(Placed, Conduct, total=False):
    """Options of the sweeps inside something larger, which has its own say in all the rest."""


class SweepOptions(Asked, Manner, total=False):
    """All options of `jaxscale.sweep`: what is asked for, and how it is run.

    Attributes:
      store: folder to keep finished runs in. Running again resumes, also in the middle of a run; a finished sweep is a
        load; a wider grid or more seeds run only what is new.
    """

    store: str | os.PathLike | None


DEFAULTS: SweepOptions = {
    "grid": None, "static": None, "sizes": None, "seeds": 1, "share": (), "root": 0, "width": None, "devices": None,
    "memory": None, "precision": "highest", "disorder": None, "reduce": False, "sizes_as": None, "store": None, "reclaim": True,
    "checkpoint": CHECKPOINT_SECONDS, "budget": None, "part": None, "executor": None, "listeners": (), "profile": None,
    "progress": True,
}  # fmt: skip
F = TypeVar("F", bound=Callable[..., Any])


def complete(options: Mapping[str, Any], function: str = "sweep") -> dict[str, Any]:
    """Return the options with defaults filled in.

    Raises:
      TypeError: an unknown option, or no times.
    """
    known = SweepOptions.__annotations__
    for name in options:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"choose from {[*known]}."
            raise TypeError(f"{function} has no option '{name}'; {hint}")
    if "times" not in options:
        raise TypeError(f"{function} needs times=, the steps at which to observe; try times=js.log_times(1000).")
    return {**DEFAULTS, **options}


def asked(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the options that say what the runs are, `sizes` left out: they are settled into the others."""
    skipped = {"sizes", "sizes_as"}
    return {name: value for name, value in options.items() if name in Asked.__annotations__ and name not in skipped}


def takes_options(function: F) -> F:
    """Give a function of (experiment, **options) the signature and the documentation of the options, for help() and
    notebooks.
    """
    own = [p for p in inspect.signature(function).parameters.values() if p.kind is not p.VAR_KEYWORD]
    keyword, empty = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.empty
    kinds = SweepOptions.__annotations__
    names = [name for part in (Asked, SweepOptions, Placed, Manner) for name in part.__annotations__]
    names = sorted(kinds, key=lambda name: (name in Manner.__annotations__, name in Placed.__annotations__, names.index(name)))
    more = [inspect.Parameter(n, keyword, default=DEFAULTS.get(n, empty), annotation=kinds[n]) for n in names]
    signature = inspect.signature(function).replace(parameters=[*own, *more])
    function.__signature__ = signature  # type: ignore[attr-defined]
    text = "\n".join(_attributes(options) for options in (Asked, SweepOptions, Placed, Conduct, Manner))
    function.__doc__ = (function.__doc__ or "").replace("      **options: see `SweepOptions`.\n", text + "\n")
    return function


def _attributes(options: Any) -> str:
    """Return the lines of a TypedDict's docstring that describe its options."""
    return options.__doc__.split("Attributes:\n", 1)[1].rstrip()
