"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""

from jaxscale.engine.ask.options import SweepOptions as SweepOptions
from jaxscale.engine.audit.final import final_state as final_state
from jaxscale.engine.audit.growth import extend as extend
from jaxscale.engine.audit.growth import merge as merge
from jaxscale.engine.audit.growth import top_up as top_up
from jaxscale.engine.audit.replaying import replay as replay
from jaxscale.engine.audit.reproducibility import check_reproducible as check_reproducible
from jaxscale.engine.audit.verification import verify as verify
from jaxscale.engine.errors import StoreError as StoreError
from jaxscale.engine.events import Event as Event
from jaxscale.engine.forecast.planning import plan as plan
from jaxscale.engine.forecast.topology import plan_topology as plan_topology
from jaxscale.engine.listeners import JsonLines as JsonLines
from jaxscale.engine.listeners import OnCells as OnCells
from jaxscale.engine.loading import load as load
from jaxscale.engine.machine.devices import use_all_cores as use_all_cores
from jaxscale.engine.run.executables import RetraceWarning as RetraceWarning
from jaxscale.engine.sweeping import sweep as sweep

__all__ = [
    "sweep",
    "load",
    "SweepOptions",
    "plan",
    "plan_topology",
    "verify",
    "replay",
    "final_state",
    "check_reproducible",
    "top_up",
    "extend",
    "merge",
    "StoreError",
    "Event",
    "JsonLines",
    "OnCells",
    "RetraceWarning",
    "use_all_cores",
]
