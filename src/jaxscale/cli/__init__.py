"""The command line. Every file of this folder adds its commands: `add(commands)`."""

import argparse
import sys

from jaxscale.cli.codes import BAD_INPUT, INTERRUPTED
from jaxscale.discovery import discover


def main(argv: list[str] | None = None) -> int:
    """Parse, run, and return the exit code: 0 done, 1 a claim was not met (with --strict), 2 bad input, 130 interrupted."""
    arguments = parser().parse_args(argv)
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


def parser() -> argparse.ArgumentParser:
    """The parser with every command found."""
    made = argparse.ArgumentParser(
        prog="jaxscale",
        description="Thousands of seeds of small learning systems in one program: diagrams, exponents, verdicts.",
    )
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    for add in discover("jaxscale.cli", "add").values():
        add(commands)
    return made
