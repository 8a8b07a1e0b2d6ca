"""What other packages bring is found: through entry points, by module, by file; and what is broken is left out, not fatal."""

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jaxscale.cli import main
from jaxscale.cli.codes import BAD_INPUT, OK
from jaxscale.discovery import DiscoveryWarning, discover

TEMPLATE = Path(__file__).parents[1] / "docs" / "template"


def announce(monkeypatch, **entries):
    """As if a package were installed that announces these laws."""
    found = [importlib.metadata.EntryPoint(name, value, "jaxscale.laws") for name, value in entries.items()]
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: found if group == "jaxscale.laws" else [])


@pytest.fixture
def template(monkeypatch):
    monkeypatch.syspath_prepend(str(TEMPLATE / "src"))


def test_a_module_or_an_object_may_be_announced(monkeypatch, template):
    announce(monkeypatch, mylab_exponential="mylab.exponential", other="mylab.exponential:LAW", nothing="mylab.deep_scalar")
    laws = discover("jaxscale.fitting.laws", "LAW")
    assert laws["mylab_exponential"] is laws["other"] and laws["other"].name == "mylab_exponential" and "power" in laws
    assert "nothing" not in laws


@pytest.mark.parametrize(
    "entry, why",
    [({"gone": "mylab.gone"}, "ModuleNotFoundError"), ({"power": "mylab.exponential:LAW"}, "one of this name already")],
)
def test_what_cannot_be_used_is_left_out_with_a_warning(monkeypatch, template, entry, why):
    ours = discover("jaxscale.fitting.laws", "LAW")
    announce(monkeypatch, **entry)
    with pytest.warns(DiscoveryWarning, match=f"'{next(iter(entry))}' of a package .*left out: .*{why}"):
        assert discover("jaxscale.fitting.laws", "LAW") == ours


@pytest.mark.parametrize("named", ["mylab.escape:STUDY", str(TEMPLATE / "src" / "mylab" / "escape.py")])
def test_a_study_of_ones_own_runs(template, tmp_path, capsys, named):
    assert main(["run", named, "--out", str(tmp_path), "--no-figures"]) == OK
    assert "per factor e" in (out := " ".join(capsys.readouterr().out.split())) and " met" in out


@pytest.mark.parametrize("named", ["mylab.gone:STUDY", "gone.py", "mylab.escape:GONE", "json.py"])
def test_a_study_that_is_not_there(template, tmp_path, monkeypatch, capsys, named):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "json.py").write_text("STUDY = 1\n")
    assert main(["plan", named]) == BAD_INPUT
    assert "must be MODULE:NAME or FILE.py:NAME" in capsys.readouterr().err


@pytest.mark.slow
def test_the_template_is_built_installed_and_found(tmp_path):
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(tmp_path / "site"), str(TEMPLATE)]
    built = subprocess.run(pip, capture_output=True, text=True, timeout=300)
    if built.returncode and "hatchling" in built.stderr:
        pytest.skip("the build backend cannot be fetched here")
    assert built.returncode == 0, built.stderr
    environment = os.environ | {"PYTHONPATH": str(tmp_path / "site")}

    def jaxscale(*arguments):
        command = [sys.executable, "-m", "jaxscale.cli", *arguments]
        return subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=300)

    assert "mylab_escape" in jaxscale("studies").stdout and "mylab_exponential" in jaxscale("laws").stdout
    done = jaxscale("run", "mylab_escape", "--out", "runs", "--no-figures", "--strict")
    assert done.returncode == 0, done.stdout + done.stderr
    check = (
        "import jaxscale as js; from jaxscale.data.world import check_world; from jaxscale.discovery import discover as d\n"
        "js.check_model(d('jaxscale.models', 'TINY')['mylab_deep_scalar'], quick=True)\n"
        "check_world(d('jaxscale.data', 'TINY')['mylab_copying'])\n"
        "assert d('jaxscale.dynamics.rules', 'RULE')['mylab_sign_descent'].decay == 0.1"
    )
    done = subprocess.run([sys.executable, "-c", check], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
