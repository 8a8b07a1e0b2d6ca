"""Where a cohort is cut between records: seldom, but often enough to be seen and saved; and the bits do not know."""

import jax
import numpy as np
import pytest

import jaxscale as js
from jaxscale.cli import main
from jaxscale.cli.codes import BAD_INPUT, OK
from jaxscale.engine.run import cohort as execute

LAST = 2000
COMMON = dict(grid={"rate": [3.7, 3.9]}, seeds=3, width=2, devices=jax.devices()[:1], progress=False)


@js.record
class Chaos:
    """Never stops, and does not forget where it was cut."""

    rate: float

    def sample(self, key):
        return ()

    def init(self, key, data):
        return jax.random.uniform(key)

    def step(self, key, state, data):
        return self.rate * state * (1 - state) * (1 - 1e-6 * jax.random.uniform(key))

    def observe(self, state, data):
        return {"x": state}


def chaos(rate):
    return Chaos(rate=rate)


def swept(times, **more):
    steps = []

    def hear(event):
        if event.name == "segment":
            steps.append(event.facts["step"])
            if event.facts["step"] == more.get("until"):
                raise KeyboardInterrupt

    options = {name: value for name, value in more.items() if name != "until"}
    return js.sweep(chaos, **COMMON, times=times, listeners=[hear], **options), steps


def test_a_far_record_is_reached_after_one_look_at_the_pace():
    runs, steps = swept([0, LAST])
    assert steps == [0, 256, LAST]
    for times in ([0, 100, 300, 1999, LAST], [LAST]):
        others, _ = swept(times)
        np.testing.assert_array_equal(runs.x.sel(time=LAST), others.x.sel(time=LAST))


def test_no_span_is_longer_than_its_seconds(monkeypatch):
    """Where none is short enough, every step is a span."""
    monkeypatch.setattr(execute, "SPAN_SECONDS", 1e-9)
    _, steps = swept([0, 260])
    assert steps == [0, *range(256, 261)]


def test_it_is_saved_between_two_far_records(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        swept([0, LAST], store=tmp_path, checkpoint=0.0, until=LAST)
    resumed = []
    runs = js.sweep(
        chaos,
        **COMMON,
        times=[0, LAST],
        store=tmp_path,
        listeners=[lambda e: resumed.append(e) if e.name == "resumed" else None],
    )
    assert [event.facts["step"] for event in resumed] == [256]
    np.testing.assert_array_equal(runs.x, swept([0, LAST])[0].x)


def test_status_says_where_runs_are_saved_and_which_folders_are_stores(tmp_path, capsys):
    store = tmp_path / "one"
    with pytest.raises(KeyboardInterrupt):
        swept([0, LAST], store=store, checkpoint=0.0, until=LAST)
    assert main(["status", str(store)]) == OK
    assert f"6 of the pending runs are saved at step 256 of {LAST}" in capsys.readouterr().out
    assert main(["status", str(tmp_path)]) == BAD_INPUT
    assert f"There are stores in it: {store}." in capsys.readouterr().err


def test_a_law_of_the_step_is_fitted_to_a_store_that_begins_at_step_0(tmp_path, capsys):
    swept([0, 1, 2, 4, 8, 16, 32], store=tmp_path)
    asked = [
        "fit",
        str(tmp_path),
        "--x",
        "time",
        "--y",
        "x",
        "--select",
        "rate=3.7",
        "--bootstrap",
        "20",
        "--no-figures",
    ]
    main(asked)
    said = capsys.readouterr()
    assert "step 0 is left out: the law takes the step to a power" in said.out and "exponent" in said.out
    assert "Warning" not in said.err
