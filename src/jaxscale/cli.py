"""The command line: `jaxscale studies | run | plan | status | verify | merge | devices`."""

import argparse
import sys
from pathlib import Path

OK, FAILED, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
SCALES = ("smoke", "laptop", "accelerator")


def main(argv: list[str] | None = None) -> int:
    """Parse, run, and return the exit code: 0 done, 1 a claim was not met (with --strict), 2 bad input, 130 interrupted."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.command(arguments)
    except KeyboardInterrupt:
        where = getattr(arguments, "out", None)
        print(
            f"\ninterrupted; finished runs are kept{f' in {where}' if where else ''}. The same command with --resume goes on.",
            file=sys.stderr,
        )
        return INTERRUPTED
    except (ValueError, TypeError, ModuleNotFoundError, FileNotFoundError) as error:
        notes = " ".join(getattr(error, "__notes__", []))
        print(f"jaxscale: {error} {notes}".rstrip(), file=sys.stderr)
        return BAD_INPUT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="jaxscale",
        description="Thousands of seeds of small learning systems in one program: diagrams, exponents, verdicts.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    studies = commands.add_parser("studies", help="list the studies: one paper, one question each")
    studies.set_defaults(command=_studies)

    run = commands.add_parser("run", help="run a study and print claimed against found")
    run.add_argument("study", help="name, as `jaxscale studies` prints it")
    run.add_argument("--scale", default="smoke", choices=SCALES, help="smoke: seconds; laptop: minutes (default: smoke)")
    run.add_argument("--out", type=Path, help="folder for stores, figures and claims.json (default: runs/STUDY)")
    run.add_argument("--resume", action="store_true", help="go on with the stores in --out; without it they must not exist")
    run.add_argument("--strict", action="store_true", help="exit with 1 when a claim is not met")
    run.add_argument("--no-figures", action="store_true", help="do not draw (matplotlib is then not needed)")
    run.add_argument("--pieces", metavar="I/N", help="compute the I-th of N parts (from 0) into --out; any number at a time")
    run.add_argument("--metrics", type=Path, help="append what happens to this file, one JSON object a line")
    run.add_argument("--profile", type=Path, help="folder for a trace to open at ui.perfetto.dev")
    run.set_defaults(command=_run)

    plan = commands.add_parser("plan", help="say what a study will take, without running it")
    plan.add_argument("study", help="name, as `jaxscale studies` prints it")
    plan.add_argument("--scale", choices=SCALES, help="default: smoke; with --topology: accelerator")
    plan.add_argument("--topology", help="compile for chips that are not here, e.g. v5e:16x16, v6e:2x4, v5p:2x2x1, A100:8")
    plan.set_defaults(command=_plan)

    status = commands.add_parser("status", help="say how much of a store is done")
    status.add_argument("store", type=Path)
    status.set_defaults(command=_status)

    verify = commands.add_parser("verify", help="hash a store again, and make some of its runs again, bit for bit")
    verify.add_argument("store", type=Path)
    verify.add_argument("--cells", type=int, default=16, help="runs to make again (default: 16)")
    verify.add_argument("--experiment", metavar="MODULE:NAME", help="what was swept; found by itself for studies")
    verify.set_defaults(command=_verify)

    merge = commands.add_parser("merge", help="one store of several that made parts of one sweep")
    merge.add_argument("stores", type=Path, nargs="+")
    merge.add_argument("--into", type=Path, required=True, help="folder of the new store")
    merge.set_defaults(command=_merge)

    devices = commands.add_parser("devices", help="show the devices lanes will be sharded over")
    devices.set_defaults(command=_devices)
    return parser


def _found_studies():
    from jaxscale.discover import discover

    return discover("jaxscale.studies", "STUDY")


def _study(name):
    found = _found_studies()
    if name not in found:
        raise ValueError(f"there is no study '{name}'; choose from {sorted(found)}.")
    return found[name]


def _studies(arguments):
    for name, study in _found_studies().items():
        print(f"{name}\n  {study.question}\n  {study.paper}\n  {len(study.claims)} claims; scales {', '.join(study.scales)}")
    return OK


def _run(arguments):
    from jaxscale.study import NOT_MET, run_study, run_sweeps
    from jaxscale.sweep.events import JsonLines

    study = _study(arguments.study)
    arguments.out = arguments.out or Path("runs") / study.name
    how = {"listeners": [JsonLines(arguments.metrics)] if arguments.metrics else [], "profile": arguments.profile}
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
    study = _study(arguments.study)
    scale = arguments.scale or ("accelerator" if arguments.topology else "smoke")
    if not arguments.topology:
        for name, plan in study.plan(scale).items():
            print(f"{study.name}, {scale}, {name}: {plan}\n")
        return OK
    from jaxscale.sweep.topology import plan_topology

    fits = True
    for name, sweep in study.at(scale).items():
        plan = plan_topology(study.experiments[name], arguments.topology, **sweep)
        print(f"{study.name}, {scale}, {name}: {plan}\n", flush=True)
        fits &= plan.fits
    return OK if fits else FAILED


def _status(arguments):
    from jaxscale.sweep.audit import verify

    found = verify(arguments.store)
    print(found)
    return OK if found else FAILED


def _verify(arguments):
    from jaxscale.sweep.audit import Recorded, verify

    named = _named(arguments.experiment) if arguments.experiment else None
    if named is None:
        wanted = Recorded.of(arguments.store).contract.get("experiment")
        known = [e for study in _found_studies().values() for e in study.experiments.values()]
        named = next((e for e in known if f"{e.__module__}.{e.__qualname__}" == wanted), None)
        if named is None:
            print(f"'{wanted}' is no study's experiment: pieces are hashed only. --experiment MODULE:NAME makes runs again.")
    found = verify(arguments.store, named, cells=arguments.cells)
    print(found)
    return OK if found else FAILED


def _merge(arguments):
    from jaxscale.sweep.extend import merge

    merged = merge(arguments.stores, arguments.into)
    print(f"{arguments.into}: {dict(merged.sizes)}")
    return OK


def _named(text):
    """The function MODULE:NAME, asked for by the user."""
    import importlib

    module, _, name = text.partition(":")
    sys.path.insert(0, "")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"--experiment must be MODULE:NAME of a function to import; got '{text}' ({error}).") from error


def _part(text):
    """(i, n) of "i/n"."""
    try:
        i, n = (int(part) for part in text.split("/"))
    except ValueError:
        raise ValueError(f"--pieces must be I/N, e.g. 0/16; got '{text}'.") from None
    return i, n


def _devices(arguments):
    import jax

    from jaxscale.sweep.devices import cache_bytes, memory_bytes

    found = jax.local_devices()
    print(f"{len(found)} x {found[0].device_kind} ({found[0].platform}), jax {jax.__version__}")
    print(f"{memory_bytes(found) / 2**30:.1f} GiB a device for runs; second-level cache {cache_bytes() // 1024} KiB a core")
    print(f"compiled programs are kept in {jax.config.jax_compilation_cache_dir or 'memory only'}")
    return OK


if __name__ == "__main__":
    sys.exit(main())
