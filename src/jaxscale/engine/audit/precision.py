"""Does float32 decide anything? Some runs are made again in float64 on the same draws, and what changes is said.

Disorder and start are drawn in float32, as they were, and everything is then computed in float64: only the arithmetic
differs. Steps that draw would draw other bits in float64, and their runs would be other runs: these are refused. Code that asks
for float32 by name stays there, and its drift is then too small.
"""

import contextlib
import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.engine.ask.grid import Lanes
from jaxscale.engine.listeners import said
from jaxscale.engine.run.executables import program_of
from jaxscale.engine.run.program import Lane, Program
from jaxscale.engine.store.recorded import Recorded

SMALL = 1e-30


@dataclasses.dataclass(frozen=True)
class Drift:
    """Hold what float64 changes of one observable.

    Attributes:
      typical: median over runs of the relative difference at the last record.
      worst: the largest.
      changed: share of the runs whose verdict changes: 0 or 1, finite or not.
      runs: how many were compared.
    """

    typical: float
    worst: float
    changed: float
    runs: int

    def __str__(self) -> str:
        verdict = f", {self.changed:.0%} of the verdicts change" if self.changed else ""
        return f"relative drift {self.typical:.1e}, at most {self.worst:.1e}, of {self.runs} runs{verdict}"


def in_float64(record: Recorded, experiment: Any, *, cells: int, root: int) -> dict[str, Drift]:
    """Return {observable: what float64 changes} of a random sample of a store's runs, at the last record.

    Args:
      record: of the store.
      experiment: what was swept.
      cells: runs to make twice.
      root: seed of the sample.
    """
    request, random = record.request(experiment, reduce=False), np.random.default_rng(root)
    buckets, last = list(record.grid.buckets()), int(record.contract["times"][-1])
    pairs: dict[str, list[tuple[float, float]]] = {}
    for point in buckets:
        program = program_of(request, point)
        check_draws_nothing(program)
        lanes = request.grid.lanes(point)
        chosen = np.sort(random.choice(len(lanes), min(-(-cells // len(buckets)), len(lanes)), replace=False))
        with said(f"running {len(chosen)} runs again in float32 and in float64 ..."):
            some = lanes.take(chosen)
            single, double = (_observed(program, some, last, wide) for wide in (False, True))
        for name, values in single.items():
            pairs.setdefault(name, []).extend(zip(values.tolist(), double[name].tolist()))
    return {name: _drift(np.array(both)) for name, both in pairs.items()}


def _observed(program: Program, lanes: Lanes, last: int, wide: bool) -> dict[str, np.ndarray]:
    """Return {observable: (lanes,)} at the last step, computed in float64 from float32's draws if `wide`."""

    def begin(lane: Lane) -> Any:
        data = program.begin_data(lane)
        return data, program.begin(lane, data)[1]

    def run(lane: Lane, data: Any, state: Any) -> dict[str, jax.Array]:
        system, key = program.build(lane), jax.random.key(0)  # of steps that draw nothing

        def step(_: jax.Array, state: Any) -> Any:
            moved = system.step(key, state, data)
            return jax.tree.map(lambda new, old: new.astype(old.dtype), moved, state)

        return program.look(lane, jax.lax.fori_loop(0, last, step, state), data)[0]

    with jax.default_matmul_precision(program.precision):
        coords = {name: jnp.asarray(values) for name, values in lanes.coords.items()}
        lane = Lane(coords, jnp.asarray(lanes.words), jnp.asarray(lanes.seeds))
        data, state = jax.jit(jax.vmap(begin))(lane)
        with _precise() if wide else contextlib.nullcontext():
            lane, data, state = (_raised(tree) if wide else tree for tree in (lane, data, state))
            found = jax.jit(jax.vmap(run))(lane, data, state)
            return {name: np.asarray(values, np.float64) for name, values in found.items()}


def check_draws_nothing(program: Program) -> None:
    """Raise ValueError where a step draws random numbers."""
    data, state, _ = program.shapes
    key = jax.eval_shape(lambda: jax.random.key(0))
    text = str(jax.make_jaxpr(lambda lane, key, state, data: program.build(lane).step(key, state, data))(
        program.lane, key, state, data))  # fmt: skip
    if "random_bits" in text:
        raise ValueError(
            "verify(float64=True) compares runs whose steps draw nothing: in float64 a step draws other numbers, and another "
            "run comes of it. Full-batch descent draws nothing; for others compare averages over seeds with JAX_ENABLE_X64=1."
        )


def _raised(tree: Any) -> Any:
    """Return a tree whose float32 leaves are float64."""
    return jax.tree.map(lambda leaf: leaf.astype(jnp.float64) if jnp.asarray(leaf).dtype == jnp.float32 else leaf, tree)


@contextlib.contextmanager
def _precise() -> Iterator[None]:
    """Let JAX compute in float64 on the host."""
    name = "enable_x64"  # moved out of experimental after jax 0.7
    enable = getattr(jax if hasattr(jax, name) else jax.experimental, name)
    with enable(True), jax.default_device(jax.local_devices(backend="cpu")[0]), jax.numpy_dtype_promotion("standard"):
        yield


def _drift(pairs: np.ndarray) -> Drift:
    """Return the drift of (runs, 2) values in float32 and float64."""
    single, double = pairs.T
    both = np.isfinite(single) & np.isfinite(double)
    changed = np.isfinite(single) != np.isfinite(double)
    if np.all(np.isin(single[both], (0.0, 1.0))):
        changed = changed | (both & (single != double))
    gap = np.abs(single - double)[both] / np.maximum(np.abs(double[both]), SMALL)
    gap = np.where(single[both] == double[both], 0.0, gap)
    typical, worst = (float(np.median(gap)), float(np.max(gap))) if len(gap) else (float("nan"), float("nan"))
    return Drift(typical, worst, float(np.mean(changed)), len(pairs))
