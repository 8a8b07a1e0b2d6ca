"""The arrows of the architecture are a test, not a hope; and the tree says what it holds."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import jaxscale
import jaxscale.models
from jaxscale.discover import discover

SOURCE = Path(jaxscale.__file__).parent
LAYERS = ["record discover", "protocol", "data theory", "models", "dynamics", "simulate", "sweep", "fit", "phase", "plot"]
LAYERS += ["report", "study", "studies", "cli"]
RANK = {name: level for level, names in enumerate(LAYERS) for name in names.split()}
FILES = sorted(SOURCE.rglob("*.py"))


def test_no_layer_knows_the_one_above():
    for file in FILES:
        here = file.relative_to(SOURCE).parts[0].removesuffix(".py")
        if here == "__init__":
            continue
        assert here in RANK, f"{here} has no place in the layers"
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("jaxscale."):
                there = node.module.split(".")[1]
                assert there == here or RANK[there] < RANK[here], f"{file.name} imports {node.module}"


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(SOURCE)))
def test_files_stay_one_idea(file):
    assert len(file.read_text().splitlines()) <= 330


def test_importing_jaxscale_loads_no_heavy_library():
    heavy = "flax xarray matplotlib scipy.optimize sklearn pandas orbax"
    code = f"import jaxscale, sys; print([m for m in {heavy.split()} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"


def test_everything_public_is_there():
    for name in jaxscale.__all__:
        assert hasattr(jaxscale, name)
    assert len(jaxscale.__all__) <= 24


def test_a_model_dropped_into_models_is_found_checked_and_swept(tmp_path, monkeypatch):
    (tmp_path / "quadratic.py").write_text(MODEL)
    monkeypatch.setattr(jaxscale.models, "__path__", [*jaxscale.models.__path__, str(tmp_path)])
    found = discover("jaxscale.models", "TINY")
    assert "quadratic" in found and "perceptron" in found
    jaxscale.check_model(found["quadratic"])
    model = importlib.import_module("jaxscale.models.quadratic").Quadratic
    runs = jaxscale.sweep(
        lambda curvature: jaxscale.Descent(model=model(d=2, curvature=curvature), learning_rate=0.1),
        grid={"curvature": [1.0, 2.0]}, seeds=3, times=[0, 5], width=2, progress=False,
    )  # fmt: skip
    expected = (1 - 0.1 * runs["curvature"]) ** 10 * runs["loss"].isel(time=0)
    assert abs(runs["loss"].isel(time=1) / expected - 1).max() < 1e-5


MODEL = '''
"""A quadratic bowl."""

import jax
import jax.numpy as jnp

from jaxscale import record, static


@record
class Quadratic:
    """Half curvature times the squared distance from the origin."""

    d: int = static()
    curvature: float

    def sample(self, key):
        return ()

    def init(self, key, data):
        return jax.random.normal(key, (self.d,))

    def loss(self, w, data, key):
        return self.curvature * jnp.sum(w**2) / 2

    def observe(self, w, data):
        return {"loss": self.loss(w, data, None)}


TINY = Quadratic(d=2, curvature=1.0)
'''
