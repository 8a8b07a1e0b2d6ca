"""`jaxscale cache`: the compiled programs that are kept on disk."""

from typing import Any

from jaxscale.cli.codes import OK


def add(commands: Any) -> None:
    """Add the commands of this file."""
    cache = commands.add_parser("cache", help="show the compiled programs that are kept between processes, or remove them")
    cache.add_argument("--clear", action="store_true", help="remove them all; the next sweeps compile anew")
    cache.set_defaults(command=_cache)


def _cache(arguments: Any) -> int:
    from jaxscale.engine.machine.cache import MAX_BYTES, entries, own_folder, trim

    folder = own_folder()
    if folder is None or not folder.is_dir():
        print("no compiled program is kept" + (f": there is no {folder}" if folder else ", since there is no home directory"))
        return OK
    programs = entries(folder)
    size = sum(size for _, size, _ in programs) / 1e6
    print(f"{folder}: {len(programs)} compiled programs, {size:.1f} of at most {MAX_BYTES / 1e6:,.0f} MB; the oldest go first")
    if arguments.clear:
        print(f"{trim(folder, 0)} removed")
    return OK
