"""The compiled part: one pair of programs per bucket, for any number of lanes, blocks and grid points.

Lanes live in a *cohort*: arrays with one row per lane, sharded over the devices. The programs walk over blocks of a fixed
width; which rows form a block is data, so dropping stopped lanes and packing live ones costs no compile and no copy, and
the number of blocks is data too. All lanes of a block are at the same step: loop bounds are scalars and stay loops.
"""

import dataclasses
import time
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from jaxscale.engine.machine.cache import program_cache
from jaxscale.engine.machine.devices import cpu_level
from jaxscale.engine.run.program import Lane, Program

AXIS = "lanes"


class Cohort(NamedTuple):
    """Rows of every lane in flight. `data` has a row per lane, or per group of lanes that share their disorder, or is ()."""

    lanes: Lane
    keys: jax.Array  # (n, 2) uint32, raw threefry key of the steps
    state: Any
    data: Any


class Blocks(NamedTuple):
    """Which rows to run, per device."""

    used: jax.Array  # (devices,) int32, blocks in use
    rows: jax.Array  # (devices * blocks, width) int32, local row of each slot; the tail repeats a live row
    live: jax.Array  # (devices * blocks, width) bool, False on the tail
    group: jax.Array  # (devices * blocks,) int32, local data row of a block when disorder is shared


class Report(NamedTuple):
    """What a segment tells the host."""

    observed: dict[str, jax.Array]  # {name: (n,)}
    stopped: jax.Array  # (n,) bool
    bad: jax.Array  # (n,) int32, steps taken when the state first was not finite, -1 if it is
    ran: jax.Array  # (n,) bool, the row was in a block


