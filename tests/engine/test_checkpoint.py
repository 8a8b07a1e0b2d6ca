"""A cohort that is interrupted in the middle goes on from its checkpoint, with the bits of an undisturbed one."""

import io
import os
import shutil
import sys
from hashlib import sha256

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import xarray

import jaxscale as js
from jaxscale.engine.ask.options import DEFAULTS
from jaxscale.engine.run.executable import Executable
from jaxscale.engine.run.reasons import Reason
from jaxscale.engine.run.recorder import Records, Saved
from jaxscale.engine.store import checkpoint as saving
from jaxscale.engine.store.checkpoint import Checkpoint

GAIN = {"gain": 3.9}


def uniform(key):
    """One number in [0, 1] of a key: its own bits, which compile in no time."""
    return jax.random.key_data(key)[0].astype(jnp.float32) / 2.0**32


@js.record
class Mixed:
    """Chaos in a state of every shape and type. The disorder says when a run stops (a third) or diverges (a third)."""

    rate: jax.Array

    def sample(self, key):
        return jnp.array([uniform(key), 1.0])

    def init(self, key, data):
        x = uniform(key)
        return {
            "t": jnp.array(0, jnp.int32),
            "table": jnp.stack([jnp.full(3, x), jnp.full(3, 1.0 - x)]),
            "high": x > 0.5,
            "coarse": jnp.full((2,), x, jnp.bfloat16),
            "bytes": jnp.array([1, 2], jnp.uint8),
            "x": x,
        }

    def step(self, key, state, data):
        t = state["t"] + 1
        x = 0.99 * GAIN["gain"] * state["x"] * (1.0 - state["x"]) + 0.01 * uniform(key)
        new = {
            "t": t,
            "table": 0.5 * (state["table"] + jnp.array([x, 1.0, state["high"]])[None, :]),
            "high": state["high"] ^ (x > 0.5),
            "coarse": state["coarse"][::-1] * jnp.bfloat16(0.9) + x.astype(jnp.bfloat16),
            "bytes": state["bytes"] + (x > self.rate).astype(jnp.uint8),
            "x": jnp.where((data[0] < 0.3) & (t == self._last(data[0] / 0.3)), jnp.nan, x),
        }
        over = self.stopped(state, data)
        return jax.tree.map(lambda old, new: jnp.where(over, old, new), state, new)

    def stopped(self, state, data):
        return (data[0] > 0.7) & (state["t"] >= self._last((data[0] - 0.7) / 0.3))

    def observe(self, state, data):
        rest = state["table"][1, 2] + 8 * state["table"][0, 1] + data[0]
        rest += 64 * state["coarse"].astype(jnp.float32)[0] + 512 * state["bytes"][1].astype(jnp.float32)
        return {"x": state["x"], "steps": state["t"], "high": state["high"], "rest": rest}

    def _last(self, share):
        return (60 * share).astype(jnp.int32)


def mixed(rate):
    return Mixed(rate=rate)


ONE = jax.devices()[:1]
COMMON = dict(grid={"rate": [0.3, 0.6]}, seeds=10, times=[0, 3, 30, 70, 71], width=4, root=2, devices=ONE, progress=False)


def run(experiment=mixed, **changes):
    return js.sweep(experiment, **(COMMON | changes))


class Hearing:
    """A listener that keeps all events, and interrupts where it is told to."""

    def __init__(self, stop=lambda heard, segment: False):
        self.events, self.stop = [], stop

    def __call__(self, event):
        self.events.append(event)
        if event.name == "segment" and self.stop(self, event.facts):
            raise KeyboardInterrupt

    def of(self, name):
        return [event.facts for event in self.events if event.name == name]


def files(store):
    return sorted((store / "checkpoints").iterdir())


def interrupt(experiment=mixed, *, step=30, pieces=0, **changes):
    """Begin a sweep and be stopped at a step (30: after the checkpoint of step 3, or later); what was heard until then."""
    heard = Hearing(lambda heard, segment: len(heard.of("piece")) == pieces and segment["step"] >= step)
    with pytest.raises(KeyboardInterrupt):
        run(experiment, **changes, listeners=[heard])
    return heard


