"""Out of memory: fewer blocks in flight, then narrower blocks, never other bits; and never behind the user's back."""

import contextlib
import json
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import jaxscale as js
from jaxscale.engine.ask.options import DEFAULTS
from jaxscale.engine.ask.request import Request
from jaxscale.engine.errors import StoreError
from jaxscale.engine.place.room import fitted
from jaxscale.engine.run import executables
from jaxscale.engine.run.executable import Executable
from jaxscale.engine.run.executables import executable_of, program_of

WORK = sys.modules["jaxscale.engine.place.local"]
EXHAUSTED = jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123456789 bytes.")


def uniform(key):
    """One number in [0, 1] of a key: its own bits, which compile in no time."""
    return jax.random.key_data(key)[0].astype(jnp.float32) / 2.0**32


@jax.custom_batching.custom_vmap
def lanes_beside(x):
    """How many lanes are computed together: what no result may mix."""
    return jnp.float32(1)


@lanes_beside.def_vmap
def _(axis_size, in_batched, x):
    return jnp.full(axis_size, float(axis_size)), True


@js.record
class Map:
    """A chaotic map; a third of the runs stops early."""

    rate: jax.Array
    kind: int = js.static(default=0)

    def sample(self, key):
        return uniform(key)

    def init(self, key, data):
        return uniform(key), jnp.array(0, jnp.int32)

    def step(self, key, state, data):
        x, t = state
        over = self.stopped(state, data)
        return jnp.where(over, x, self.rate * x * (1.0 - x)), jnp.where(over, t, t + 1)

    def stopped(self, state, data):
        return (data < 0.3) & (state[1] >= (100 * data).astype(jnp.int32))

    def observe(self, state, data):
        return {"x": state[0], "width": lanes_beside(state[0])}


def maps(rate, kind=0):
    return Map(rate=rate, kind=kind)


ONE = jax.devices()[:1]
COMMON = dict(grid={"rate": [3.7, 3.8, 3.9]}, seeds=20, times=[0, 1, 10, 60], devices=ONE, progress=False)
USUAL = 16  # the rule of thumb's width for a program as small as this


def run(**changes):
    return js.sweep(maps, **(COMMON | changes))


class Scarce:
    """Memory that holds only some executables: what is larger fails where it is told to, at once or after some segments."""

    def __init__(self, patch):
        self.fits, self.where, self.error, self.patience = lambda executable: True, "advance", EXHAUSTED, 0
        self.start, self.advance = (vars(Executable)[name] for name in ("start", "advance"))
        patch.setattr(Executable, "start", property(lambda executable: self._program(executable, "start")))
        patch.setattr(Executable, "advance", property(lambda executable: self._program(executable, "advance")))

    def enough(self):
        """Memory is there again, and so is what was compiled before: compiling it anew would be most of a test's time."""
        self.fits = lambda executable: True

    def _program(self, executable, name):
        if self.where == f"compile {name}" and not self.fits(executable):
            self._fail()

        def call(*arguments):
            if not self.fits(executable):
                if name == self.where and not self.patience:
                    self._fail()
                self.patience -= name == self.where
                if name == "start" and not self.patience:
                    return None  # nobody will look at it
            return getattr(self, name).__get__(executable, Executable)(*arguments)

        return call

    def _fail(self):
        raise type(self.error)(*self.error.args)  # anew each time: its traceback holds on to whatever failed


@pytest.fixture
def scarce(monkeypatch):
    scarcity = Scarce(monkeypatch)
    with executables.remembered():
        yield scarcity
        scarcity.enough()


class Heard(list):
    """A listener."""

    def __call__(self, event):
        self.append(event)

    def of(self, name):
        return [event.facts for event in self if event.name == name]

    def halvings(self, what):
        return [(facts[what], facts["now"]) for facts in self.of("out of memory") if what in facts]


def manifest(store):
    return json.loads((store / "manifest.json").read_text())["buckets"]


def pieces(store):
    return sorted((store / "pieces").glob("*.done"))


@pytest.fixture(scope="module")
def pairs():
    """Blocks of two: thirty of them, in flight together."""
    return run(width=2)


@pytest.fixture(scope="module")
def usual():
    return run()


@pytest.fixture(scope="module")
def fours():
    return run(width=4)


