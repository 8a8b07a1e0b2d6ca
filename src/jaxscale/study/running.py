"""A study is run: simulate, measure, judge and draw."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any, Unpack

from jaxscale.engine.ask.options import Again, Inner
from jaxscale.engine.store.files import write_atomic
from jaxscale.engine.sweeping import sweep
from jaxscale.study.claims import MET, NOT_MET, UNDECIDED
from jaxscale.study.definition import Study
from jaxscale.study.report import Report

FORMATS = ("png", "svg", "pdf")


def run_study(
    study: Study, scale: str, *, out: str | Path | None = None, draw: bool = True, controls: bool = True, progress: bool = True,
    **how: Unpack[Inner],
) -> Report:
    """Simulate, measure, judge and draw.

    Args:
      study: what to run.
      scale: "smoke" (seconds), "laptop" (minutes) or "accelerator".
      out: folder for stores, figures (png, svg, pdf) and claims.json; running again resumes. None keeps everything in memory
        and draws nothing.
      draw: write the figures; needs the `plot` extra.
      controls: judge every claim under its control too.
      progress: show bars.
      **how: further arguments of `jaxscale.sweep` on how to run: executor, listeners, profile, ...
    """
    began = time.perf_counter()
    folder = Path(out) if out is not None else None
    runs = run_sweeps(study, scale, out=out, progress=progress, **how)
    spent = time.perf_counter() - began if any(data.attrs["runs_computed"] for data in runs.values()) else 0.0
    found = study.judged(runs)
    under = study.under_controls(runs) if controls else {}
    spent += _spent(folder / f"{scale}-claims.json") if folder else 0.0
    report = Report(study, scale, runs, found, under, (), time.perf_counter() - began, spent)
    if folder is None:
        return report
    figures = drawn(report, folder, f"{scale}-") if draw else ()
    report = dataclasses.replace(report, figures=figures, seconds=time.perf_counter() - began)
    write_atomic(folder / f"{scale}-claims.json", report.json().encode())
    return report


def _spent(path: Path) -> float:
    """Return the seconds of earlier calls, which a file of claims has."""
    return float(json.loads(path.read_text()).get("seconds", 0.0)) if path.is_file() else 0.0


def run_sweeps(
    study: Study, scale: str, *, out: str | Path | None = None, **how: Unpack[Again]
) -> dict[str, Any]:
    """Simulate only: {experiment name: Dataset}, with the study's symbols beside the units.

    Args:
      study: what to run.
      scale: as for `run_study`.
      out: folder for stores; None for memory.
      **how: further arguments of `jaxscale.sweep`, e.g. part=(i, n) to compute a part of every sweep.
    """
    stores = {name: Path(out) / f"{scale}-{name}" if out is not None else None for name in study.experiments}
    runs = {
        name: sweep(study.experiments[name], **arguments, store=stores[name], **how)
        for name, arguments in study.at(scale).items()
    }
    for data in runs.values():
        for name, symbol in study.symbols.items():
            if name in data.variables:
                data[name].attrs["symbol"] = symbol
    return runs


def drawn(report: Report, folder: Path, prefix: str = "", formats: tuple[str, ...] = FORMATS) -> tuple[Path, ...]:
    """Draw a study's figures and the forest of its claims into a folder; return the png files."""
    from jaxscale.plot.judged import forest
    from jaxscale.plot.style import paper, save

    verdicts = list(report.verdicts.values())
    corner = ", ".join(f"{verdicts.count(v)} {v}" for v in (MET, NOT_MET, UNDECIDED) if v in verdicts)
    with paper():
        figures = report.study.draw(report.runs, report.found)
        for figure in figures.values():
            figure.suptitle(f"{report.study.name}, {report.scale} scale: {corner}", x=0.995, ha="right", color="0.4")
    figures["claims"] = forest(report).figure
    return tuple(save(figure, folder / f"{prefix}{name}", formats)[0] for name, figure in figures.items())
