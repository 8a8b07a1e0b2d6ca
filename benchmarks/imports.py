"""What it costs to be a guest: CPU seconds of `import jaxscale` over those of `import jax`, and of the command line.

Whole processes in turn, median of nine: user and system time of the child, as the operating system counts them.
"""

import json
import os
import platform
import statistics
import subprocess
import sys

REPEATS = 9
COMMANDS = {
    "python": ["-c", "pass"],
    "import jax": ["-c", "import jax"],
    "import jaxscale": ["-c", "import jaxscale"],
    "import jaxscale, its names used": ["-c", "import jaxscale; jaxscale.sweep, jaxscale.Descent"],
    "jaxscale --help": ["-m", "jaxscale.cli", "--help"],
    "jaxscale --version": ["-m", "jaxscale.cli", "--version"],
    "jaxscale stduies": ["-m", "jaxscale.cli", "stduies"],
}


def cpu_seconds(arguments: list[str]) -> float:
    """Return user and system seconds of one Python process."""
    before = os.times()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    after = os.times()
    return after.children_user - before.children_user + after.children_system - before.children_system


def main():
    """Print one JSON line."""
    seconds = {name: [] for name in COMMANDS}
    for _ in range(REPEATS):
        for name, arguments in COMMANDS.items():
            seconds[name].append(cpu_seconds(arguments))
    median = {name: round(statistics.median(values), 3) for name, values in seconds.items()}
    ratio = {name: round(value / median["import jax"], 2) for name, value in median.items() if "import" in name}
    print(json.dumps({"race": "imports", "cpu_s": median, "over_import_jax": ratio, "machine": platform.machine()}))


if __name__ == "__main__":
    main()
