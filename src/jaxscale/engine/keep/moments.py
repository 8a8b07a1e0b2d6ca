"""Recorder of moments over seeds, taken on the devices as runs are recorded, so that a million seeds need the
storage of their cells.

Deviations from each cell's own mean, in units of the largest one, are summed in whole numbers on each device: adding 50,000
float32 one after the other lost a tenth of a heavy-tailed mean. The host puts devices and pieces together in float64
(`moments.py`). They agree with the moments of stored seeds to float32 rounding; bit for bit is promised of runs, not of sums.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from jaxscale.engine.ask.grid import Grid, Lanes
from jaxscale.engine.keep.pieces import CellsPiece
from jaxscale.engine.keep.rows import stored_type
from jaxscale.engine.keep.sums import BINS, FIRST_OCTAVE, PARTS, SUMS, merge, unscaled
from jaxscale.engine.run.executable import AXIS, Executable, Report
from jaxscale.engine.run.seats import Seats

STOPPED = " stopped"  # beside the observables, under a name that none has


class Moments:
    """Recorder: (entries, times) moments of every observable, an entry being consecutive seeds of one cell."""

    def __init__(
        self,
        executable: Executable,
        lanes: Lanes,
        times: np.ndarray,
        seats: Seats,
        *,
        grid: Grid,
        cell_ids: np.ndarray,
        sketch: bool,
    ):
        self.executable, self.seats, self.times, self.filled = executable, seats, times, 0
        cell, seed = np.divmod(lanes.index, grid.seeds_per_cell)
        begins = np.flatnonzero(np.diff(lanes.index, prepend=-2) != 1)
        begins = np.union1d(begins, np.flatnonzero(np.diff(cell, prepend=-1) != 0))
        ends = np.append(begins[1:], len(lanes)) - 1
        self.entries = {"cell": cell_ids[cell[begins]], "low": seed[begins], "high": seed[ends] + 1}
        entry = np.repeat(np.arange(len(begins)), np.diff(np.append(begins, len(lanes))))
        self.room = 1 << max(len(begins) - 1, 0).bit_length()
        self.entry = self._seated(entry.astype(np.int32), self.room)
        shapes = {**executable.program.shapes[2], STOPPED: jax.ShapeDtypeStruct((), bool)}
        rows = executable.rows * len(executable.devices)
        self.last = jax.device_put({n: np.zeros(rows, stored_type(s.dtype)) for n, s in shapes.items()}, executable.sharding)
        room = (len(begins), len(times))
        self.sums: dict[str, np.ndarray] = {n: np.zeros((*room, SUMS)) for n in shapes if n != STOPPED}
        self.bins: dict[str, np.ndarray] = {n: np.zeros((*room, BINS), np.uint32) for n in self.sums if sketch}
        self.counts = np.zeros((2, *room), np.int64)  # diverged, censored
        self.sketch = sketch

    def see(self, report: Report, live: np.ndarray, ended: np.ndarray, cut: int, diverged_at: np.ndarray) -> None:
        """Keep every lane's newest values on the device, and reduce them if `cut` is a recorded step."""
        del live
        recorded = self.times[self.filled] == cut if self.filled < len(self.times) else False
        if recorded or ended.any():
            self.last = _newest(self.last, report.observed | {STOPPED: report.stopped}, report.ran)
        if recorded:
            self._reduce(diverged_at, slice(self.filled, self.filled + 1))
            self.filled += 1

    def _reduce(self, diverged_at: np.ndarray, columns: slice) -> None:
        sound = self._seated(diverged_at < 0, False)
        program = _reduction(self.executable.sharding.mesh, self.room, self.sketch)
        entries = len(self.entries["cell"])

        def by_device(x: Any) -> np.ndarray:
            return np.asarray(x).reshape(len(self.executable.devices), self.room, *x.shape[1:])[:, :entries]

        sums, bins, (count, running) = jax.tree.map(by_device, jax.device_get(program(self.last, sound, self.entry)))
        for name, (facts, limbs) in sums.items():
            whole = functools.reduce(merge, unscaled(facts, limbs))
            self.sums[name][:, columns] = whole[:, None]
        for name, parts in bins.items():
            self.bins[name][:, columns] = parts.sum(0)[:, None]
        seeds = self.entries["high"] - self.entries["low"]
        self.counts[:, :, columns] = np.stack([seeds - count.sum(0), running.sum(0)])[:, :, None]

    def arrays(self) -> dict[str, np.ndarray]:
        """Return everything seen so far, for a checkpoint."""
        last = {f"last/{name}": values[self.seats.slot] for name, values in jax.device_get(self.last).items()}
        return last | self._piece().arrays() | {"filled": np.array(self.filled)}

    def restore(self, arrays: dict[str, np.ndarray]) -> None:
        """Go on from what `arrays` returned."""
        self.last = {name: self._seated(arrays[f"last/{name}"], 0) for name in self.last}
        saved = CellsPiece.of(arrays)
        self.sums, self.bins = saved.moments, saved.sketch
        self.counts = np.stack([saved.diverged, saved.censored])
        self.filled = int(arrays["filled"])

    def close(self, diverged_at: np.ndarray, ended: np.ndarray) -> CellsPiece | None:
        """Return the sums, unless some run has not ended: sums cannot be taken apart. What was seen last of a run that has
        ended
        stands for all later records.
        """
        if not ended.all():
            return None
        if self.filled < len(self.times):
            self._reduce(diverged_at, slice(self.filled, None))
        return self._piece()

    def _piece(self) -> CellsPiece:
        stretch = (self.entries["low"].astype(np.uint64) << np.uint64(32)) ^ self.entries["high"].astype(np.uint64)
        diverged, censored = self.counts
        return CellsPiece(
            self.entries["cell"] ^ stretch, **self.entries, diverged=diverged, censored=censored, moments=self.sums,
            sketch=self.bins,
        )  # fmt: skip

    def _seated(self, values: np.ndarray, empty: Any) -> jax.Array:
        out = np.full(self.executable.rows * len(self.executable.devices), empty, values.dtype)
        out[self.seats.slot] = values
        return jax.device_put(out, self.executable.sharding)


