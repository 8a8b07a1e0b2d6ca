"""Published tables stand beside the project, not in it: absent, a test skips and says so."""

import os
from pathlib import Path

import pytest

TABLES = Path(os.environ.get("JAXSCALE_TABLES", Path(__file__).parents[2] / "shared" / "data"))


def published(file):
    """The path of a table."""
    path = TABLES / file
    if not path.exists():
        pytest.skip(f"the table {file} is not here; set JAXSCALE_TABLES to the folder that holds it")
    return path
