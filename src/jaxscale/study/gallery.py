"""What was found, kept: figures, claims with intervals, and where they come from, in a folder that is committed.

`jaxscale gallery` writes it, `jaxscale studies --verdicts` prints its table, and tests hold later runs to it.
"""

import importlib.metadata
import json
import math
import platform
import subprocess
from pathlib import Path
from typing import Any

from jaxscale.engine.machine.limits import cores
from jaxscale.engine.store.files import write_atomic
from jaxscale.study.claims import MET, NOT_MET, NOT_TESTED, UNDECIDED
from jaxscale.study.definition import Study
from jaxscale.study.found import Found
from jaxscale.study.report import Report, finite
from jaxscale.study.running import drawn, run_study

PACKAGES = ("jaxscale", "jax", "jaxlib", "numpy")
DECIDED = (MET, NOT_MET)
WORDS = {"inf": math.inf, "-inf": -math.inf}


def make(study: Study, folder: Path, *, runs: Path, scale: str = "laptop", progress: bool = True) -> dict[str, Any]:
    """Run a study, or go on with it, and keep what it finds.

    Args:
      study: what to run.
      folder: of the gallery; the study's own lies inside.
      runs: folder of the stores of all studies.
      scale: of the study.
      progress: show bars.

    Returns:
      what was kept, as in claims.json.
    """
    report = run_study(study, scale, out=runs / study.name, draw=False, progress=progress)
    mine = folder / study.name
    figures = drawn(report, mine, formats=("png", "svg"))
    record = report.record() | provenance(report)
    write_atomic(mine / "claims.json", (json.dumps(finite(record), indent=1) + "\n").encode())
    write_atomic(mine / "index.md", _page(report, record, [path.name for path in figures]).encode())
    return record


def provenance(report: Report) -> dict[str, Any]:
    """Return commit, versions, device, seeds and seconds of a report."""
    data = next(iter(report.runs.values()))
    return {
        "paper": report.study.paper, "world": report.study.world, "size": report.study.size(report.scale),
        "seconds": round(report.spent, 1), "commit": _commit(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES} | {"python": platform.python_version()},
        "device": f"{data.attrs.get('platform', 'unknown')}, {cores()} cores",
    }  # fmt: skip


def kept(folder: Path, name: str) -> dict[str, Any] | None:
    """Return what the gallery has of a study, or None."""
    path = folder / name / "claims.json"
    return json.loads(path.read_text()) if path.is_file() else None


def restored(record: dict[str, Any]) -> dict[str, Found]:
    """Return the measurements of a record, as they were."""
    return {name: _found(fields) for name, fields in record["found"].items()}


def changes(record: dict[str, Any], report: Report) -> list[str]:
    """Return in what a report contradicts the gallery: verdicts that turned, numbers farther apart than their intervals."""
    old, found = restored(record), []
    verdicts = {claim["name"]: claim["verdict"] for claim in record["claims"]}
    for name, verdict in report.verdicts.items():
        before = verdicts.get(name)
        if verdict in DECIDED and before in DECIDED and verdict != before:
            found.append(f"{name}: {before} in the gallery, {verdict} now")
        for part, one, other in _pairs(name, old.get(name), report.found.get(name)):
            reach = math.hypot(*((x.interval()[1] - x.interval()[0]) / 2 for x in (one, other)))
            if one.status == other.status == "ok" and abs(one.value - other.value) > 1.5 * reach:
                found.append(f"{part}: {one} in the gallery, {other} now")
    return found


