"""The memory plan in numbers: what a block takes, how many fit, when the disorder is not worth keeping."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscale as js
from jaxscale.engine.ask.request import Request
from jaxscale.engine.place.room import MAX_BLOCKS, blocks_that_fit, fitted, redraws
from jaxscale.engine.run.executables import program_of

DATA, STATE, WIDTH, TIMES = 4 * 100, 4 * 8, 4, [0, 5, 5000]


@js.record
class Sized:
    """Of known sizes: 400 bytes of disorder, 32 of state, two observables of 4 each."""

    rate: jax.Array

    def sample(self, key):
        return jnp.arange(100.0)

    def init(self, key, data):
        return jnp.zeros(8)

    def step(self, key, state, data):
        return state + self.rate * jnp.sum(data)

    def observe(self, state, data):
        return {"first": state[0], "last": state[-1]}


@js.record
class Stopping(Sized):
    def stopped(self, state, data):
        return state[0] > 10


def asked(kind=Sized, **changes):
    options = dict(grid={"rate": [0.1]}, seeds=4096, times=TIMES, width=WIDTH, devices=jax.devices()[:1]) | changes
    request = Request.make(lambda rate: kind(rate=rate), **options)
    return request, program_of(request, {})


RESERVE = 4 * WIDTH * (DATA + STATE)  # a block in work: old, new and temporaries
LANE = STATE + 2 * 2 * 4 + 64 + 4 * 2 * len(TIMES)  # state, observables twice, bookkeeping, records on the host


@pytest.mark.parametrize("blocks", [1, 2, 7, 100])
@pytest.mark.parametrize("kept", [True, False])
def test_as_many_blocks_fit_as_their_bytes_say(blocks, kept):
    block = WIDTH * (LANE + kept * DATA)
    for memory, fit in ((RESERVE + blocks * block, blocks), (RESERVE + (blocks + 1) * block - 1, blocks)):
        request, program = asked(memory=memory)
        assert blocks_that_fit(request, program, WIDTH, 1.0 if kept else 0.0) == fit
    assert blocks_that_fit(*asked(memory=1), WIDTH, 1.0) == 1  # one is always tried


def test_draws_that_lanes_share_are_held_once():
    request, program = asked(seeds={"data": 8, "init": 512}, memory=RESERVE + 100 * WIDTH * LANE)
    alone = blocks_that_fit(request, program, WIDTH, 1.0)
    assert alone == 100 * WIDTH * LANE // (WIDTH * LANE + DATA)
    assert blocks_that_fit(request, program, WIDTH, 8 / 1024) == 100 * WIDTH * LANE // (WIDTH * LANE + int(DATA * 8 / 1024))


def test_moments_wait_for_nothing_on_the_host():
    request, program = asked(memory=RESERVE + 100 * WIDTH * (LANE + DATA), reduce=True)
    assert blocks_that_fit(request, program, WIDTH, 1.0) == 100 * (LANE + DATA) // (LANE + DATA - 4 * 2 * len(TIMES))


@pytest.mark.parametrize("seeds, blocks", [(1, 1), (4, 1), (5, 2), (12, 4), (17, 8), (4 * 1024, 1024), (10**5, MAX_BLOCKS)])
def test_room_is_for_the_lanes_asked_for_rounded_up(seeds, blocks):
    request, program = asked(seeds=seeds, memory=10**9)
    assert fitted(request, program, WIDTH, request.grid.lanes({})).blocks == blocks


def test_room_ends_at_the_memory_at_what_is_allowed_and_at_the_largest_reduction():
    request, program = asked(memory=RESERVE + 5 * WIDTH * (LANE + DATA))
    lanes = request.grid.lanes({})
    assert fitted(request, program, WIDTH, lanes).blocks == 5 and fitted(request, program, WIDTH, lanes, 2).blocks == 2
    request, program = asked(memory=10**12, reduce=True, seeds=2**12, width=2**12)
    assert fitted(request, program, 2**12, lanes).blocks * 2**12 <= request.reduction.max_runs
    many = request.grid.lanes({}).take(np.zeros(2**20, int))
    assert fitted(request, program, 2**12, many).blocks * 2**12 == 2**20 < request.reduction.max_runs


@pytest.mark.parametrize("kind, disorder, fitting, redrawn", [
    (Sized, None, 1, False),  # never stops: nothing to reclaim
    (Stopping, None, 1, True),
    (Stopping, None, 16, False),  # blocks enough to work with
    (Stopping, "kept", 1, False),
    (Sized, "redrawn", 1000, True),
])  # fmt: skip
def test_disorder_is_drawn_again_where_that_leaves_more_room(kind, disorder, fitting, redrawn):
    request, program = asked(kind, disorder=disorder, memory=RESERVE + fitting * WIDTH * (LANE + DATA))
    assert blocks_that_fit(request, program, WIDTH, 1.0) == fitting
    assert redraws(request, program, WIDTH, 1024, fitting) == redrawn
    assert fitted(request, program, WIDTH, request.grid.lanes({})).redraw == redrawn


@pytest.mark.parametrize("last, redrawn", [(3, False), (10**7, True)])
def test_it_is_not_drawn_again_where_runs_are_too_short_to_pay_for_it(last, redrawn):
    class Drawn(Stopping):
        def sample(self, key):
            return jax.random.normal(key, (100,))

    jax.tree_util.register_pytree_node(Drawn, lambda s: ((s.rate,), None), lambda _, c: Drawn(rate=c[0]))
    request, program = asked(Drawn, memory=RESERVE + WIDTH * (LANE + DATA), times=[0, 1, last])
    assert redraws(request, program, WIDTH, 1024, 1) == redrawn
