"""Which lane sits where: rows of devices, full blocks of live lanes, lanes that share their disorder side by side."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from jaxscale.engine.ask.grid import Lanes
from jaxscale.engine.run.executable import Blocks, Executable
from jaxscale.engine.run.program import Lane


class Seats:
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
        """Return the lanes' coordinates in their seats, on the devices."""
        return self._seated(lanes, np.arange(len(lanes)), self.slot, self.executable.rows)

    def group_lanes(self, lanes: Lanes) -> Lane:
        """Return one lane of each group, whose data seed draws the shared disorder."""
        slot = self.device[self.first] * self.executable.groups + self.group[self.first]
        return self._seated(lanes, self.first, slot, self.executable.groups)

    def _seated(self, lanes: Lanes, which: np.ndarray, slot: np.ndarray, rows: int) -> Lane:
        def place(values: np.ndarray) -> jax.Array:
            out = np.zeros((rows * len(self.executable.devices), *values.shape[1:]), values.dtype)
            out[:] = values[0]  # empty seats hold a valid lane
            out[slot] = values[which]
            return jax.device_put(out, self.executable.sharding)

        return Lane({k: place(v) for k, v in lanes.coords.items()}, place(lanes.words), place(lanes.seeds))

    def place_state(self, like: Any, leaves: Sequence[np.ndarray], live: np.ndarray) -> Any:
        """Return the saved states of the live lanes in their seats; `leaves` hold them as bytes, (live, bytes of one)."""

        def place(old: jax.Array, saved: np.ndarray) -> jax.Array:
            out = np.zeros(old.shape, old.dtype)
            out[self.slot[live]] = np.frombuffer(saved.tobytes(), old.dtype).reshape(len(saved), *old.shape[1:])
            return jax.device_put(out, self.executable.sharding)

        flat, structure = jax.tree.flatten(like)
        return jax.tree.unflatten(structure, [place(old, saved) for old, saved in zip(flat, leaves, strict=True)])

    def blocks(self, live: np.ndarray) -> Blocks:
        """Return live lanes packed into full blocks, device by device; lanes that share disorder only with each other."""
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
    """Return the blocks and groups per device that hold `lanes`, as `Seats` deals them."""
    if not shared:
        return max(1, -(-len(lanes) // (devices * width))), 1
    device, group = np.arange(len(lanes)) % devices, shared_groups(lanes)
    blocks = groups = 1
    for d in range(devices):
        sizes = np.unique(group[device == d], return_counts=True)[1]
        blocks, groups = max(blocks, int((-(-sizes // width)).sum())), max(groups, len(sizes))
    return blocks, groups


def shared_groups(lanes: Lanes) -> np.ndarray:
    """Return (n,) int, equal for lanes that share their disorder: same coordinates and data seed."""
    columns = [*lanes.coords.values(), lanes.words[:, 0], lanes.words[:, 1], lanes.seeds[:, 0]]
    codes = np.stack([np.unique(c, return_inverse=True)[1] for c in columns], axis=1)
    return np.unique(codes, axis=0, return_inverse=True)[1].reshape(-1)
