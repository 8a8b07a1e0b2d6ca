"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""

from jaxscale.engine.forecast.planning import Plan as Plan
from jaxscale.engine.forecast.planning import plan as plan
from jaxscale.engine.forecast.topology import plan_topology as plan_topology

__all__ = [
    "plan",
    "Plan",
    "plan_topology",
]