def test_the_width_is_seen(pairs, usual, fours):
    for found, width in ((pairs, 2), (fours, 4), (usual, USUAL)):
        assert np.all(found.width == width) and json.loads(found.attrs["width"]) == {"{}": width}
    assert len(np.unique(usual.x.isel(time=-1))) > 50


@pytest.mark.parametrize("where", ["compile start", "compile advance", "start", "advance"])
def test_fewer_blocks_in_flight(pairs, scarce, where):
    scarce.fits, scarce.where, heard = lambda executable: executable.blocks <= 4, where, Heard()
    found = run(width=2, listeners=[heard])
    assert found.equals(pairs) and found.attrs["runs_computed"] == 60
    assert heard.halvings("blocks") == [(32, 16), (16, 8), (8, 4)] and not heard.halvings("width")
    assert sum(facts["runs"] for facts in heard.of("piece")) == 60
    assert max(facts["runs"] for facts in heard.of("piece")) == 8


@pytest.mark.parametrize(
    "error", [MemoryError("cannot allocate"), jax.errors.JaxRuntimeError("INTERNAL: Out of memory while trying to allocate")]
)
def test_whoever_runs_out(pairs, scarce, error):
    scarce.fits, scarce.error, heard = lambda executable: executable.blocks <= 4, error, Heard()
    assert run(width=2, listeners=[heard]).equals(pairs) and heard.halvings("blocks")


def test_in_the_middle_of_a_run(pairs, scarce, tmp_path, monkeypatch):
    monkeypatch.setitem(DEFAULTS, "checkpoint", 0.0)
    monkeypatch.setattr(WORK, "FIRST_BLOCKS", 32)
    scarce.fits, scarce.patience, heard = lambda executable: executable.blocks <= 4, 3, Heard()
    found = run(width=2, store=tmp_path, listeners=[heard])
    assert len(heard.of("checkpoint")) > 1 and heard.halvings("blocks")[0] == (32, 16)
    assert found.equals(pairs) and js.load(tmp_path).equals(pairs)
    assert not list((tmp_path / "checkpoints").iterdir())  # the large cohort is never finished, but all its runs are


def test_what_is_stored_stays(pairs, scarce, tmp_path, monkeypatch):
    monkeypatch.setattr(WORK, "FIRST_BLOCKS", 8)
    heard = Heard()

    def listen(event):
        heard(event)
        if event.name == "piece":
            scarce.fits = lambda executable: executable.blocks <= 4

    found = run(width=2, store=tmp_path, listeners=[listen])
    assert found.equals(pairs) and found.attrs["runs_computed"] == 60
    assert [facts["runs"] for facts in heard.of("piece")] == [16, *[8] * 5, 4]
    assert manifest(tmp_path)["{}"]["width"] == 2 and "narrowed" not in manifest(tmp_path)["{}"]


def test_shared_disorder_in_fewer_blocks(scarce):
    crossed = dict(seeds={"data": 2, "init": 5}, width=2)
    scarce.fits, heard = lambda executable: executable.blocks <= 4, Heard()
    found = run(**crossed, listeners=[heard])
    scarce.enough()
    assert heard.halvings("blocks") and found.equals(run(**crossed))


def test_the_failed_cohort_is_let_go(pairs, scarce):
    scarce.fits, scarce.patience, left = lambda executable: executable.blocks <= 4, 3, []
    start = scarce.start

    class Watching:
        def __get__(self, executable, owner):
            if executable.blocks == 4:
                left.append([array.shape for array in jax.live_arrays() if array.shape[:1] == (64,)])
            return start.__get__(executable, owner)

    scarce.start = Watching()
    assert run(width=2).equals(pairs)
    assert left and left == [[]] * len(left)  # 32 blocks of two are gone when fewer are begun


@pytest.mark.parametrize("stored", [False, True])
def test_narrower_blocks(fours, scarce, tmp_path, stored):
    scarce.fits, heard = lambda executable: executable.width <= 4, Heard()
    found = run(store=tmp_path if stored else None, listeners=[heard])
    assert found.equals(fours)
    assert heard.halvings("width") == [(16, 8), (8, 4)]
    assert heard.halvings("blocks")[:2] == [(4, 2), (2, 1)]  # fewer blocks come first: they cost no bits
    if stored:
        assert manifest(tmp_path)["{}"]["width"] == 4 and manifest(tmp_path)["{}"]["narrowed"] == [16, 8]
        assert js.load(tmp_path).equals(fours)


