"""Published tables stand beside the project, not in it: absent, the tests skip and say so."""

import csv
import os
from pathlib import Path

import numpy as np
import pytest

TABLES = Path(os.environ.get("JAXSCALE_TABLES", Path(__file__).parents[3] / "shared" / "data"))


@pytest.fixture(scope="session")
def table():
    """A function (file, *text columns) -> columns of a CSV file: numbers, but for those named."""

    def read(file, *text):
        path = TABLES / file
        if not path.exists():
            pytest.skip(f"the table {file} is not here; set JAXSCALE_TABLES to the folder that holds it")
        rows = list(csv.DictReader(path.read_text().splitlines()))
        return {key: np.array([row[key] if key in text else _number(row[key]) for row in rows]) for key in rows[0]}

    return read


def _number(text):
    try:
        return float(text)
    except ValueError:
        return np.nan