def resume(experiment=mixed, **changes):
    heard = Hearing()
    return run(experiment, **changes, listeners=[heard]), heard


@pytest.fixture(scope="module", autouse=True)
def one_cohort():
    """Twenty runs are five blocks: one cohort, unless memory says otherwise. Nothing here needs to survive a power cut."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["jaxscale.engine.place.local"], "FIRST_BLOCKS", 16)
        patch.setattr(os, "fsync", lambda file: None)
        yield


@pytest.fixture
def always(monkeypatch):
    """Save after every segment."""
    monkeypatch.setitem(DEFAULTS, "checkpoint", 0.0)


@pytest.fixture
def steps(monkeypatch):
    """Lane-steps really taken, [total]."""
    taken, compiled = [0], vars(Executable)["advance"]

    def advance(self):
        whole = compiled.__get__(self, Executable)

        def counted(cohort, blocks, t0, t1):
            taken[0] += (int(t1) - int(t0)) * int(np.asarray(blocks.live).sum())
            return whole(cohort, blocks, t0, t1)

        return counted

    monkeypatch.setattr(Executable, "advance", property(advance))
    return taken


@pytest.fixture(scope="module")
def calm():
    """Undisturbed."""
    return run()


def test_the_runs_stop_and_diverge_and_go_on(calm):
    last = calm.steps.isel(time=-1)
    for some in (calm.diverged_at > 0, last == 71, (last > 0) & (last < 71)):
        assert int(some.sum()) >= 5
    assert len(np.unique(calm.x.sel(time=30))) > 10


@pytest.mark.parametrize("step", [30, 70, 71])
def test_goes_on_where_it_was(calm, always, steps, tmp_path, step):
    first = interrupt(store=tmp_path, step=step)
    saved, before = first.of("checkpoint"), steps[0]
    assert [facts["step"] for facts in saved] == [facts["step"] for facts in first.of("segment")[:-1]]
    again, heard = resume(store=tmp_path)
    assert again.equals(calm) and js.load(tmp_path).equals(calm)
    assert [facts["step"] for facts in heard.of("resumed")] == [saved[-1]["step"]]
    assert heard.of("resumed")[0]["live"] == saved[-1]["live"]
    assert steps[0] - before <= first.of("checkpoint")[-1]["live"] * (71 - saved[-1]["step"])
    assert files(tmp_path) == []


def test_nothing_before_the_first_checkpoint(calm, always, tmp_path):
    interrupt(step=0, store=tmp_path)
    assert files(tmp_path) == []
    again, heard = resume(store=tmp_path)
    assert again.equals(calm) and not heard.of("resumed")


@pytest.mark.parametrize("reduce", [False, "quantiles"])
def test_interrupted_at_every_segment(always, steps, tmp_path, reduce):
    undisturbed = run(reduce=reduce)
    needed, steps[0], reached = steps[0], 0, []
    for _ in range(100):
        # one segment further than the checkpoint, which is saved when the segment has been told
        heard = Hearing(lambda heard, _: len(heard.of("segment")) == 2)
        try:
            done = run(store=tmp_path, reduce=reduce, listeners=[heard])
        except KeyboardInterrupt:
            reached.append(heard.of("checkpoint")[-1]["step"])
        else:
            break
    assert len(reached) >= 3 and reached == sorted(set(reached))
    assert done.equals(undisturbed)
    assert steps[0] < 3 * needed  # every segment at most twice; begun anew each time it would be many times as much
    assert files(tmp_path) == []


@pytest.mark.parametrize("reduce", [False, "quantiles"])
@pytest.mark.parametrize("before, after", [(1, 4), (4, 1)])
def test_on_another_number_of_devices(calm, always, devices, tmp_path, before, after, reduce):
    first = interrupt(store=tmp_path, devices=devices[:before], reduce=reduce)
    again, heard = resume(store=tmp_path, devices=devices[:after], reduce=reduce)
    assert heard.of("resumed")[0]["step"] == first.of("checkpoint")[-1]["step"] > 0
    if reduce:
        xarray.testing.assert_allclose(again, run(reduce=reduce), rtol=1e-4, atol=1e-5)
    else:
        assert again.equals(calm)


@pytest.mark.parametrize("before", [False, True])
def test_with_or_without_reclaiming(calm, always, tmp_path, before):
    interrupt(store=tmp_path, reclaim=before)
    again, heard = resume(store=tmp_path, reclaim=not before)
    assert heard.of("resumed")[0]["step"] > 0 and again.equals(calm)


@pytest.mark.parametrize("reduce", [False, "quantiles"])
def test_before_the_first_record(always, tmp_path, reduce):
    late = dict(times=[60, 71], reduce=reduce)
    first = interrupt(**late, store=tmp_path, step=25)
    again, heard = resume(**late, store=tmp_path)
    assert 0 < heard.of("resumed")[0]["step"] < 60 and first.of("checkpoint")[-1]["live"] < 20
    assert again.equals(run(**late))


def test_shared_disorder(always, tmp_path):
    crossed = dict(seeds={"data": 3, "init": 4}, grid={"rate": [0.3]})
    interrupt(**crossed, store=tmp_path)
    again, heard = resume(**crossed, store=tmp_path)
    assert heard.of("resumed")[0]["step"] > 0 and again.equals(run(**crossed))


def test_several_cohorts(calm, always, tmp_path):
    narrow = dict(store=tmp_path, memory=1)  # one block in flight: five cohorts
    interrupt(**narrow, pieces=3)
    assert len(files(tmp_path)) == 1  # those of the finished cohorts are gone
    again, heard = resume(**narrow)
    assert len(heard.of("resumed")) == 1 and heard.of("resumed")[0]["step"] > 0
    assert again.equals(calm) and again.attrs["runs_computed"] == 20 - 12
    assert files(tmp_path) == []


@pytest.mark.parametrize("changes", [{"seeds": 16}, {"grid": {"rate": [0.1, 0.3, 0.6]}}], ids=str)
def test_a_wider_request_finds_it(always, tmp_path, changes):
    first = interrupt(store=tmp_path)
    again, heard = resume(store=tmp_path, **changes)
    assert [facts["step"] for facts in heard.of("resumed")] == [first.of("checkpoint")[-1]["step"]]
    assert again.equals(run(**changes))
    assert files(tmp_path) == []


def test_a_narrower_request_does_not_need_it(calm, always, tmp_path):
    interrupt(store=tmp_path)
    again, heard = resume(store=tmp_path, seeds=9)
    assert not heard.of("resumed") and again.equals(calm.isel(seed=slice(9)))


@pytest.fixture(scope="module")
def halfway(tmp_path_factory):
    """A store with one checkpoint."""
    folder = tmp_path_factory.mktemp("halfway") / "store"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(DEFAULTS, "checkpoint", 0.0)
        interrupt(store=folder)
    assert len(files(folder)) == 1
    return folder


@pytest.fixture
def store(halfway, tmp_path):
    """A copy that may be spoilt."""
    return shutil.copytree(halfway, tmp_path / "store")


def truncated(content):
    return content[:-100]


def flipped(content):
    return content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 1]) + content[len(content) // 2 + 1 :]


def empty(content):
    return b""


def headless(content):
    return content[64:]


def text(content):
    return b"not a checkpoint\n" * 100


def sealed(content):
    return sha256(content).hexdigest().encode() + content


def sealed_text(content):
    return sealed(b"whole, and something else")


def sealed_other(content):
    """Whole arrays, not ours: another version's, say."""
    buffer = io.BytesIO()
    np.savez(buffer, step=np.array(3), lanes=np.arange(30))
    return sealed(buffer.getvalue())


