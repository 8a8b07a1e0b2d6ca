"""The arrows of the architecture are a test, not a hope; and the tree says what it holds."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import jaxscale
import jaxscale.models
from jaxscale.discovery import discover

SOURCE = Path(jaxscale.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
LAYERS = ["lazy shapes records discovery", "protocol", "resampling variance_models", "data theory", "models", "dynamics"]
LAYERS += ["simulation", "engine", "fitting", "phase", "plot", "report", "study", "studies", "cli"]
ROOMS = ["errors", "events", "listeners", "machine", "ask", "run", "keep", "store", "place", "forecast", "loading"]
ROOMS += ["sweeping", "audit"]


def imported(source, module, is_package=False):
    """Dotted names that a module's text imports, in any form: names taken from a package may be its modules."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = module.split(".")[: None if not node.level else len(module.split(".")) - node.level + is_package]
            start = ".".join([*(base if node.level else []), *([node.module] if node.module else [])])
            yield start
            yield from (f"{start}.{alias.name}" for alias in node.names)


def modules():
    """{dotted name: file} of the whole package."""
    named = {}
    for file in FILES:
        parts = ("jaxscale", *file.relative_to(SOURCE).with_suffix("").parts)
        named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return named


def offences(source, module, layers, depth):
    """Imports that go down an order of layers; `depth` is where a dotted name says the layer."""
    rank = {name: level for level, names in enumerate(layers) for name in names.split()}
    here = module.split(".")[depth] if module.count(".") >= depth else None
    if here is None:
        return []
    assert here in rank, f"{here} has no place in the layers"
    prefix = module.split(".")[:depth]
    there = [name.split(".") for name in imported(source, module)]
    inside = [name for name in there if name[:depth] == prefix and len(name) > depth and name[depth] in rank]
    return [".".join(name) for name in inside if name[depth] != here and rank[name[depth]] >= rank[here]]


@pytest.mark.parametrize("layers, depth, below", [(LAYERS, 1, "jaxscale"), (ROOMS, 2, "jaxscale.engine")])
def test_no_layer_knows_the_one_above(layers, depth, below):
    for module, file in modules().items():
        if module.startswith(below + "."):
            assert not (bad := offences(file.read_text(), module, layers, depth)), f"{module} imports {bad}"


@pytest.mark.parametrize(
    "line",
    [
        "from jaxscale.engine.sweeping import sweep", "import jaxscale.engine.sweeping", "import jaxscale.engine.sweeping as s",
        "from jaxscale import engine", "from jaxscale.engine import sweeping", "    from jaxscale import fitting",
        "from .. import engine", "from ..engine import sweeping",
    ],
)  # fmt: skip
def test_every_form_of_import_is_seen(line):
    source = f"def f():\n{line}" if line[0] == " " else line
    assert offences(source, "jaxscale.models.perceptron", LAYERS, 1)
    assert not offences("from jaxscale import records\nimport jaxscale.data.margin", "jaxscale.models.perceptron", LAYERS, 1)


def cycle(arrows):
    """Some cycle of {name: names it imports}, or None."""
    state, path = {}, []

    def visit(name):
        state[name] = "open"
        path.append(name)
        for other in sorted(arrows.get(name, ())):
            if state.get(other) == "open":
                return [*path[path.index(other) :], other]
            if other not in state and (round_trip := visit(other)):
                return round_trip
        path.pop()
        state[name] = "closed"
        return None

    return next(filter(None, (visit(name) for name in sorted(arrows) if name not in state)), None)


def test_no_module_imports_itself_by_a_round_trip():
    """Imports inside functions count: a file that needs the one that needs it is one file, or three."""
    known = modules()
    packages = {name for name, file in known.items() if file.name == "__init__.py"}  # they hand on what they hold
    arrows = {
        name: {other for other in imported(file.read_text(), name) if other in known and other not in packages} - {name}
        for name, file in known.items() if name not in packages
    }  # fmt: skip
    assert cycle(arrows) is None
    assert cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) == ["a", "b", "c", "a"]


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(SOURCE)))
def test_files_stay_one_idea(file):
    assert len(file.read_text().splitlines()) <= 330


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(SOURCE)))
def test_public_docstrings_tell_a_stranger_something(file):
    """A first line of under 26 characters never did."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            text = ast.get_docstring(node)
            assert text is None or len(text) >= 26, f"{file.name}:{node.lineno} {node.name}: {text!r}"


def test_importing_jaxscale_loads_no_heavy_library():
    heavy = "flax xarray matplotlib scipy.optimize sklearn pandas orbax"
    code = f"import jaxscale, sys; print([m for m in {heavy.split()} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"


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

    def loss(self, w, data, key=None):
        return self.curvature * jnp.sum(w**2) / 2

    def observe(self, w, data):
        return {"loss": self.loss(w, data)}


TINY = Quadratic(d=2, curvature=1.0)
'''
