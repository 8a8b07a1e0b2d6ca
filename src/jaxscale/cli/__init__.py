"""The command line. Every file of this folder adds its commands: `add(commands)`. None imports JAX before it is asked to
work.
"""

import argparse
import os
import sys

from jaxscale.cli.codes import BAD_INPUT, INTERRUPTED, OK
from jaxscale.discovery import discover
from jaxscale.lazy import lazily

__getattr__, __dir__ = lazily(__name__, {})


def main(argv: list[str] | None = None) -> int:
    """Parse, run, and return the exit code: 0 done, 1 a claim was not met (with --strict), 2 bad input, 130 interrupted."""
    arguments = parser().parse_args(argv)
    try:
        code = arguments.command(arguments)
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever read us has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
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
    """Return the parser with every command found."""
    made = argparse.ArgumentParser(
        prog="jaxscale",
        description="Thousands of seeds of small learning systems in one program: diagrams, exponents, verdicts.",
    )
    made.add_argument("--version", action=_Version, nargs=0, help="print versions and what this machine has, and stop")
    commands = made.add_subparsers(required=True, metavar="COMMAND")
    for add in discover("jaxscale.cli", "add").values():
        add(commands)
    return made


class _Version(argparse.Action):
    """Prints the versions when it is met; they are looked up then and not before."""

    def __call__(self, parser: argparse.ArgumentParser, *ignored: object) -> None:
        from jaxscale.cli.versions import versions

        print(versions())
        parser.exit(OK)
