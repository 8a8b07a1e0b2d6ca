"""Small pieces, so that small sweeps have several."""

import sys

import coupled_maps
import pytest


@pytest.fixture(autouse=True, scope="session")
def small_pieces():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["jaxscale.engine.place.local"], "FIRST_BLOCKS", 4)
        yield


@pytest.fixture(scope="module")
def chaos():
    """The module of a chaotic experiment, in a folder where other processes find it too."""
    return coupled_maps