@dataclasses.dataclass(frozen=True)
class Executable:
    """A bucket's two compiled programs at one width and capacity."""

    program: Program
    devices: tuple[Any, ...]
    width: int
    blocks: int  # capacity per device
    groups: int  # groups of shared disorder per device; unused when every lane has its own
    redraw: bool = False  # disorder is not kept: every segment draws it again from its key
    seconds: dict[str, float] = dataclasses.field(default_factory=lambda: {"trace": 0.0, "compile": 0.0}, compare=False)

    @property
    def rows(self) -> int:
        """How many lanes a device can hold."""
        return self.blocks * self.width

    @property
    def data_rows(self) -> int:
        """Draws of the disorder a device can hold."""
        return self.groups if self.program.shared else self.rows

    @cached_property
    def sharding(self) -> NamedSharding:
        """Rows are split over the devices; nothing is exchanged between them."""
        return NamedSharding(Mesh(np.array(self.devices), (AXIS,)), PartitionSpec(AXIS))

    @cached_property
    def start(self) -> Any:
        """(lanes, groups, blocks) -> Cohort at step 0."""
        return self.compile_program(self._start, (self._lanes, self._groups, self._blocks))

    @cached_property
    def advance(self) -> Any:
        """(cohort, blocks, t0, t1) -> (cohort, Report). The old cohort is given up."""
        step = jax.ShapeDtypeStruct((), jnp.int32)
        return self.compile_program(self._advance, (self._cohort, self._blocks, step, step), donate=(0,))

    @property
    def temporary_bytes(self) -> int:
        """Scratch memory of the stepping program on one device."""
        return int(self.advance.memory_analysis().temp_size_in_bytes)

    def _start(self, lanes: Lane, groups: Lane, blocks: Blocks) -> Cohort:
        data_shape, state_shape, _ = self.program.shapes
        keys = jnp.zeros((self.rows, 2), jnp.uint32)
        state, data = _empty(state_shape, self.rows), () if self.redraw else _empty(data_shape, self.data_rows)
        if self.program.shared and not self.redraw:
            data = jax.lax.map(lambda lane: self._draw(lane, blocks), groups)

        def block(b: jax.Array, buffers: Any) -> Any:
            keys, state, data = buffers
            rows, target = self._slots(blocks, b)
            lane = _take(lanes, rows)
            if self.redraw or not self.program.shared:
                new = self._draw(self._own(lane), blocks)
                data = data if self.redraw else _put(data, target, new)
            else:
                new = _take(data, blocks.group[b])
            key, new_state = jax.vmap(self.program.begin, in_axes=(0, self._data_axis))(lane, new)
            return _put(keys, target, key), _put(state, target, new_state), data

        keys, state, data = jax.lax.fori_loop(0, blocks.used[0], block, (keys, state, data))
        return Cohort(lanes, keys, state, data)

    def _advance(self, cohort: Cohort, blocks: Blocks, t0: jax.Array, t1: jax.Array) -> tuple[Cohort, Report]:
        run = jax.vmap(self.program.run, in_axes=(0, 0, 0, self._data_axis, None))
        look = jax.vmap(self.program.look, in_axes=(0, 0, self._data_axis))

        def block(b: jax.Array, carry: Any) -> Any:
            state, report = carry
            rows, target = self._slots(blocks, b)
            lane = _take(cohort.lanes, rows)
            if self.redraw:
                data = self._draw(self._own(lane), blocks)
            else:
                data = _take(cohort.data, blocks.group[b] if self.program.shared else rows)
            new, bad = run(lane, cohort.keys[rows], _take(state, rows), data, (t0, t1))
            observed, stopped = look(lane, new, data)
            ran = jnp.ones(self.width, bool)
            return _put(state, target, new), _put(report, target, Report(observed, stopped, bad, ran))

        observed = _empty(self.program.shapes[2], self.rows)
        off = jnp.zeros(self.rows, bool)
        report = Report(observed, off, jnp.full(self.rows, -1, jnp.int32), off)
        state, report = jax.lax.fori_loop(0, blocks.used[0], block, (cohort.state, report))
        return cohort._replace(state=state), report

    def _own(self, lane: Lane) -> Lane:
        """Of a block's lanes, those that the disorder is drawn for: one stands for all that share it."""
        return _take(lane, 0) if self.program.shared else lane

    def _draw(self, lane: Lane, blocks: Blocks) -> Any:
        """Draw the disorder of one lane or of a block of them, with the same bits wherever it is drawn.

        A loop of length one that the compiler does not know to be one keeps the draw from being rounded together with what
        uses it; the shift, which is always zero, keeps the draw inside of the loop.
        """
        draw = self.program.begin_data if lane.words.ndim == 1 else jax.vmap(self.program.begin_data)

        def once(i: jax.Array, carry: Any) -> Any:
            lane, _ = carry
            return lane, draw(lane._replace(words=lane.words ^ (i >> 31).astype(jnp.uint32)))

        empty = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), jax.eval_shape(draw, lane))
        return jax.lax.fori_loop(0, jnp.minimum(blocks.used[0], 1), once, (lane, empty))[1]

    def _slots(self, blocks: Blocks, b: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Rows to read, and rows to write: the tail writes nowhere."""
        rows = blocks.rows[b]
        return rows, jnp.where(blocks.live[b], rows, self.rows)

    @property
    def _data_axis(self) -> int | None:
        return None if self.program.shared else 0

    def compile_program(self, function: Any, shapes: Any, donate: tuple[int, ...] = ()) -> Any:
        """Return `function` compiled for arguments of these shapes, sharded over the devices; count its seconds."""
        specs = jax.tree.map(lambda s: PartitionSpec(AXIS) if s.ndim else PartitionSpec(), shapes)
        local = jax.shard_map(function, mesh=self.sharding.mesh, in_specs=specs, out_specs=PartitionSpec(AXIS), check_vma=False)
        shardings = jax.tree.map(lambda s: NamedSharding(self.sharding.mesh, s), specs)
        began = time.perf_counter()
        with jax.default_matmul_precision(self.program.precision), program_cache():
            lowered = jax.jit(local, in_shardings=shardings, donate_argnums=donate).lower(*shapes)
            traced = time.perf_counter()
            compiled = lowered.compile(compiler_options(self.devices))
        self.seconds["trace"] += traced - began
        self.seconds["compile"] += time.perf_counter() - traced
        return compiled

    def _many(self, tree: Any, rows: int) -> Any:
        return jax.tree.map(lambda s: jax.ShapeDtypeStruct((rows * len(self.devices), *s.shape), s.dtype), tree)

    @property
    def _lanes(self) -> Lane:
        return self._many(self.program.lane, self.rows)

    @property
    def _groups(self) -> Lane:
        return self._many(self.program.lane, self.groups)

    @property
    def _cohort(self) -> Cohort:
        data, state, _ = self.program.shapes
        keys = self._many(jax.ShapeDtypeStruct((2,), jnp.uint32), self.rows)
        return Cohort(self._lanes, keys, self._many(state, self.rows), () if self.redraw else self._many(data, self.data_rows))

    @property
    def _blocks(self) -> Blocks:
        slot = jax.ShapeDtypeStruct((self.width,), jnp.int32)
        live = jax.ShapeDtypeStruct((self.width,), bool)
        one = jax.ShapeDtypeStruct((), jnp.int32)
        return Blocks(self._many(one, 1), *(self._many(s, self.blocks) for s in (slot, live, one)))


def compiler_options(devices: tuple[Any, ...]) -> Any:
    """Return XLA's options: one thread per device on a CPU, since the lanes are what is parallel."""
    if devices[0].platform != "cpu":
        return None
    return {"xla_cpu_multi_thread_eigen": False, "xla_backend_optimization_level": cpu_level()}


def _take(tree: Any, rows: Any) -> Any:
    return jax.tree.map(lambda x: x[rows], tree)


def _put(tree: Any, rows: jax.Array, new: Any) -> Any:
    return jax.tree.map(lambda x, y: x.at[rows].set(y, mode="drop"), tree, new)


def _empty(shapes: Any, rows: int) -> Any:
    return jax.tree.map(lambda s: jnp.zeros((rows, *s.shape), s.dtype), shapes)
