"""What is asked for: the options of a sweep, its axes and seeds, and the one place where they are checked."""

from jaxscale.lazy import lazily

_PUBLIC = {
    "Request": "jaxscale.engine.ask.request",
    "SweepOptions": "jaxscale.engine.ask.options",
    "Reduction": "jaxscale.engine.ask.reduction",
    "Grid": "jaxscale.engine.ask.grid",
    "Lanes": "jaxscale.engine.ask.grid",
}
__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
