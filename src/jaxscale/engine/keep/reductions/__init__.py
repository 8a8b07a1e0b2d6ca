"""One file = one way to keep the seeds of a sweep, chosen by `reduce=`: `REDUCTIONS`, instances of the contract in
`jaxscale.engine.ask.reduction`.
"""

from jaxscale.lazy import lazily

__getattr__, __dir__ = lazily(__name__, {})
