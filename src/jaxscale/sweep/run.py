"""`sweep`: every run of a grid, planned, sharded, reclaimed, stored, resumed."""

import inspect
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import jax
import numpy as np

from jaxscale.sweep.execute import Progress, room_needed, run_cohort
from jaxscale.sweep.grid import Grid, Lanes, Seeds
from jaxscale.sweep.plan import Request
from jaxscale.sweep.result import assemble, bucket_name
from jaxscale.sweep.store import Piece, Store, StoreError

if TYPE_CHECKING:
    import xarray

PIECE_SECONDS = 20.0  # with a store, aim at pieces of this length: it is what a kill can cost
FIRST_BLOCKS = 16  # blocks per device of the first piece, whose speed is not known yet


def sweep(
    experiment: Callable[..., Any],
    *,
    grid: Mapping[str, Any] | None = None,
    static: Mapping[str, Any] | None = None,
    seeds: Seeds = 1,
    times: Any,
    store: str | os.PathLike | None = None,
    share: str | Sequence[str] = (),
    root: int = 0,
    width: int | None = None,
    devices: Sequence[Any] | None = None,
    memory: int | None = None,
    precision: str = "highest",
    reclaim: bool = True,
    progress: bool = True,
) -> "xarray.Dataset":
    """Run an experiment at every grid point for many seeds, and label the results.

    A run depends on its own coordinates, its seed, `root` and the block width, and on nothing else: not on the other
    cells, their order, the number of devices, or interruptions. At a fixed width that holds bit for bit.

    Args:
      experiment: function of the axis names giving a system; an ordinary function, so `learning_rate=2 / d` is fine.
      grid: {axis: numbers}; traced, so values cost no compile. The product of all axes is run.
      static: {axis: values}; one compile per point of their product.
      seeds: runs per grid point, or {"data": a, "init": b} to cross a draws of the disorder with b of everything else;
        the disorder is then held once for the b runs that share it.
      times: (n,) increasing steps at which to observe; see `jaxscale.log_times`.
      store: folder to keep finished runs in. Running again resumes; a finished sweep is a load; a wider grid or more
        seeds run only what is new.
      share: axes left out of the random key, for common random numbers along them.
      root: seed of everything.
      width: lanes per block, at least 2; chosen from the program and the machine if None, kept on resume.
      devices: devices to shard lanes over; all local ones if None.
      memory: bytes per device; measured if None.
      precision: `jax.default_matmul_precision` inside the runs.
      reclaim: drop stopped lanes between segments.
      progress: show a bar on anything over two seconds.

    Returns:
      Dataset with dims (*static, *grid, "seed" or "data", "init", "time"), one variable per observable, `diverged_at`
      without the time axis, provenance in attrs. A diverged run is NaN from its first bad step on.

    Raises:
      ValueError, TypeError: bad arguments, before anything compiles.
      StoreError: the store belongs to another sweep, or cannot be written.
    """
    request = Request.make(
        experiment, grid=grid, static=static, seeds=seeds, times=times, share=share, root=root, width=width,
        devices=devices, memory=memory, precision=precision,
    )  # fmt: skip
    began = time.perf_counter()
    contract = _contract(request)
    totals: dict[str, Any] = {"compile_seconds": 0.0, "lane_steps": 0, "slot_steps": 0, "runs_computed": 0, "width": {}}
    units: dict[str, tuple[str, str]] = {}
    with _Memory() if store is None else _Disk(store, contract, _request(request)) as keeper:
        pieces = keeper.pieces()
        work = []
        for point in request.grid.buckets():
            program = request.program(point)
            settings = keeper.settle(
                bucket_name(point), {"program": program.fingerprint, "width": request.block_width(program)}
            )
            if width not in (None, settings["width"]):
                raise StoreError(
                    f"this store's bucket {bucket_name(point)} has width {settings['width']}; got width={width}. Leave it out."
                )
            totals["width"][bucket_name(point)] = settings["width"]
            units.update(program.units)
            work.append((program, settings["width"], _pending(request.grid.lanes(point), pieces.get(bucket_name(point), []))))
        total = sum(len(lanes) for _, _, lanes in work)
        with _Bar(total, progress and total > 0) as bar:
            for program, fixed, lanes in work:
                if len(lanes):
                    made = _run_bucket(request, program, fixed, lanes, keeper, bar, totals, reclaim)
                    pieces.setdefault(bucket_name(program.static), []).extend(made)
        units = keeper.keep_units(units)
    totals["useful_share"] = totals.pop("lane_steps") / max(totals.pop("slot_steps"), 1)
    provenance = contract | totals | {"wall_seconds": time.perf_counter() - began, "created": time.strftime("%FT%T%z")}
    return assemble(request.grid, request.times, pieces, units, provenance)


def load(store: str | os.PathLike) -> "xarray.Dataset":
    """The result of a stored sweep, finished or not: runs that are not there yet are NaN.

    Raises:
      StoreError: `store` is no store.
    """
    found = Store.read(store)
    asked = found.manifest["request"]
    axes = {name: np.asarray(a["values"], a["dtype"]) for name, a in asked["grid"].items()}
    grid = Grid(axes, {k: tuple(v) for k, v in asked["static"].items()}, asked["seeds"], frozenset(asked["share"]))
    units = {name: (d, u) for name, (d, u) in asked.get("units", {}).items()}
    return assemble(grid, np.asarray(found.manifest["contract"]["times"]), found.pieces(), units, found.manifest["contract"])


