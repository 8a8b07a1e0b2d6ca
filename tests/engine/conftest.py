"""Small pieces, so that small sweeps have several."""

import coupled_maps
import pytest

from jaxscale.engine.place import local


@pytest.fixture(autouse=True, scope="session")
def small_pieces():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(local, "FIRST_BLOCKS", 4)
        yield


@pytest.fixture(scope="module")
def chaos():
    """The module of a chaotic experiment, in a folder where other processes find it too."""
    return coupled_maps
