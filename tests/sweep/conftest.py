"""Small pieces, so that small sweeps have several."""

import sys

import pytest


@pytest.fixture(autouse=True, scope="session")
def small_pieces():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["jaxscale.sweep.work"], "FIRST_BLOCKS", 4)
        yield
