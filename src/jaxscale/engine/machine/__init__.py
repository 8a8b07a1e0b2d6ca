"""What this computer has: its devices and cores, the memory they may use, and the cache of compiled programs."""

from jaxscale.lazy import lazily

_PUBLIC = {
    "use_all_cores": "jaxscale.engine.machine.devices",
    "memory_bytes": "jaxscale.engine.machine.devices",
    "program_cache": "jaxscale.engine.machine.cache",
}
__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
