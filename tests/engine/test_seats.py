"""Which lane sits where: nobody twice, nobody forgotten, strangers to a disorder never in one block."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscale as js
from jaxscale.engine.ask.request import Request
from jaxscale.engine.run.executable import Executable
from jaxscale.engine.run.executables import program_of
from jaxscale.engine.run.seats import Seats, room_needed, shared_groups


@js.record
class Point:
    """Nothing is ever compiled of it."""

    place: jax.Array

    def sample(self, key):
        return jnp.zeros(())

    def init(self, key, data):
        return {"x": jnp.zeros(3), "n": jnp.array(0, jnp.int32)}

    def step(self, key, state, data):
        return state

    def observe(self, state, data):
        return {"n": state["n"]}


def seated(devices, width, seeds, places=3):
    """Lanes, their seats, and an executable with exactly the room that they are said to need."""
    request = Request.make(lambda place: Point(place=place), grid={"place": np.arange(places)}, seeds=seeds, times=[1])
    lanes = request.grid.lanes({})
    program = program_of(request, {})
    blocks, groups = room_needed(lanes, len(devices), width, program.shared)
    executable = Executable(program, tuple(devices), width, blocks, groups)
    return lanes, Seats(executable, lanes), executable


def blocks_of(seats, executable, live):
    """[(device, its live lanes, the lanes in all of its slots, group)] of every block in use."""
    used, rows, alive, group = (np.asarray(x) for x in seats.blocks(live))
    lane = {(d, r): i for i, (d, r) in enumerate(zip(seats.device.tolist(), seats.row.tolist()))}
    for device in range(len(executable.devices)):
        for b in range(device * executable.blocks, device * executable.blocks + used[device]):
            slots = [lane[device, r] for r in rows[b].tolist()]
            yield device, [i for i, on in zip(slots, alive[b]) if on], slots, int(group[b])


CROSSED = {"data": 3, "init": 5}


@pytest.mark.parametrize("seeds", [7, CROSSED], ids=["plain", "crossed"])
@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("width", [2, 4])
def test_every_live_lane_is_in_one_block_and_no_other(devices, seeds, count, width):
    lanes, seats, executable = seated(devices[:count], width, seeds)
    rng, shared = np.random.default_rng(0), isinstance(seeds, dict)
    group = shared_groups(lanes) if shared else np.zeros(len(lanes), int)
    for share in (1.0, 0.5, 0.1, 0.0):
        live = rng.random(len(lanes)) < share
        blocks = list(blocks_of(seats, executable, live))
        assert sorted(i for _, own, *_ in blocks for i in own) == np.flatnonzero(live).tolist()
        for device, own, slots, at in blocks:
            assert own and set(slots) == set(own)  # an empty slot repeats a lane of its own block
            assert np.all(seats.device[slots] == device) and len(set(group[own])) == 1
            assert np.all(seats.group[own] == at) or not shared
        for device in range(count):
            mine = live & (seats.device == device)
            sizes = np.unique(group[mine], return_counts=True)[1]
            assert sum(block[0] == device for block in blocks) == np.sum(-(-sizes // width))  # as few as can be


@pytest.mark.parametrize("seeds", [7, CROSSED], ids=["plain", "crossed"])
@pytest.mark.parametrize("count", [1, 3])
def test_seats_hold_what_their_lanes_are(devices, seeds, count):
    lanes, seats, executable = seated(devices[:count], 4, seeds)
    assert len(set(seats.slot.tolist())) == len(lanes) and np.array_equal(seats.slot // executable.rows, seats.device)
    held = seats.lanes(lanes)
    assert np.array_equal(np.asarray(held.coords["place"])[seats.slot], lanes.coords["place"])
    assert np.array_equal(np.asarray(held.words)[seats.slot], lanes.words)
    assert np.array_equal(np.asarray(held.seeds)[seats.slot], lanes.seeds)
    if isinstance(seeds, dict):  # the disorder that a lane's group draws is that of its own coordinates and data seed
        drawn = seats.group_lanes(lanes)
        at = seats.device * executable.groups + seats.group
        assert np.array_equal(np.asarray(drawn.seeds)[at, 0], lanes.seeds[:, 0])
        assert np.array_equal(np.asarray(drawn.coords["place"])[at], lanes.coords["place"])


def test_saved_states_go_back_to_the_lanes_they_are_of(devices):
    lanes, seats, executable = seated(devices[:2], 4, 7)
    rows = executable.rows * 2
    like = {"x": jnp.zeros((rows, 3)), "n": jnp.zeros(rows, jnp.int32)}
    live = np.random.default_rng(1).random(len(lanes)) < 0.5
    ids = np.flatnonzero(live)
    state = {"n": ids.astype(np.int32), "x": (ids[:, None] + np.array([0.25, 0.5, 0.75])).astype(np.float32)}
    leaves = [np.frombuffer(leaf.tobytes(), np.uint8).reshape(len(ids), -1) for leaf in jax.tree.leaves(state)]
    placed = seats.place_state(like, leaves, live)
    for name, leaf in state.items():
        assert np.array_equal(np.asarray(placed[name])[seats.slot[live]], leaf)
        assert not np.asarray(placed[name])[seats.slot[~live]].any()


def test_lanes_that_do_not_fit_are_refused(devices):
    lanes, _, executable = seated(devices[:2], 4, 7)
    small = Executable(executable.program, executable.devices, 4, executable.blocks - 1, 1)
    with pytest.raises(ValueError, match=f"{len(lanes)} lanes do not fit 2 devices of {small.rows} rows"):
        Seats(small, lanes)


def test_lanes_share_their_disorder_if_place_and_data_seed_agree():
    request = Request.make(lambda place: Point(place=place), grid={"place": [1, 2]}, seeds=CROSSED, times=[1])
    lanes = request.grid.lanes({})
    group = shared_groups(lanes)
    own = list(zip(lanes.coords["place"].tolist(), lanes.seeds[:, 0].tolist()))
    for i, j in np.ndindex(len(lanes), len(lanes)):
        assert (group[i] == group[j]) == (own[i] == own[j])
