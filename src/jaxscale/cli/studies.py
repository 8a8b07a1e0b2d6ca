"""`jaxscale studies | run | plan`."""

import difflib
import importlib
import sys
from pathlib import Path
from typing import Any

from jaxscale.cli.codes import FAILED, OK
from jaxscale.cli.interrupts import Interrupts

SCALES = ("smoke", "laptop", "accelerator")
GALLERY = Path("docs/gallery")
STUDY = "name, as `jaxscale studies` prints it; or MODULE:STUDY or FILE.py of your own"


def add(commands: Any) -> None:
    """Add the commands of this file."""
    studies = commands.add_parser("studies", help="list the studies: one paper, one question each")
    studies.add_argument("--verdicts", action="store_true", help="the table of what they found, of the gallery in --gallery")
    studies.add_argument("--gallery", type=Path, default=GALLERY, help=f"its folder (default: {GALLERY})")
    studies.set_defaults(command=_studies)

    gallery = commands.add_parser("gallery", help="run all studies, or go on, and keep figures and claims to be committed")
    gallery.add_argument("studies", nargs="*", metavar="STUDY", help="default: all")
    gallery.add_argument("--scale", default="laptop", choices=SCALES, help="default: laptop")
    gallery.add_argument("--out", type=Path, default=GALLERY, help=f"default: {GALLERY}")
    gallery.add_argument("--runs", type=Path, default=Path("runs/gallery"), help="folder of the stores (default: runs/gallery)")
    gallery.set_defaults(command=_gallery)

    run = commands.add_parser("run", help="run a study and print claimed against found")
    run.add_argument("study", help=STUDY)
    run.add_argument("--scale", default="smoke", choices=SCALES, help="smoke: seconds; laptop: minutes (default: smoke)")
    run.add_argument("--out", type=Path, help="folder for stores, figures and claims.json (default: runs/STUDY)")
    run.add_argument("--source", help="of its data, where the study has a choice: mnist, or a folder of images")
    run.add_argument("--resume", action="store_true", help="go on with the stores in --out; without it they must not exist")
    run.add_argument("--strict", action="store_true", help="exit with 1 when a claim is not met")
    run.add_argument("--no-figures", action="store_true", help="do not draw (matplotlib is then not needed)")
    run.add_argument("--pieces", metavar="I/N", help="compute the I-th of N parts (from 0) into --out; any number at a time")
    run.add_argument("--metrics", type=Path, help="append what happens to this file, one JSON object a line")
    run.add_argument("--profile", type=Path, help="folder for a trace to open at ui.perfetto.dev")
    run.set_defaults(command=_run)

    plan = commands.add_parser("plan", help="say what a study will take, without running it")
    plan.add_argument("study", help=STUDY)
    plan.add_argument("--scale", choices=SCALES, help="default: smoke; with --topology: accelerator")
    plan.add_argument("--topology", help="compile for chips that are not here, e.g. v5e:16x16, v6e:2x4, v5p:2x2x1, A100:8")
    plan.set_defaults(command=_plan)


def found_studies() -> dict[str, Any]:
    """Return every study by name."""
    from jaxscale.discovery import discover

    return discover("jaxscale.studies", "STUDY")


def find_study(name: str) -> Any:
    """Return a study by name, or the one in MODULE:STUDY or FILE.py:STUDY, or `STUDY` of FILE.py.

    Raises:
      ValueError: there is none.
    """
    if ":" in name or name.endswith(".py"):
        where, _, attribute = name.partition(":")
        return imported(where, attribute or "STUDY", "the study")
    known = found_studies()
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        hint = f"did you mean '{near[0]}'?" if near else "`jaxscale studies` lists them."
        raise ValueError(f"there is no study '{name}'; {hint} One of your own is MODULE:STUDY or FILE.py.")
    return known[name]