@pytest.mark.parametrize("stored", [False, True])
def test_the_result_says_its_width(scarce, tmp_path, stored):
    scarce.fits = lambda executable: executable.width <= 4
    assert json.loads(run(store=tmp_path if stored else None).attrs["width"]) == {"{}": 4}


def narrow_after_a_piece(scarce, **changes):
    """Sixteen runs are stored when memory gets scarce."""
    heard = Heard()

    def listen(event):
        heard(event)
        if event.name == "piece":
            scarce.fits = lambda executable: executable.width <= 4

    return run(**changes, listeners=[listen]), heard


def test_earlier_pieces_are_begun_anew(fours, scarce, tmp_path, monkeypatch):
    monkeypatch.setattr(WORK, "FIRST_BLOCKS", 1)
    found, heard = narrow_after_a_piece(scarce, store=tmp_path)
    assert [facts["runs"] for facts in heard.of("piece")][0] == 16
    assert heard.halvings("width") == [(16, 8), (8, 4)]
    assert found.equals(fours) and js.load(tmp_path).equals(fours)
    again = run(store=tmp_path)
    assert again.attrs["runs_computed"] == 0 and again.equals(fours)


def test_pieces_of_an_earlier_call_are_begun_anew(scarce, tmp_path):
    assert np.all(run(store=tmp_path, seeds=19).width == USUAL)
    scarce.fits = lambda executable: executable.width <= 4
    again = run(store=tmp_path)
    assert np.all(again.width == 4) and np.all(js.load(tmp_path).width == 4) and not again.x.isnull().any()
    scarce.enough()
    assert run(store=tmp_path).equals(again)
    with pytest.raises(StoreError, match="has width 4; got width=16"):
        run(store=tmp_path, width=16)


def test_moments_are_begun_anew(fours, scarce, tmp_path, monkeypatch):
    monkeypatch.setattr(WORK, "FIRST_BLOCKS", 1)
    assert np.all(run(store=tmp_path, seeds=19, reduce=True).width.sel(statistic="max") == USUAL)
    scarce.fits = lambda executable: executable.width <= 4
    found = run(store=tmp_path, reduce=True)
    assert np.all(found.runs == 20) and np.all(js.load(tmp_path).runs == 20)
    assert np.all(found.width.sel(statistic=["min", "max"]) == 4)
    np.testing.assert_allclose(found.x.sel(statistic="mean"), fours.x.mean("seed"), rtol=1e-5)


@pytest.mark.slow
def test_only_the_bucket_that_does_not_fit(fours, usual, scarce, tmp_path):
    scarce.fits = lambda executable: executable.program.static["kind"] == 0 or executable.width <= 4
    found = run(static={"kind": [0, 1]}, share=("kind",), store=tmp_path)
    assert found.isel(kind=0, drop=True).equals(usual) and found.isel(kind=1, drop=True).equals(fours)
    assert [bucket.get("narrowed") for bucket in manifest(tmp_path).values()] == [None, [16, 8]]


def test_checkpoints_of_the_wider_blocks_are_of_no_use(fours, scarce, tmp_path, monkeypatch):
    monkeypatch.setitem(DEFAULTS, "checkpoint", 0.0)
    scarce.fits, scarce.patience, heard = lambda executable: executable.width <= 4, 3, Heard()
    found = run(store=tmp_path, listeners=[heard])
    assert heard.of("checkpoint") and heard.halvings("width")
    assert found.equals(fours) and not list((tmp_path / "checkpoints").iterdir())


@pytest.mark.parametrize("stored", [False, True])
def test_a_width_that_was_given_stays(usual, scarce, tmp_path, monkeypatch, stored):
    monkeypatch.setattr(WORK, "FIRST_BLOCKS", 1)
    store = tmp_path if stored else None
    with pytest.raises(MemoryError, match="not even one block of 16 runs fits the memory. Use a smaller width="):
        narrow_after_a_piece(scarce, width=16, store=store) if stored else run_scarcely(scarce, width=16)
    scarce.enough()
    if stored:
        assert manifest(tmp_path)["{}"]["width"] == 16 and "narrowed" not in manifest(tmp_path)["{}"]
        again = run(width=16, store=store)
        assert again.attrs["runs_computed"] == 60 - 16 and again.equals(usual)


