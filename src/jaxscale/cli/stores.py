"""`jaxscale status | verify | merge | devices`."""

from pathlib import Path
from typing import Any

from jaxscale.cli.codes import FAILED, OK
from jaxscale.cli.studies import found_studies, imported


def add(commands: Any) -> None:
    """Add the commands of this file."""
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


def _status(arguments):
    from jaxscale.engine.audit.verification import verify
    from jaxscale.engine.store.disk import DiskStore

    found = verify(arguments.store)
    print(found)
    for saved in DiskStore.read(arguments.store).checkpoints():
        print(f"{len(saved.ids)} of the pending runs are saved at step {saved.saved.step} of {int(saved.times[-1])}")
    return OK if found else FAILED


def _verify(arguments):
    from jaxscale.engine.audit.verification import verify

    named = swept(arguments.store, arguments.experiment)
    if named is None:
        print("this is no study's experiment: pieces are hashed only. --experiment MODULE:NAME makes runs again.")
    found = verify(arguments.store, named, cells=arguments.cells)
    print(found)
    return OK if found else FAILED


def swept(store: Path, named: str | None) -> Any:
    """What a store's runs are of: the function that the user names, or a study's; None if neither. Nothing else is imported."""
    from jaxscale.engine.store.recorded import Recorded

    if named:
        return _named(named)
    wanted = Recorded.of(store).contract.get("experiment")
    known = [e for study in found_studies().values() for e in study.experiments.values()]
    return next((e for e in known if f"{e.__module__}.{e.__qualname__}" == wanted), None)


def _merge(arguments):
    from jaxscale.engine.audit.growth import merge

    merged = merge(arguments.stores, arguments.into)
    print(f"{arguments.into}: {dict(merged.sizes)}")
    return OK


def _named(text: str) -> Any:
    """Return the function MODULE:NAME or FILE.py:NAME, asked for by the user."""
    where, _, name = text.partition(":")
    return imported(where, name, "--experiment")


def _devices(arguments):
    import jax

    from jaxscale.engine.machine.cache import own_folder
    from jaxscale.engine.machine.devices import cache_bytes, memory_bytes, use_all_cores

    use_all_cores()
    found = jax.local_devices()
    print(f"{len(found)} x {found[0].device_kind} ({found[0].platform}), jax {jax.__version__}")
    print(f"{memory_bytes(found) / 2**30:.1f} GiB a device for runs; second-level cache {cache_bytes() // 1024} KiB a core")
    folder = jax.config.jax_compilation_cache_dir or own_folder()
    print(f"compiled programs are kept in {folder or 'memory only'}")
    return OK
