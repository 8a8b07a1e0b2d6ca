"""What a sweep says: events in order, a file of them, finished runs handed over, a trace, a bar that adds up."""

import json
import logging
import time

import jax
import numpy as np
import pytest

import jaxscale as js
from jaxscale.engine import events, listeners
from jaxscale.engine.listeners import JsonLines, OnCells
from jaxscale.engine.run import executables


@js.record
class Count:
    """Counts to `last`, then stops."""

    last: float

    def sample(self, key):
        return ()

    def init(self, key, data):
        return jax.numpy.int32(0)

    def step(self, key, state, data):
        return jax.numpy.where(self.stopped(state, data), state, state + 1)

    def stopped(self, state, data):
        return state >= self.last

    def observe(self, state, data):
        return {"count": state}


def count(last):
    return Count(last=last)


COMMON = dict(grid={"last": [3.0, 50.0]}, seeds=6, times=[0, 10, 100], width=2, devices=jax.devices()[:1], progress=False)


def test_events_in_order(tmp_path):
    seen = []
    js.sweep(count, **COMMON, store=tmp_path, listeners=[seen.append])
    names = [event.name for event in seen]
    assert names[0] == "settled" and names[1] == "planned" and names[-1] == "done"
    assert {"segment", "piece"} <= set(names)
    assert sum(event.facts["runs"] for event in seen if event.name == "piece") == 12
    last = [event for event in seen if event.name == "segment"][-1].facts
    assert last["live"] == 0 and last["finished"] == last["lanes"] and last["lane_steps"] <= last["slot_steps"]


def test_json_lines(tmp_path):
    file = tmp_path / "deep" / "metrics.jsonl"
    for _ in range(2):  # appended
        js.sweep(count, **COMMON, listeners=[JsonLines(file)])
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["event"] for line in lines].count("done") == 2
    assert all(line["at"] > 1e9 for line in lines) and all("cells" not in line for line in lines)
    assert sum(line["event"] == "segment" for line in lines) <= 4  # at most one a second


def test_finished_runs_are_handed_over(tmp_path):
    handed = []
    runs = js.sweep(count, **COMMON, store=tmp_path, listeners=[OnCells(handed.append)])
    table = {name: np.concatenate([part[name] for part in handed]) for name in handed[0]}
    assert set(table) == {"last", "seed", "count", "diverged_at"} and len(table["seed"]) == 12
    for last, seed, value in zip(table["last"], table["seed"], table["count"]):
        assert value == runs["count"].sel(last=last, seed=seed).isel(time=-1)


def test_a_listener_that_fails_loses_nothing(tmp_path, caplog):
    def fail(event):
        if event.name == "piece":
            raise RuntimeError("the tracker is down")

    calm, heard = js.sweep(count, **COMMON), []
    for store in (None, tmp_path):
        with pytest.raises(RuntimeError, match="tracker is down") as raised:
            js.sweep(count, **COMMON, store=store, listeners=[fail, heard.append])
        assert raised.value.result.equals(calm) and "its Dataset is the error's attribute" in raised.value.__notes__[0]
    assert [event.name for event in heard].count("done") == 2, "others go on hearing"
    assert "failed at 'piece' and is told no more" in caplog.text
    again = js.sweep(count, **COMMON, store=tmp_path)
    assert again.attrs["runs_computed"] == 0 and again.equals(calm)


def test_logged(caplog):
    with caplog.at_level(logging.INFO, "jaxscale"):
        js.sweep(count, **COMMON)
    assert any(r.message.startswith("planned: runs 12") for r in caplog.records)
    assert not any(r.message.startswith("segment") for r in caplog.records)


def test_a_recompilation_names_its_cause(caplog):
    with executables.set_aside():
        js.sweep(count, **COMMON)
        with caplog.at_level(logging.INFO, "jaxscale"):
            js.sweep(count, **(COMMON | {"width": 4}))
    assert any("recompiled" in r.message and "width 2 -> 4" in r.message and "program" not in r.message for r in caplog.records)


def test_every_result_says_what_it_took():
    attrs = js.sweep(count, **COMMON).attrs
    for name in ("trace_seconds", "compile_seconds", "first_run_seconds", "run_seconds", "wall_seconds"):
        assert attrs[name] >= 0
    assert attrs["run_seconds"] >= attrs["first_run_seconds"] > 0 and attrs["runs_computed"] == 12


def test_a_trace_is_written(tmp_path):
    js.sweep(count, **COMMON, profile=tmp_path)
    assert list(tmp_path.rglob("*perfetto_trace.json.gz"))


def test_a_bar_is_seen_while_the_first_program_compiles(monkeypatch, capsys):
    """By a timer, since compiling tells nothing; the timer here is rung by hand."""
    timers = []

    class Rung:
        def __init__(self, seconds, function):
            self.seconds, self.function, self.state = seconds, function, []
            timers.append(self)

        def start(self):
            self.state.append("started")

        def cancel(self):
            self.state.append("cancelled")

    monkeypatch.setattr(listeners.threading, "Timer", Rung)
    bar = listeners.Bar(8, True)
    assert capsys.readouterr().err == "" and timers[0].state == ["started"] and timers[0].seconds == 2
    timers[0].function()
    assert "0/8 runs" in (said := capsys.readouterr().err) and "tracing and compiling" in said
    bar(
        events.Segment(
            bucket="{}", lanes=8, live=8, finished=0, diverged=0, step=5, last=10, lane_steps=40, slot_steps=40
        )
    )
    bar.close()
    assert "4/8 runs" in (said := capsys.readouterr().err) and "live 8" in said and "cancelled" in timers[0].state
    listeners.Bar(8, False).close()
    assert timers[1].state == ["cancelled"] and capsys.readouterr().err == ""


@js.record
class Undefined:
    """A sound state, half of whose looks are not numbers; of the other runs the state diverges."""

    rate: float

    def sample(self, key):
        return ()

    def init(self, key, data):
        return self.rate

    def step(self, key, state, data):
        return state * jax.numpy.where(self.rate > 2, jax.numpy.inf, 1.0)

    def observe(self, state, data):
        return {"root": jax.numpy.sqrt(state), "size": state}


def test_observables_that_are_not_numbers_are_told(caplog):
    heard = []
    js.sweep(lambda rate: Undefined(rate=rate), grid={"rate": [-1.0, 1.0, 3.0]}, seeds=2, times=[0, 2], progress=False,
             listeners=[heard.append])  # fmt: skip
    told = [event.facts for event in heard if event.name == "not a number"]
    assert told == [{"observable": "root", "runs": 2, "of": 4}]
    assert "not a number: observable root, runs 2, of 4" in caplog.text


def test_long_waits_are_explained(capsys):
    with listeners.said("making it again", after=0.01):
        time.sleep(0.3)
    with listeners.said("never seen"):
        pass
    assert capsys.readouterr().err == "making it again\n"
