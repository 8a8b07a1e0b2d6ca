"""What a sweep will take, before it is run: on this machine, and on chips that are not here."""

from jaxscale.lazy import lazily

_PUBLIC = {
    "plan": "jaxscale.engine.forecast.planning",
    "Plan": "jaxscale.engine.forecast.planning",
    "plan_topology": "jaxscale.engine.forecast.topology",
}
__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
