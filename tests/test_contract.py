"""Everything discovered keeps the contract."""

import pytest

from jaxscale.discover import discover
from jaxscale.protocol import check_model, check_system

pytestmark = pytest.mark.smoke


def instances(package):
    """(label, instance) of every TINY found; a module may offer several."""
    for name, tiny in discover(package, "TINY").items():
        for i, one in enumerate(tiny if isinstance(tiny, tuple) else (tiny,)):
            yield pytest.param(one, id=f"{name}-{i}")


@pytest.mark.parametrize("model", instances("jaxscale.models"))
def test_model(model):
    check_model(model)


@pytest.mark.parametrize("system", instances("jaxscale.dynamics"))
def test_system(system):
    check_system(system)
