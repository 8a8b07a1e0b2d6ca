"""Names open: every module is reached by attribute and by import, and no public name has the name of a module."""

import importlib
import pkgutil
import subprocess
import sys

import pytest
import stubs

import jaxscale

FOUND = pkgutil.walk_packages(jaxscale.__path__, "jaxscale.")
MODULES = sorted(module.name for module in FOUND if "__main__" not in module.name)
LAST = {name.rpartition(".")[2] for name in MODULES}
PACKAGES = list(stubs.packages())

WALK = """
import functools, sys
import jaxscale
for name in sys.argv[1:]:
    by_attribute = functools.reduce(getattr, name.split(".")[1:], jaxscale)
    exec(f"import {name} as by_import")
    assert by_attribute is by_import is sys.modules[name], name
    assert name.split(".")[1] in dir(jaxscale), name
"""


def test_every_module_is_reached_by_attribute_and_by_import():
    done = subprocess.run([sys.executable, "-c", WALK, *MODULES], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_there_and_are_no_modules(package):
    module = importlib.import_module(package)
    assert module.__doc__ and len(set(module.__all__)) == len(module.__all__)
    for name in module.__all__:
        assert getattr(module, name) is not None and name in dir(module)
        assert name not in LAST, f"{package}.{name} has the name of a module"
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'nothing_of_this_name'"):
        module.nothing_of_this_name  # noqa: B018


@pytest.mark.parametrize("package", PACKAGES)
def test_stubs_say_what_packages_hand_on(package):
    file, text = stubs.stub(package)
    assert file.exists() and file.read_text() == text, f"{file.name} of {package} is old: run `make stubs`"


def test_a_users_script_finds_its_names():
    wanted = "Descent sgd sweep plan load fit compare boundary collapse transition refine time_to verify top_up extend merge"
    assert set(wanted.split()) <= set(jaxscale.__all__)


def test_every_package_says_what_it_is_for():
    for name in ["jaxscale", *MODULES]:
        assert (importlib.import_module(name).__doc__ or "").strip(), name
