"""The README's script runs as printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.slow
def test_script_runs_as_printed(tmp_path):
    (script,) = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.S)
    assert len(script.strip().splitlines()) <= 24
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "(seeds)" in done.stdout and (tmp_path / "runs" / "sgd-noise" / "manifest.json").exists()


def test_every_linked_file_exists():
    for target in re.findall(r"\]\(([^)#:]+)\)", README.read_text()):
        assert (README.parent / target).exists(), target