def _run_bucket(request, program, width, lanes, keeper, bar, totals, reclaim):
    """All pending lanes of one bucket, cohort by cohort. Returns their pieces."""
    executable = request.executable(program, width, lanes)
    clock = time.perf_counter()
    _ = executable.start, executable.advance
    totals["compile_seconds"] += time.perf_counter() - clock
    most = executable.rows * len(request.devices)
    size = min(most, FIRST_BLOCKS * width * len(request.devices)) if keeper.on_disk else most
    made, at = [], 0
    while at < len(lanes):
        cohort = lanes.take(slice(at, at + size))
        while not _fits(executable, cohort):  # groups that share disorder may leave their last block half empty
            cohort = cohort.take(slice(0, -(-len(cohort) // 2)))
        records = run_cohort(executable, cohort, request.times, tell=bar.tell(len(cohort), request.times[-1]), reclaim=reclaim)
        arrays = {f"observed/{name}": values for name, values in records.observed.items()}
        piece = Piece(ids=cohort.ids, diverged_at=records.diverged_at, **arrays)
        keeper.write(bucket_name(program.static), piece)
        made.append(piece)
        bar.commit(len(cohort))
        totals["lane_steps"] += records.lane_steps
        totals["slot_steps"] += records.slot_steps
        totals["runs_computed"] += len(cohort)
        at += len(cohort)
        if keeper.on_disk:  # the next piece should take about PIECE_SECONDS
            rate = len(cohort) / max(records.seconds, 1e-3)
            size = int(min(max(rate * PIECE_SECONDS, size), most, 8 * size))
    return made


def _fits(executable, lanes):
    blocks, groups = room_needed(lanes, len(executable.devices), executable.width, executable.program.shared)
    return blocks <= executable.blocks and (groups <= executable.groups or not executable.program.shared)


def _pending(lanes: Lanes, pieces: list[Piece]) -> Lanes:
    done = np.concatenate([piece["ids"] for piece in pieces]) if pieces else np.zeros(0, np.uint64)
    return lanes.take(~np.isin(lanes.ids, done))


def _contract(request: Request) -> dict[str, Any]:
    """What must agree for two runs to be mixed in one result."""
    experiment = request.experiment
    try:
        source = inspect.getsource(experiment)
    except (OSError, TypeError):
        source = ""  # typed into a console; the program's fingerprint still guards it
    device = request.devices[0]
    return {
        "experiment": f"{experiment.__module__}.{experiment.__qualname__}",
        "source": sha256(source.encode()).hexdigest()[:16],
        "axes": {name: str(values.dtype) for name, values in sorted(request.grid.axes.items())},
        "static": sorted(request.grid.static),
        "seeds": sorted(request.grid.seeds),
        "share": sorted(request.grid.share),
        "times": request.times.tolist(),
        "root": request.root,
        "precision": request.precision,
        "x64": bool(jax.config.jax_enable_x64),
        "platform": f"{device.platform}: {device.device_kind}",
        "jax": jax.__version__,
    }


def _request(request: Request) -> dict[str, Any]:
    axes = {name: {"values": v.tolist(), "dtype": str(v.dtype)} for name, v in request.grid.axes.items()}
    static = {name: list(values) for name, values in request.grid.static.items()}
    return {"grid": axes, "static": static, "seeds": request.grid.seeds, "share": sorted(request.grid.share)}


class _Memory:
    """Keeps nothing; results live in the returned Dataset."""

    on_disk = False

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        pass

    def pieces(self):
        return {}

    def settle(self, bucket, settings):
        return settings

    def keep_units(self, units):
        return units

    def write(self, bucket, piece):
        pass


class _Disk:
    """Keeps every piece in a store, held by this process until the sweep ends."""

    on_disk = True

    def __init__(self, path, contract, request):
        self.opening = Store.create(path, contract, request)

    def __enter__(self):
        store = self.opening.__enter__()
        self.settle, self.write, self.keep_units = store.settle, store.write, store.keep_units
        self.pieces = lambda: store.pieces(mend=True)
        return self

    def __exit__(self, *failure):
        return self.opening.__exit__(*failure)


class _Bar:
    """Progress from the host loop: runs done, live, diverged, lane-steps per second, time left."""

    def __init__(self, total: int, show: bool):
        from tqdm.auto import tqdm

        quiet = not sys.stderr.isatty() and "ipykernel" not in sys.modules  # a log file wants a line now and then
        self.bar = tqdm(total=total, unit="run", disable=not show, delay=2, smoothing=0.1, mininterval=15 if quiet else 0.2,
                        bar_format="{l_bar}{bar}| {n:.0f}/{total} runs [{elapsed}<{remaining}{postfix}]")  # fmt: skip
        self.base, self.steps, self.began = 0, 0, time.perf_counter()

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        self.bar.close()

    def tell(self, lanes: int, last: int) -> Callable[[Progress], None]:
        """A listener for one cohort. A live lane counts for the share of its steps that are done."""
        before = self.steps

        def hear(p: Progress) -> None:
            self.steps = before + p.lane_steps
            done = self.base + lanes - p.live + p.live * p.step / max(last, 1)
            rate = self.steps / max(time.perf_counter() - self.began, 1e-9)
            self.bar.set_postfix_str(f"live {p.live}, diverged {p.diverged}, {rate:.3g} lane-steps/s", refresh=False)
            self.bar.update(max(done - self.bar.n, 0))

        return hear

    def commit(self, lanes: int) -> None:
        """A cohort is finished and stored."""
        self.base += lanes
        self.bar.update(max(self.base - self.bar.n, 0))
