"""Every module here is one measure of what models do with scale; no law is fitted.

`NAME` says in words what a module measures. `jaxscale.fitting.measures.pareto` is imported when it is asked for.
"""

from jaxscale.lazy import lazily

__getattr__, __dir__ = lazily(__name__, {})