@functools.partial(jax.jit, donate_argnums=0)
def _newest(last: dict[str, jax.Array], seen: dict[str, jax.Array], ran: jax.Array) -> dict[str, jax.Array]:
    return {name: jnp.where(ran, seen[name].astype(last[name].dtype), last[name]) for name in last}


@functools.lru_cache(maxsize=16)
def _reduction(mesh: Any, entries: int, sketch: bool) -> Any:
    """Return the program (last, sound, entry) -> scaled sums, bins, (sound, running) counts, per device and entry."""

    def reduce(last: dict[str, jax.Array], sound: jax.Array, entry: jax.Array) -> tuple[Any, Any, Any]:
        def add(x: jax.Array) -> jax.Array:
            return jnp.zeros((entries, *x.shape[1:]), x.dtype).at[entry].add(x, mode="drop")

        last = dict(last)
        running = add((sound & ~last.pop(STOPPED)).astype(jnp.int32))
        count = add(sound.astype(jnp.int32))
        values = {name: x.astype(jnp.float32) for name, x in last.items()}
        sums = {name: _sums(x, sound, entry, count, add) for name, x in values.items()}
        bins = {name: _bins(x, sound, entry, entries) for name, x in values.items()} if sketch else {}
        return sums, bins, (count, running)

    spec = PartitionSpec(AXIS)
    return jax.jit(jax.shard_map(reduce, mesh=mesh, in_specs=spec, out_specs=spec, check_vma=False))


def _sums(x: jax.Array, sound: jax.Array, entry: jax.Array, count: jax.Array, add: Any) -> tuple[jax.Array, jax.Array]:
    """Return per entry (count, centre, unit, smallest, largest, how many not finite), and four sums of powers in limbs."""
    here = jnp.minimum(entry, count.size - 1)  # empty seats point past the end
    wild = add((sound & ~jnp.isfinite(x)).astype(jnp.int32))
    seen, sound = sound & ~jnp.isnan(x), sound & jnp.isfinite(x)
    low = jnp.full(count.size, jnp.inf).at[entry].min(jnp.where(seen, x, jnp.inf), mode="drop")
    high = jnp.full(count.size, -jnp.inf).at[entry].max(jnp.where(seen, x, -jnp.inf), mode="drop")
    least = jnp.full(count.size, jnp.inf).at[entry].min(jnp.where(sound, x, jnp.inf), mode="drop")
    most = jnp.full(count.size, -jnp.inf).at[entry].max(jnp.where(sound, x, -jnp.inf), mode="drop")
    some = most >= least
    middle = jnp.where(some, least / 2 + most / 2, 0)  # halved first: the sum of two large numbers overflows
    half = jnp.where(most > least, most / 2 - least / 2, 1)
    rough = _limbs(jnp.where(sound, (x - middle[here]) / half[here], 0), add).astype(jnp.float32)
    mean = rough @ 2.0 ** -jnp.array([10.0, 20.0, 30.0]) / jnp.maximum(count - wild, 1)
    centre = jnp.clip(middle + half * mean, least, most)
    centre = jnp.where(some, centre, 0)
    unit = jnp.where(most > least, jnp.maximum(most - centre, centre - least), 1)
    u = jnp.where(sound, (x - centre[here]) / unit[here], 0)
    facts = [count.astype(jnp.float32), centre, unit, low, high, wild.astype(jnp.float32)]
    return jnp.stack(facts, axis=1), jnp.stack([_limbs(u**k, add) for k in (1, 2, 3, 4)], axis=1)


def _limbs(u: jax.Array, add: Any) -> jax.Array:
    """Return (entries, 3), sums of numbers in [-1, 1] as digits of 10 bits: exact for two million of them, in any order."""
    whole = jnp.round(jnp.clip(u, -1, 1) * 2.0**30).astype(jnp.int32)
    return add(jnp.stack([whole >> 20, (whole >> 10) & 1023, whole & 1023], axis=1))


def _bins(x: jax.Array, sound: jax.Array, entry: jax.Array, entries: int) -> jax.Array:
    """Return counts in bins that are even in the leading bits of a float: `PARTS` to the octave, either sign."""
    bits = jax.lax.bitcast_convert_type(x, jnp.uint32)
    magnitude = ((bits & 0x7FFFFFFF) >> (23 - (PARTS.bit_length() - 1))).astype(jnp.int32)
    side = BINS // 2
    level = jnp.clip(magnitude - (127 + FIRST_OCTAVE) * PARTS + 1, 0, side)
    place = side + jnp.where(bits >> 31, -level, level)
    return jnp.zeros((entries, BINS), jnp.uint32).at[entry, place].add(sound.astype(jnp.uint32), mode="drop")
