"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""

from jaxscale.engine.audit.final import final_state as final_state
from jaxscale.engine.audit.growth import extend as extend
from jaxscale.engine.audit.growth import merge as merge
from jaxscale.engine.audit.growth import top_up as top_up
from jaxscale.engine.audit.precision import Drift as Drift
from jaxscale.engine.audit.replaying import replay as replay
from jaxscale.engine.audit.reproducibility import check_reproducible as check_reproducible
from jaxscale.engine.audit.verification import Verified as Verified
from jaxscale.engine.audit.verification import verify as verify

__all__ = [
    "verify",
    "Verified",
    "Drift",
    "replay",
    "final_state",
    "check_reproducible",
    "top_up",
    "extend",
    "merge",
]