def changed(content, **new):
    with np.load(io.BytesIO(content[64:])) as arrays:
        found = dict(arrays)
    buffer = io.BytesIO()
    np.savez(buffer, **{name: value for name, value in (found | new).items() if value is not None})
    return sealed(buffer.getvalue())


def of_another_program(content):
    return changed(content, program=np.array("0123456789abcdef 4"))


def of_another_width(content):
    with np.load(io.BytesIO(content[64:])) as arrays:
        program, width = str(arrays["program"]).split()
    assert width == "4"
    return changed(content, program=np.array(f"{program} 8"))


def of_other_times(content):
    return changed(content, times=np.array([0, 3, 30, 70, 72]))


def of_other_runs(content):
    with np.load(io.BytesIO(content[64:])) as arrays:
        return changed(content, ids=arrays["ids"][::-1].copy())


DAMAGES = [
    truncated, flipped, empty, headless, text, sealed_text, sealed_other, of_another_program, of_another_width, of_other_times,
    of_other_runs,
]  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_or_foreign(calm, store, damage):
    file = files(store)[0]
    file.write_bytes(damage(file.read_bytes()))
    again, heard = resume(store=store)
    assert not heard.of("resumed") and again.equals(calm)
    assert files(store) == []


def test_an_unharmed_copy_is_used(calm, store):
    file = files(store)[0]
    file.write_bytes(changed(file.read_bytes()))
    again, heard = resume(store=store)
    assert heard.of("resumed") and again.equals(calm)


