"""What fitting and phase hand on: every public name is there, none hides a module, and modules come when they are asked for."""

import importlib
import pkgutil
import subprocess
import sys

import pytest

import jaxscale

PACKAGES = ["jaxscale.fitting", "jaxscale.phase"]


@pytest.mark.parametrize("package", PACKAGES)
def test_public_names_are_what_their_modules_call_so(package):
    here = importlib.import_module(package)
    assert here.__all__ and set(here.__all__) <= set(dir(here)) and len(set(here.__all__)) == len(here.__all__)
    for name in here.__all__:
        thing = getattr(here, name)
        assert thing.__name__ == name and thing.__module__.startswith(package) and thing.__doc__


@pytest.mark.parametrize("package", PACKAGES)
def test_no_public_name_is_a_modules(package):
    modules = {info.name.split(".")[-1] for info in pkgutil.walk_packages(jaxscale.__path__, "jaxscale.")}
    assert not modules & set(importlib.import_module(package).__all__)


@pytest.mark.parametrize("package", [*PACKAGES, "jaxscale.fitting.laws", "jaxscale.fitting.measures"])
def test_a_name_that_is_not_there_is_said_to_be_missing(package):
    here = importlib.import_module(package)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = here.nonsense
    assert not hasattr(here, "TINY")


def test_modules_are_imported_when_they_are_asked_for_and_not_before():
    code = (
        "import sys, jaxscale.fitting.laws as laws, jaxscale.fitting.measures as measures\n"
        "assert 'jaxscale.fitting.laws.hestness' not in sys.modules\n"
        "assert laws.hestness.LAW.name == 'hestness' and 'chinchilla' in dir(laws) and 'pareto' in dir(measures)\n"
        "assert list(measures.pareto.frontier([1, 2], [3, 4])) == [0, 1]\n"
        "assert 'jaxscale.fitting.laws.multi_power' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
