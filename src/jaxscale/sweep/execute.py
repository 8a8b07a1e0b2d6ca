"""The host loop of one cohort: step it from one cut to the next, let finished and diverged lanes go, pack the rest."""

import dataclasses
import math
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.sweep.executable import Blocks, Executable
from jaxscale.sweep.grid import Lanes
from jaxscale.sweep.program import Lane

REGROUP_SHARE = 1 / 8  # between records, a segment grows the time by at most this share, so few steps are wasted
SEGMENT_SECONDS = 5e-3  # and is not shorter than this, so that regrouping stays cheap


@dataclasses.dataclass
class Records:
    """What a cohort produced. Rows are lanes in the order given."""

    observed: dict[str, np.ndarray]  # {name: (n, times)}
    diverged_at: np.ndarray  # (n,) int32, steps taken when the state first was not finite; -1 if it never was
    lane_steps: int = 0  # steps taken by live lanes
    slot_steps: int = 0  # steps paid for, padding and already stopped lanes included
    seconds: float = 0.0

    @property
    def useful_share(self) -> float:
        """Live lane-steps over lane-steps paid for."""
        return self.lane_steps / max(self.slot_steps, 1)


@dataclasses.dataclass(frozen=True)
class Progress:
    """The state of a cohort between two segments."""

    step: int
    live: int
    finished: int
    diverged: int
    lane_steps: int


def run_cohort(
    executable: Executable,
    lanes: Lanes,
    times: np.ndarray,
    *,
    tell: Callable[[Progress], None] = lambda progress: None,
    reclaim: bool = True,
) -> Records:
    """Run `lanes` from step 0 to the last of `times` and record them.

    Results depend on nothing but each lane's coordinates and the block width: not on the cuts made here, nor on which
    lanes share a block.

    Args:
      executable: compiled for at least as many rows (and groups) as needed.
      lanes: at most `rows * devices` of them, in whole groups when disorder is shared.
      times: recorded steps, increasing.
      tell: called between segments.
      reclaim: let stopped lanes go. Off, they idle to the end; the results are the same.
    """
    began = time.perf_counter()
    seats = _Seats(executable, lanes)
    cohort = executable.start(seats.lanes(lanes), seats.group_lanes(lanes), seats.blocks(np.ones(len(lanes), bool)))
    observed = {name: np.zeros((len(lanes), len(times)), shape.dtype) for name, shape in executable.program.shapes[2].items()}
    records = Records(observed, np.full(len(lanes), -1, np.int32))
    live = np.ones(len(lanes), bool)
    finished = 0
    now, seconds_per_step = 0, 0.0
    may_stop = executable.program.can_stop and reclaim
    cut = 0 if may_stop else int(times[0])  # a first record far away is no reason to keep stopped lanes until then
    while True:
        blocks = seats.blocks(live)
        clock = time.perf_counter()
        cohort, report = executable.advance(cohort, blocks, jnp.int32(now), jnp.int32(cut))
        seen, stopped, bad = _to_host(report, seats)
        if cut > now:
            seconds_per_step = (time.perf_counter() - clock) / (cut - now)
        records.lane_steps += int(live.sum()) * (cut - now)
        records.slot_steps += int(np.asarray(blocks.used).sum()) * executable.width * (cut - now)

        diverged = live & (bad >= 0)
        records.diverged_at[diverged] = bad[diverged]
        ended = live & (stopped | diverged) if reclaim else diverged
        column = int(np.searchsorted(times, cut))
        for name, values in seen.items():
            if times[column] == cut:
                observed[name][live, column] = values[live]
            if ended.any():  # a lane that ends keeps its last values for all later records
                observed[name][ended, column:] = values[ended][:, None]
        finished += int((ended & ~diverged).sum())
        live &= ~ended
        now = cut
        tell(Progress(now, int(live.sum()), finished, int((records.diverged_at >= 0).sum()), records.lane_steps))
        if now == times[-1] or not live.any():
            break
        cut = _next_cut(now, times, may_stop, seconds_per_step)
    _blank_diverged(records, times)
    records.seconds = time.perf_counter() - began
    return records


def _next_cut(now: int, times: np.ndarray, may_stop: bool, seconds_per_step: float) -> int:
    """The next record, or a point before it where regrouping pays."""
    record = int(times[np.searchsorted(times, now, side="right")])
    if not may_stop:
        return record
    cheap = math.ceil(SEGMENT_SECONDS / seconds_per_step) if seconds_per_step else 1
    return min(record, now + max(int(now * REGROUP_SHARE), cheap, 1))


def _blank_diverged(records: Records, times: np.ndarray) -> None:
    """From the first bad step on, observables are NaN; whole numbers, which have none, are -1 and flags are False."""
    bad = records.diverged_at[:, None]
    gone = (bad >= 0) & (times[None, :] >= bad)
    for name, values in records.observed.items():
        floats, flags = np.issubdtype(values.dtype, np.floating), values.dtype == bool
        records.observed[name] = np.where(gone, np.nan if floats else not flags and -1, values).astype(values.dtype)


