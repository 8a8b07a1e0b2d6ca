"""What is done with a sweep afterwards: hashed and made again bit for bit, replayed run by run, topped up, extended, merged."""

from jaxscale.lazy import lazily

_PUBLIC = {
    "verify": "jaxscale.engine.audit.verification",
    "Verified": "jaxscale.engine.audit.verification",
    "Drift": "jaxscale.engine.audit.precision",
    "replay": "jaxscale.engine.audit.replaying",
    "final_state": "jaxscale.engine.audit.final",
    "check_reproducible": "jaxscale.engine.audit.reproducibility",
    "top_up": "jaxscale.engine.audit.growth",
    "extend": "jaxscale.engine.audit.growth",
    "merge": "jaxscale.engine.audit.growth",
}
__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