def run_scarcely(scarce, **changes):
    scarce.fits = lambda executable: executable.width <= 4
    return run(**changes)


def test_a_width_that_is_given_later_stays(usual, scarce, tmp_path):
    run(store=tmp_path, seeds=19)
    with pytest.raises(MemoryError, match="not even one block of 16 runs fits"):
        run_scarcely(scarce, store=tmp_path, width=USUAL)
    assert manifest(tmp_path)["{}"]["width"] == USUAL and len(pieces(tmp_path)) == 1
    assert js.load(tmp_path).isel(seed=slice(19)).equals(usual.isel(seed=slice(19)))


def test_not_even_two_runs_fit(scarce, tmp_path):
    scarce.fits = lambda executable: False
    for store in (None, tmp_path):
        with pytest.raises(MemoryError, match="not even one block of 2 runs fits"):
            run(store=store)


def test_a_part_stays_a_part(scarce, tmp_path):
    # the rest is somebody else's work; a part may also refuse to change the width of the others
    scarce.fits = lambda executable: executable.width <= 4
    with contextlib.suppress(MemoryError, StoreError):
        run(store=tmp_path, part=(0, 2))
    assert float(js.load(tmp_path).x.notnull().mean()) < 0.7 if pieces(tmp_path) else True


def test_parts_never_mix_widths(scarce, tmp_path, monkeypatch):
    # two machines side by side: one of them runs out of memory between two pieces of the other
    monkeypatch.setattr(WORK, "FIRST_BLOCKS", 1)
    tried = []

    def listen(event):
        if event.name == "piece" and not tried:
            tried.append(event)
            scarce.fits = lambda executable: executable.width <= 4
            with contextlib.suppress(MemoryError, StoreError):
                run(store=tmp_path, part=(0, 2))
            scarce.enough()

    with contextlib.suppress(MemoryError, StoreError):
        run(store=tmp_path, part=(1, 2), listeners=[listen])
    found = run(store=tmp_path)
    assert tried and not found.x.isnull().any() and len(np.unique(found.width)) == 1


