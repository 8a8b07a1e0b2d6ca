"""Where pieces and saved cohorts lie: the contract of a store, the one on disk, the one in memory, what a manifest says."""

from jaxscale.lazy import lazily

_PUBLIC = {
    "Store": "jaxscale.engine.store.contract",
    "DiskStore": "jaxscale.engine.store.disk",
    "MemoryStore": "jaxscale.engine.store.memory",
    "Recorded": "jaxscale.engine.store.recorded",
}
__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
