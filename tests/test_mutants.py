"""Every bug of `make mutants` can still be planted: a rename is heard of here, and not when the mutants are next run."""

import shutil
import sys
from pathlib import Path

import pytest

import jaxscale

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def mutants():
    """All of them, as the runner knows them."""
    sys.path.insert(0, str(HERE / "mutants"))
    try:
        import run

        return run.MUTANTS
    finally:
        sys.path.remove(str(HERE / "mutants"))


def test_all_can_be_planted_and_taken_out_again(mutants, tmp_path):
    source = Path(jaxscale.__file__).parent
    shutil.copytree(source, tmp_path / "src" / "jaxscale", ignore=shutil.ignore_patterns("__pycache__"))
    for mutant in mutants:
        file = tmp_path / "src" / "jaxscale" / mutant.file
        before = file.read_text()
        take_out = mutant.plant(tmp_path)
        compile(file.read_text(), mutant.file, "exec")
        assert file.read_text() != before
        take_out()
        assert file.read_text() == before


def test_there_are_enough_and_their_tests_exist(mutants):
    assert len({mutant.name for mutant in mutants}) == len(mutants) >= 60
    assert sum(mutant.audit and not mutant.harmless for mutant in mutants) >= 26
    for mutant in mutants:
        for file in (test.partition("::")[0] for test in mutant.tests):
            assert not file.startswith("tests/") or (HERE.parent / file).exists(), f"{mutant.name} names {file}"
