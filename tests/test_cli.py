"""The command line: what it prints, how it exits, what it leaves behind."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import jaxscale as js
from jaxscale.cli import main
from jaxscale.cli.codes import BAD_INPUT, FAILED, INTERRUPTED, OK
from jaxscale.cli.interrupts import Interrupts
from jaxscale.cli.studies import find_study
from jaxscale.models.perceptron import TeacherStudent


def test_studies_lists_questions_and_claims(capsys):
    assert main(["studies"]) == OK
    out = capsys.readouterr().out
    assert "sgd_noise" in out and "overparameterised_sensing" in out and "claims" in out


def test_devices(capsys):
    assert main(["devices"]) == OK
    assert "4 x cpu" in capsys.readouterr().out


@pytest.mark.parametrize("command", [[], ["run"], ["plan"], ["studies"], ["devices"]])
def test_help(command, capsys):
    with pytest.raises(SystemExit) as stop:
        main([*command, "--help"])
    assert stop.value.code == 0
    assert "usage: jaxscale" in capsys.readouterr().out


def test_unknown_study_is_bad_input_with_the_nearest(capsys):
    assert main(["run", "sdg_noise"]) == BAD_INPUT
    assert "no study 'sdg_noise'; did you mean 'sgd_noise'? One of your own is MODULE:STUDY" in capsys.readouterr().err


def test_unknown_scale_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["run", "sgd_noise", "--scale", "huge"])
    assert stop.value.code == 2


def test_plan_prints_compiles_and_bytes(capsys, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "docs" / "template" / "src"))
    assert main(["plan", "mylab.escape:STUDY", "--scale", "smoke"]) == OK
    out = capsys.readouterr().out
    assert "2 compiles" in out and "runs at once" in out and "B a run" in out


def test_an_interrupt_that_is_swallowed_comes_back():
    def system(points):
        return js.Descent(TeacherStudent(d=4, alpha=points), learning_rate=0.1)

    heard = []

    def swallow(event):  # as a library's callback may
        heard.append(event.name)
        if event.name == "segment" and heard.count("segment") == 1:
            with contextlib.suppress(KeyboardInterrupt):
                signal.raise_signal(signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    how = dict(grid={"points": [1.0, 2.0]}, times=[0, 1, 2, 3], progress=False)
    with pytest.raises(KeyboardInterrupt), Interrupts() as interrupts:
        js.sweep(system, **how, listeners=[swallow, interrupts])
    assert heard.count("segment") == 1 and signal.getsignal(signal.SIGINT) is before
    with Interrupts() as interrupts:
        js.sweep(system, **how, listeners=[interrupts])


@pytest.mark.slow
def test_run_refuses_an_old_folder_resumes_on_request_and_judges_strictly(tmp_path, capsys):
    command = ["run", "overparameterised_sensing", "--out", str(tmp_path), "--no-figures"]
    assert main([*command, "--strict"]) == OK
    assert "not tested here" in capsys.readouterr().out
    assert main(command) == BAD_INPUT
    assert "add --resume" in capsys.readouterr().err
    assert main([*command, "--resume"]) == OK
    assert json.loads((tmp_path / "smoke-claims.json").read_text())["claims"]


def test_run_on_other_data(tmp_path, monkeypatch, capsys):
    pytest.importorskip("mlxtend")
    other = find_study("cover_capacity")
    study, one = find_study("sgd_regimes"), {"grid": {"alpha": [1.0], "temperature": [1.0]}, "times": [0, 3], "seeds": 2}
    small = {"plane": study.scales["smoke"]["plane"] | one}
    small = dataclasses.replace(study, scales={"smoke": small}, measure=lambda runs: {})
    monkeypatch.setattr("jaxscale.cli.studies.find_study", lambda name: small)
    monkeypatch.chdir(tmp_path)
    assert main(["run", "sgd_regimes", "--source", "mnist", "--no-figures"]) == OK
    assert list(js.load("runs/sgd_regimes-mnist/smoke-plane")["source"].values) == ["mnist"]
    monkeypatch.setattr("jaxscale.cli.studies.find_study", lambda name: other)
    assert main(["run", "cover_capacity", "--source", "mnist"]) == BAD_INPUT
    assert "none of its sweeps has 'source' in static=" in capsys.readouterr().err


def test_strict_fails_when_a_claim_is_not_met(monkeypatch, tmp_path):
    from jaxscale import study

    class Missed:
        verdicts = {"a": study.NOT_MET}

    monkeypatch.setattr(study, "run_study", lambda *a, **k: Missed())
    command = ["run", "sgd_noise", "--out", str(tmp_path / "x")]
    assert main(command) == OK
    assert main([*command, "--strict"]) == FAILED


@pytest.mark.slow
def test_interrupt_leaves_a_resumable_store(tmp_path):
    command = [sys.executable, "-m", "jaxscale.cli", "run", "overparameterised_sensing", "--out", str(tmp_path), "--no-figures"]
    env = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "cache")}
    child = subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True)
    deadline = time.time() + 120
    while not list(tmp_path.glob("*/manifest.json")) and time.time() < deadline:
        time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=120)
    assert child.returncode == INTERRUPTED, err
    assert "with --resume goes on" in err
    done = subprocess.run([*command, "--resume"], env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == OK, done.stderr