class _Seats:
    """Which lane sits in which row of which device. Lanes are dealt round-robin, so that slow cells spread over the
    devices; a device regroups its own lanes, and holds its own copy of the disorder they share.
    """

    def __init__(self, executable: Executable, lanes: Lanes):
        self.executable = executable
        devices, n = len(executable.devices), len(lanes)
        self.device = np.arange(n) % devices
        self.row = np.arange(n) // devices
        self.slot = self.device * executable.rows + self.row  # place in the sharded arrays
        self.group = np.zeros(n, np.int64)
        self.first = np.arange(0)
        if executable.program.shared:
            whole = shared_groups(lanes)
            for d in range(devices):
                mine = np.flatnonzero(self.device == d)
                _, first, self.group[mine] = np.unique(whole[mine], return_index=True, return_inverse=True)
                self.first = np.concatenate([self.first, mine[first]])
        if n and (self.row.max() >= executable.rows or (self.group.max() >= executable.groups and executable.program.shared)):
            raise ValueError(f"{n} lanes do not fit {devices} devices of {executable.rows} rows.")

    def lanes(self, lanes: Lanes) -> Lane:
        """The lanes' coordinates in their seats, on the devices."""
        return self._seated(lanes, np.arange(len(lanes)), self.slot, self.executable.rows)

    def group_lanes(self, lanes: Lanes) -> Lane:
        """One lane of each group, whose data seed draws the shared disorder."""
        slot = self.device[self.first] * self.executable.groups + self.group[self.first]
        return self._seated(lanes, self.first, slot, self.executable.groups)

    def _seated(self, lanes, which, slot, rows):
        def place(values):
            out = np.zeros((rows * len(self.executable.devices), *values.shape[1:]), values.dtype)
            out[:] = values[0]  # empty seats hold a valid lane
            out[slot] = values[which]
            return jax.device_put(out, self.executable.sharding)

        return Lane({k: place(v) for k, v in lanes.coords.items()}, place(lanes.words), place(lanes.seeds))

    def blocks(self, live: np.ndarray) -> Blocks:
        """Live lanes packed into full blocks, device by device; lanes that share disorder only with each other."""
        width, capacity = self.executable.width, self.executable.blocks
        devices = len(self.executable.devices)
        rows = np.zeros((devices, capacity * width), np.int32)
        used = np.zeros((devices, capacity * width), bool)
        group = np.zeros((devices, capacity), np.int32)
        count = np.zeros(devices, np.int32)
        for d in range(devices):
            mine = np.flatnonzero(live & (self.device == d))
            mine = mine[np.argsort(self.group[mine], kind="stable")]
            label, size = np.unique(self.group[mine], return_counts=True)
            need = -(-size // width)  # blocks of each group
            count[d] = need.sum()
            begin = np.repeat(width * (np.cumsum(need) - need), size)  # first slot of each lane's group
            place = begin + np.arange(len(mine)) - np.repeat(np.cumsum(size) - size, size)
            fill = np.zeros(capacity * width, np.int64)
            fill[place] = np.arange(len(mine)) + 1
            fill = np.maximum.accumulate(fill)[: count[d] * width]  # an empty slot repeats the lane before it
            rows[d, : len(fill)] = self.row[mine][fill - 1]
            used[d, place] = True
            group[d, : count[d]] = np.repeat(label, need)
        shape = (devices * capacity, width)
        put = [count, rows.reshape(shape), used.reshape(shape), group.reshape(-1)]
        return Blocks(*(jax.device_put(x, self.executable.sharding) for x in put))


def room_needed(lanes: Lanes, devices: int, width: int, shared: bool) -> tuple[int, int]:
    """Blocks and groups per device that hold `lanes`, as `_Seats` deals them."""
    device = np.arange(len(lanes)) % devices
    group = shared_groups(lanes) if shared else np.zeros(len(lanes), np.int64)
    blocks = groups = 1
    for d in range(devices):
        sizes = np.unique(group[device == d], return_counts=True)[1]
        blocks, groups = max(blocks, int((-(-sizes // width)).sum())), max(groups, len(sizes))
    return blocks, groups


def shared_groups(lanes: Lanes) -> np.ndarray:
    """(n,) int, equal for lanes that share their disorder: same coordinates and data seed."""
    columns = [*lanes.coords.values(), lanes.words[:, 0], lanes.words[:, 1], lanes.seeds[:, 0]]
    codes = np.stack([np.unique(c, return_inverse=True)[1] for c in columns], axis=1)
    return np.unique(codes, axis=0, return_inverse=True)[1].reshape(-1)


def _to_host(report, seats):
    """Observables, stop flags and first bad steps by lane."""
    report = jax.device_get(report)
    seen = {name: np.asarray(values)[seats.slot] for name, values in report.observed.items()}
    ran = report.ran[seats.slot]
    bad = np.where(ran, report.bad[seats.slot], -1)
    return seen, report.stopped[seats.slot] & ran, bad