def imported(where: str, name: str, what: str) -> Any:
    """Return `name` of a module, given by its dotted name or its file, so that other processes can import it too.

    Raises:
      ValueError: no such module or file, nothing of that name in it, or a file whose name another module has.
    """
    file = Path(where) if where.endswith(".py") else None
    sys.path.insert(0, str(file.resolve().parent) if file else "")
    try:
        module = importlib.import_module(file.stem if file else where)
        if file and Path(module.__file__ or "").resolve() != file.resolve():
            raise ImportError(f"another module is called {file.stem}; rename the file")
        return getattr(module, name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"{what} must be MODULE:NAME or FILE.py:NAME to import; got '{where}:{name}' ({error}).") from error


def _studies(arguments):
    if arguments.verdicts:
        from jaxscale.study.gallery import table

        if not arguments.gallery.is_dir():
            raise ValueError(
                f"--gallery {arguments.gallery} is no folder; run this in a checkout, whose docs/gallery has it, or make one "
                "with: jaxscale gallery"
            )
        print(table(arguments.gallery, found_studies()))
        return OK
    for name, study in found_studies().items():
        print(f"{name}\n  {study.question}\n  {study.paper}\n  {len(study.claims)} claims; scales {', '.join(study.scales)}")
    return OK


def _gallery(arguments):
    from jaxscale.study.gallery import index, make, table

    names = arguments.studies or list(found_studies())
    for name in names:
        record = make(find_study(name), arguments.out, runs=arguments.runs, scale=arguments.scale)
        verdicts = ", ".join(f"{claim['name']} {claim['verdict']}" for claim in record["claims"])
        print(f"{name}, {record['seconds']:.0f} s: {verdicts}", flush=True)
    index(arguments.out, found_studies())
    print(table(arguments.out, found_studies()))
    return OK


def _run(arguments):
    with Interrupts() as interrupts:
        return _run_listening(arguments, interrupts)


def _run_listening(arguments, interrupts):
    from jaxscale.engine.listeners import JsonLines
    from jaxscale.study import NOT_MET, run_study, run_sweeps

    study = find_study(arguments.study)
    if arguments.source:
        study = study.on(arguments.source)
    of = f"-{Path(arguments.source).name}" if arguments.source else ""
    arguments.out = arguments.out or Path("runs") / f"{study.name}{of}"
    listeners = [interrupts, *([JsonLines(arguments.metrics)] if arguments.metrics else [])]
    how = {"listeners": listeners, "profile": arguments.profile}
    if arguments.pieces:
        run_sweeps(study, arguments.scale, out=arguments.out, part=_part(arguments.pieces), **how)
        print(f"part {arguments.pieces} is stored in {arguments.out}; when all are, the same command with --resume judges")
        return OK
    if not arguments.resume and (old := sorted(arguments.out.glob(f"{arguments.scale}-*/manifest.json"))):
        raise ValueError(
            f"--out {arguments.out} already holds runs ({old[0].parent.name}, ...); add --resume, or choose another folder."
        )
    report = run_study(study, arguments.scale, out=arguments.out, draw=not arguments.no_figures, **how)
    print(report)
    return FAILED if arguments.strict and NOT_MET in report.verdicts.values() else OK


def _plan(arguments):
    study = find_study(arguments.study)
    scale = arguments.scale or ("accelerator" if arguments.topology else "smoke")
    if not arguments.topology:
        for name, plan in study.plan(scale).items():
            print(f"{study.name}, {scale}, {name}: {plan}\n")
        return OK
    from jaxscale.engine.forecast.topology import plan_topology

    fits = True
    for name, sweep in study.at(scale).items():
        plan = plan_topology(study.experiments[name], arguments.topology, **sweep)
        print(f"{study.name}, {scale}, {name}: {plan}\n", flush=True)
        fits &= plan.fits
    return OK if fits else FAILED


def _part(text):
    """(i, n) of "i/n"."""
    try:
        i, n = (int(part) for part in text.split("/"))
    except ValueError:
        raise ValueError(f"--pieces must be I/N, e.g. 0/16; got '{text}'.") from None
    return i, n