def table(folder: Path, studies: dict[str, Study]) -> str:
    """Return the verdicts of every study in the gallery, a line each, counts in front; what is missing is named."""
    lines, missing = [], []
    for name in studies:
        record = kept(folder, name)
        if record is None:
            missing.append(name)
            continue
        verdicts = [claim["verdict"] for claim in record["claims"]]
        counts = [verdicts.count(v) for v in (MET, NOT_MET, UNDECIDED, NOT_TESTED)]
        against = ", ".join(claim["name"] for claim in record["claims"] if claim["verdict"] == NOT_MET)
        lines.append([name, *map(str, counts), against])
    head = ["study", MET, NOT_MET, UNDECIDED, NOT_TESTED, "against the claim"]
    widths = [max(len(row[i]) for row in [head, *lines]) for i in range(len(head))]
    text = "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() for row in [head, *lines])
    return text + (f"\nnot in the gallery: {', '.join(missing)}" if missing else "")


def index(folder: Path, studies: dict[str, Study]) -> str:
    """Write the gallery's front page, and return it."""
    lines = [
        "# Gallery", "",
        "What every study found at laptop scale, as `jaxscale gallery` wrote it: the figure, every claim with its 95 %",
        "interval, and its control. `claims.json` beside each has commit, versions, device, seeds and seconds.", "",
        "| study | asks | met | NOT MET | undecided |", "|---|---|---|---|---|",
    ]  # fmt: skip
    for name, study in studies.items():
        record = kept(folder, name)
        if record is None:
            lines.append(f"| {name} | {study.question} | not run yet | | |")
            continue
        by = {v: [c["name"] for c in record["claims"] if c["verdict"] == v] for v in (MET, NOT_MET, UNDECIDED)}
        cells = (f"{len(by[v])}" + (f": {', '.join(by[v])}" if v != MET and by[v] else "") for v in by)
        lines.append(f"| [{name}]({name}/index.md) | {study.question} | " + " | ".join(cells) + " |")
    text = "\n".join(lines) + "\n"
    write_atomic(folder / "index.md", text.encode())
    return text


def _page(report: Report, record: dict[str, Any], figures: list[str]) -> str:
    study = report.study
    made = f"{record['size']}; {record['seconds']:.0f} s on {record['device']}; commit {record['commit']}."
    lines = [
        f"# {study.name}", "", f"{study.question[0].upper()}{study.question[1:]}", "", f"{study.paper}.", "",
        f"World: {study.world}. {report.scale.capitalize()} scale: {made}", "",
        "| kind | claim | where | range | found [95 %] | verdict | under its control |", "|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for claim in study.claims:
        found = report.found.get(claim.name)
        control = f"{claim.null}: {report.controls[claim.name]}" if claim.name in report.controls else ""
        cells = (claim.kind, claim.says, claim.where, claim.range, found or "", report.verdicts[claim.name], control)
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    claimed = {claim.name for claim in study.claims}
    rest = [f"- `{name}`: {found}" for name, found in report.found.items() if name not in claimed]
    lines += ["", *(["Without a claim:", "", *rest, ""] if rest else []), *(f"![{name}]({name})" for name in figures)]
    return "\n".join(lines) + "\n"


def _pairs(name: str, old: Found | None, new: Found | None) -> list[tuple[str, Found, Found]]:
    if old is None or new is None:
        return []
    if old.parts or new.parts:
        return [(f"{name} {part}", old.parts[part], new.parts[part]) for part in new.parts if part in old.parts]
    return [(name, old, new)]


def _found(fields: dict[str, Any]) -> Found:
    numbers = ("value", "error", "low", "high", "freedom")
    values = {name: _number(fields[name]) for name in numbers}
    parts = {name: _found(part) for name, part in fields["parts"].items()}
    return Found(**values, note=fields["note"], status=fields["status"], parts=parts)


def _number(value: Any) -> float:
    return math.nan if value is None else WORDS[value] if isinstance(value, str) else float(value)


def _commit() -> str:
    """Return the commit of the checkout this package is in, with a plus where files differ from it; "unknown" without."""
    here = Path(__file__).parent
    try:
        said = [
            subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True, timeout=20).stdout.strip()
            for words in (["rev-parse", "--short=10", "HEAD"], ["status", "--porcelain", "--untracked-files=no", "--", "."])
        ]
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return said[0] + ("+" if said[1] else "")