def test_what_was_saved_is_of_exactly_these_runs_records_and_program(tmp_path):
    """Whatever the file is called."""
    ids, times = np.array([5, 9, 2], np.uint64), np.array([0, 4, 70])
    records, state = Records.empty(3), np.arange(6, dtype=np.float32).reshape(3, 2)
    records.why[1] = Reason.STOPPED
    records.paid(3, 4, 7)
    own = Checkpoint(tmp_path / "file", 0.0, "code 4")
    own.save(ids, times, Saved(7, records, {"x": state}, [state[[0, 2]]]))
    found = own.load(ids, times)
    assert found.step == 7 and found.records.why.tolist() == [0, 1, 0] and found.records.slot_steps == 28
    assert np.array_equal(found.recorded["x"], state) and found.leaves[0].tobytes() == state[[0, 2]].tobytes()
    for others in (ids[::-1], ids[:2], np.array([5, 9, 3], np.uint64)):
        assert own.load(others, times) is None
    assert own.load(ids, times + 1) is None and own.load(ids, times[:2]) is None
    assert Checkpoint(tmp_path / "file", 0.0, "code 8").load(ids, times) is None
    own.clear()
    assert own.load(ids, times) is None


def test_under_a_foreign_name(calm, store):
    file = files(store)[0]
    file.rename(file.with_name("0" * 20))
    assert run(store=store).equals(calm)


def test_a_folder_in_its_place(calm, store):
    file = files(store)[0]
    file.unlink()
    (store / "checkpoints" / "notes").mkdir()
    assert run(store=store).equals(calm)


def test_the_code_has_changed_in_between(calm, store, monkeypatch, tmp_path):
    monkeypatch.setitem(GAIN, "gain", 3.8)
    with pytest.raises(js.StoreError if hasattr(js, "StoreError") else ValueError, match="has changed"):
        run(store=store)
    assert len(files(store)) == 1
    monkeypatch.setitem(GAIN, "gain", 3.9)
    assert run(store=store).equals(calm)


@pytest.mark.parametrize("reduce", [False, "quantiles"])
def test_killed_between_the_piece_and_the_end_of_its_checkpoint(always, monkeypatch, tmp_path, reduce):
    def killed(self):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Checkpoint, "clear", killed)
        run(store=tmp_path, reduce=reduce)
    assert len(files(tmp_path)) == 1
    again, heard = resume(store=tmp_path, reduce=reduce)
    assert again.attrs["runs_computed"] == 0 and not heard.of("resumed")
    assert files(tmp_path) == []


def test_resumed_where_fewer_runs_fit(calm, store, always):
    assert run(store=store, memory=1).equals(calm)
    assert files(store) == []  # every run is finished: the old one is of no use to anyone


def test_off_for_short_runs(calm, tmp_path):
    (tmp_path / "checkpoints").mkdir()
    seen, heard = [], Hearing()
    assert run(store=tmp_path, listeners=[heard, lambda event: seen.extend(files(tmp_path))]).equals(calm)
    assert len(heard.of("segment")) >= 5 and not heard.of("checkpoint") and not seen


