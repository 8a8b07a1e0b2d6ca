"""Plant every mutant in a copy of the repository, run the tests that should notice, and print the share caught.

    python tests/mutants/run.py [--only NAME ...] [--jobs N] [--list]

A mutant is caught when its tests fail with it and pass without it. The checkout itself is never touched.
"""

import argparse
import os
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import of_audit
import of_engine
import of_physics
import of_statistics
from planted import Mutant

MUTANTS: tuple[Mutant, ...] = of_audit.MUTANTS + of_engine.MUTANTS + of_statistics.MUTANTS + of_physics.MUTANTS
REPOSITORY = Path(__file__).resolve().parents[2]
ENOUGH = 0.95  # share of all that count
SECONDS = 600  # for the tests of one mutant; what hangs is noticed
FAILED, HUNG = 1, -1  # of pytest, and of a process that was stopped


def main() -> int:
    """Run what is asked for and return the exit code: 1 if too many survive, or one of the audit's."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="mutants whose name holds one of these")
    parser.add_argument("--jobs", type=int, default=1, help="how many at a time")
    parser.add_argument("--list", action="store_true", help="print names and tests, and run nothing")
    asked = parser.parse_args()
    chosen = [m for m in MUTANTS if not asked.only or any(part in m.name for part in asked.only)]
    if not chosen:
        parser.error(f"no mutant is called {asked.only}; see --list")
    if asked.list:
        print(*(f"{m.name:<52} {m.file:<42} {' '.join(m.tests)}" for m in chosen), sep="\n")
        return 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        copies = [copied(Path(folder) / str(job)) for job in range(max(asked.jobs, 1))]
        for mutant in MUTANTS:
            mutant.plant(copies[0])()  # all of them first: a rename should be heard of at once
        passes_clean(chosen, copies)
        found = each(copies, chosen, verdict)
    return summary(dict(zip(chosen, found)))


def each(copies: list[Path], items: list[Any], act: Callable[[Any, Path, str], Any]) -> list[Any]:
    """Return act(item, a copy that nobody else uses meanwhile, its number) of every item, as many at a time as copies."""
    free: queue.Queue[Path] = queue.Queue()
    for copy in copies:
        free.put(copy)

    def one(at: int, item: Any) -> Any:
        copy = free.get()
        try:
            return act(item, copy, f"{at:>3}/{len(items)}")
        finally:
            free.put(copy)

    with ThreadPoolExecutor(len(copies)) as pool:
        return list(pool.map(one, range(1, len(items) + 1), items))


def copied(copy: Path) -> Path:
    """Copy what git knows or would add, and return where."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    for name in subprocess.run(command, cwd=REPOSITORY, capture_output=True, check=True, text=True).stdout.split("\0"):
        if (REPOSITORY / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(REPOSITORY / name, copy / name)
    return copy


def run(arguments: Iterable[str], copy: Path) -> subprocess.CompletedProcess[str]:
    """Run Python in a copy, with its package; no bytecode: a file changed twice in a second would pass for the one before."""
    environment = os.environ | {"PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, *arguments]
    return subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=SECONDS)


def tested(tests: Iterable[str], copy: Path) -> tuple[int, str]:
    """Run tests on a copy; return pytest's exit code and what it said."""
    try:
        done = run(["-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests], copy)
    except subprocess.TimeoutExpired:
        return HUNG, f"no end after {SECONDS} s"
    return done.returncode, done.stdout + done.stderr


def passes_clean(mutants: list[Mutant], copies: list[Path]) -> None:
    """Run every selection of tests on a clean copy once.

    Raises:
      SystemExit: one does not pass, so that nothing can be said to be caught by it.
    """
    where = run(["-c", "import jaxscale; print(jaxscale.__file__)"], copies[0])
    if not where.stdout.startswith(str(copies[0])):
        raise SystemExit(f"the copy is not what is imported: {where.stdout}{where.stderr}")

    def clean(tests: tuple[str, ...], copy: Path, number: str) -> str:
        began, (code, said) = time.perf_counter(), tested(tests, copy)
        passes = code == 0 and re.search(r"^[.s]*\.[.s]* *\[", said, re.MULTILINE)  # a dot: not all of them are skipped
        took = f"{time.perf_counter() - began:5.1f} s"
        print(f"{number} {took} clean: {'passes' if passes else 'FAILS '} {' '.join(tests)}", flush=True)
        return "" if passes else " ".join(tests) + "\n" + "\n".join(said.splitlines()[-12:])

    if broken := list(filter(None, each(copies, sorted({mutant.tests for mutant in mutants}), clean))):
        raise SystemExit("these tests do not pass without any mutant:\n" + "\n".join(broken))


def verdict(mutant: Mutant, copy: Path, number: str) -> str:
    """Plant one mutant, run its tests, undo it, print a line; return "caught", "SURVIVED" or "no test ran"."""
    began, undo = time.perf_counter(), mutant.plant(copy)
    try:
        code, said = tested(mutant.tests, copy)
    finally:
        undo()
    found = "caught" if code in (FAILED, HUNG) else "SURVIVED" if code == 0 else "no test ran"
    by = next((line.split(" - ")[0] for line in said.splitlines() if line.startswith(("FAILED", "ERROR"))), "")
    took = f"{time.perf_counter() - began:5.1f} s"
    print(f"{number} {took} {found:<11} {mutant.name} {'(harmless: not counted)' if mutant.harmless else by}", flush=True)
    return found


def summary(verdicts: dict[Mutant, str]) -> int:
    """Print how many were caught and who was not; return the exit code."""
    counted = {mutant: found for mutant, found in verdicts.items() if not mutant.harmless}
    left = [mutant for mutant, found in counted.items() if found != "caught"]
    caught = len(counted) - len(left)
    print(f"{caught} of {len(counted)} caught ({caught / max(len(counted), 1):.1%}); harmless: {len(verdicts) - len(counted)}")
    audit = [found for mutant, found in counted.items() if mutant.audit]
    print(f"of the audit: {audit.count('caught')} of {len(audit)}")
    for mutant in left:
        print(f"  {verdicts[mutant]}: {mutant.name} in {mutant.file}{' (of the audit)' if mutant.audit else ''}")
    return int(caught < ENOUGH * len(counted) or any(mutant.audit for mutant in left))


if __name__ == "__main__":
    sys.exit(main())