@pytest.mark.parametrize(
    "error",
    [
        jax.errors.JaxRuntimeError("INTERNAL: the compiler is broken"),
        ValueError("RESOURCE_EXHAUSTED: not said by XLA"),
        KeyboardInterrupt(),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("where", ["compile advance", "advance"])
def test_other_errors_pass(scarce, error, where):
    scarce.fits, scarce.where, scarce.error, heard = lambda executable: False, where, error, Heard()
    with pytest.raises(type(error)) as caught:
        run(listeners=[heard])
    assert caught.value.args == error.args and not heard.of("out of memory")


def test_what_does_not_fit_is_forgotten(pairs, scarce):
    scarce.fits = lambda executable: executable.blocks <= 4
    with executables.set_aside():
        assert run(width=2).equals(pairs)
        ours = [one for one in executables.known() if one.program.experiment is maps and not one.program.shared]
    assert [one.blocks for one in ours if one.width == 2] == [4]


@js.record
class Wide(Map):
    """Much disorder for a small state. Drawn by a product and met by sums: whether they are rounded together shows at once."""

    def sample(self, key):
        return uniform(key) * jnp.arange(1000.0)

    def init(self, key, data):
        return 0.5 * uniform(key) + 0.4 * data[1], jnp.array(0, jnp.int32)

    def stopped(self, state, data):
        return super().stopped(state, data[1])

    def observe(self, state, data):
        return {"x": state[0], "gap": state[0] - data[7]}


@pytest.mark.slow
def test_memory_changes_no_bit(monkeypatch):
    # compiled as users do: the cheap back end of the tests fuses less, and would hide what fusing does to the last bits
    executable = sys.modules["jaxscale.engine.run.executable"]
    monkeypatch.setattr(executable, "cpu_level", lambda: 1)
    usual = executable.compiler_options
    full = {"xla_llvm_disable_expensive_passes": False}
    monkeypatch.setattr(executable, "compiler_options", lambda devices: usual(devices) | full)
    executables.forget()
    plenty, little, none, redrawn = (
        js.sweep(lambda rate: Wide(rate=rate), **COMMON, width=2, memory=memory, disorder=disorder)
        for memory, disorder in ((10**9, None), (110_000, None), (1, None), (10**9, "redrawn"))
    )
    assert little.equals(plenty) and none.equals(plenty) and redrawn.equals(plenty)
    assert len(np.unique(plenty.gap)) > 100
    crossed = COMMON | {"seeds": {"data": 3, "init": 7}}
    kept, redrawn = (
        js.sweep(lambda rate: Wide(rate=rate), **crossed, width=2, disorder=disorder) for disorder in ("kept", "redrawn")
    )
    assert redrawn.equals(kept) and len(np.unique(kept.gap)) > 20


@js.record
class Heavy(Map):
    """Disorder of 4 kB for a state of 8 bytes, cheap to draw beside a million steps."""

    def sample(self, key):
        return uniform(key) * jnp.arange(1000.0)

    def init(self, key, data):
        return 0.5 * uniform(key), jnp.array(0, jnp.int32)

    def stopped(self, state, data):
        return super().stopped(state, data[1])


@pytest.mark.parametrize(
    "memory, times, redrawn",
    [
        (10**9, [0, 10**6], False),  # there is room
        (100_000, [0, 10**6], True),  # room for a few blocks with their disorder, for all without
        (100_000, range(0, 200), False),  # a draw for every step would cost more than it gains
    ],
)
def test_the_memory_says_whether_disorder_is_redrawn(memory, times, redrawn):
    request = Request.make(
        lambda rate: Heavy(rate=rate), grid={"rate": [3.9]}, seeds=256, times=times, memory=memory, width=2,
        devices=jax.devices()[:1],
    )  # fmt: skip
    program = program_of(request, {})
    executable = fitted(request, program, 2, request.grid.lanes({}))
    assert executable.redraw == redrawn
    kept = executable_of(request, program, 2, executable.blocks)
    assert (executable.rows > 32) == (redrawn or memory == 10**9)
    assert redrawn or executable == kept


def test_redrawn_disorder_changes_no_bit():
    ways = [run(disorder=way, memory=memory) for way, memory in (("kept", None), ("redrawn", None), ("redrawn", 1))]
    assert ways[0].equals(ways[1]) and ways[0].equals(ways[2])
    with pytest.raises(ValueError, match="disorder must be 'kept', 'redrawn'"):
        run(disorder="again")


CHILD = """
import resource, sys
import jax, jax.numpy as jnp
import jaxscale as js

@js.record
class Fat:
    side: int = js.static()

    def sample(self, key):
        return jnp.sin(jnp.arange(float(self.side)) * (jax.random.key_data(key)[0] % 1000))

    def init(self, key, data):
        return (jax.random.key_data(key)[0] % 1000) / 1000.0

    def step(self, key, state, data):
        return 3.9 * state * (1 - state)

    def observe(self, state, data):
        return {"x": state + data[-1] - data[1]}

def fat(side):
    return Fat(side=side)

def run(megabytes):
    return js.sweep(fat, static={"side": [2**18]}, seeds=512, times=[0, 1, 20], width=4, devices=jax.devices()[:1],
                    memory=megabytes * 2**20, listeners=[tell], progress=False)

heard = []

def tell(event):
    if event.name in ("out of memory", "compiled"):
        heard.append((event.name, event.facts["blocks"]))

calm = run(64)  # a megabyte a run: at most sixteen blocks at once
assert max(blocks for _, blocks in heard) <= 16 and ("out of memory", 16) not in heard, heard
heard.clear()
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 400 * 2**20,) * 2)
scarce = run(2**16)  # all at once would be 512 megabytes
assert heard[0] == ("compiled", 128) and ("out of memory", 128) in heard, heard
assert scarce.equals(calm)
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="address space is measured and limited as on Linux")
def test_a_real_limit(tmp_path):
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    env = os.environ | {"JAX_NUM_CPU_DEVICES": "1", "JAX_ENABLE_COMPILATION_CACHE": "0"}
    done = subprocess.run([sys.executable, str(script)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