@pytest.mark.parametrize("checkpoint, saves", [(0, True), (None, False), (3600.0, False)])
def test_the_user_says_how_often(calm, tmp_path, checkpoint, saves):
    heard = Hearing()
    assert run(store=tmp_path, listeners=[heard], checkpoint=checkpoint).equals(calm)
    assert bool(heard.of("checkpoint")) == saves


@pytest.mark.parametrize("checkpoint", [-1, True, "often", float("nan")])
def test_an_interval_that_is_none(tmp_path, checkpoint):
    with pytest.raises(ValueError, match="checkpoint must be seconds"):
        run(store=tmp_path / "new", checkpoint=checkpoint)
    assert not (tmp_path / "new").exists()


def test_as_seldom_as_asked(calm, tmp_path, monkeypatch):
    clock = [0.0]
    monkeypatch.setitem(DEFAULTS, "checkpoint", 10.0)
    monkeypatch.setattr(saving.time, "monotonic", lambda: clock[0])
    heard = Hearing()

    def tick(event):
        heard(event)
        clock[0] += 4.0 * (event.name == "segment")

    assert run(store=tmp_path, listeners=[tick]).equals(calm)
    segments, saves = len(heard.of("segment")), len(heard.of("checkpoint"))
    assert saves == (segments - 1) // 3  # after 12 seconds each; the last segment has nothing to save


def test_without_a_store(calm, always):
    heard = Hearing()
    assert run(listeners=[heard]).equals(calm) and not heard.of("checkpoint")


def test_a_disk_that_takes_no_checkpoint(calm, always, monkeypatch, tmp_path):
    def full(path, content):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(saving, "write_atomic", full)
    again, heard = resume(store=tmp_path)
    assert again.equals(calm)
    assert heard.of("checkpoint failed") and not heard.of("checkpoint") and files(tmp_path) == []


def test_hidden_files_of_others_are_left_alone(tmp_path):
    # a store in a folder that has other uses: a home, a repository, one that a notebook server has visited
    (tmp_path / ".profile").write_text("mine")
    (tmp_path / ".ipynb_checkpoints").mkdir()
    run(store=tmp_path, times=[0])
    run(store=tmp_path, times=[0])
    assert (tmp_path / ".profile").read_text() == "mine" and (tmp_path / ".ipynb_checkpoints").is_dir()


@js.record
class Coarse:
    """Types that npz does not know, and an array of no size."""

    def sample(self, key):
        return ()

    def init(self, key, data):
        return uniform(key).astype(jnp.bfloat16), jnp.zeros((2, 0))

    def step(self, key, state, data):
        return jnp.bfloat16(3.9) * state[0] * (jnp.bfloat16(1.0) - state[0]), state[1]

    def observe(self, state, data):
        return {"x": state[0]}


class Fine(Coarse):
    """Observed in a type that npz knows."""

    def observe(self, state, data):
        return {"x": state[0].astype(jnp.float32)}


jax.tree_util.register_pytree_node(Fine, lambda s: ((), None), lambda *_: Fine())
SMALL = dict(grid={}, seeds=4, times=[0, 2, 5])


def test_coarse_states(always, tmp_path):
    interrupt(Fine, **SMALL, step=5, store=tmp_path)
    again, heard = resume(Fine, **SMALL, store=tmp_path)
    assert heard.of("resumed")[0]["step"] == 2 and again.equals(run(Fine, **SMALL))


def test_empty_states_on_several_devices(devices):
    with pytest.raises(ValueError, match="an array without elements, which JAX does not shard"):
        run(Fine, **SMALL, devices=devices[:2])


@pytest.mark.parametrize("reduce", [False, True])
def test_coarse_observables(always, tmp_path, reduce):
    asked = SMALL | {"reduce": reduce}
    interrupt(Coarse, **asked, step=5, store=tmp_path)
    again, heard = resume(Coarse, **asked, store=tmp_path)
    want = run(Fine, **asked).x
    assert heard.of("resumed")[0]["step"] == 2
    for found in (run(Coarse, **asked), again, js.load(tmp_path)):
        assert np.array_equal(found.x.astype(np.float32), want.astype(np.float32), equal_nan=True)
