"""The command line: `jaxscale studies | run | plan | devices`."""

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
    run.set_defaults(command=_run)

    plan = commands.add_parser("plan", help="say what a study will take, without running it")
    plan.add_argument("study", help="name, as `jaxscale studies` prints it")
    plan.add_argument("--scale", default="smoke", choices=SCALES, help="default: smoke")
    plan.set_defaults(command=_plan)

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
    from jaxscale.study import NOT_MET, run_study

    study = _study(arguments.study)
    arguments.out = arguments.out or Path("runs") / study.name
    if not arguments.resume and (old := sorted(arguments.out.glob(f"{arguments.scale}-*/manifest.json"))):
        raise ValueError(
            f"--out {arguments.out} already holds runs ({old[0].parent.name}, ...); add --resume, or choose another folder."
        )
    report = run_study(study, arguments.scale, out=arguments.out, draw=not arguments.no_figures)
    print(report)
    return FAILED if arguments.strict and NOT_MET in report.verdicts.values() else OK


def _plan(arguments):
    study = _study(arguments.study)
    for name, plan in study.plan(arguments.scale).items():
        print(f"{study.name}, {arguments.scale}, {name}: {plan}\n")
    return OK


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
