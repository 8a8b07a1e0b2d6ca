"""One file = one rule for turning gradients into updates: a record of traced hyper-parameters with `optimizer(rate)`.

`rate` is a number or a function of the step, as of `optax.scale_by_learning_rate`; what comes back is an optax transformation,
built where it is used, so that every hyper-parameter may be traced.
"""

from jaxscale.lazy import lazily

_PUBLIC = {
    "AdamW": "jaxscale.dynamics.rules.adamw",
    "Lion": "jaxscale.dynamics.rules.lion",
    "Momentum": "jaxscale.dynamics.rules.momentum",
}

__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
