"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""

from jaxscale.dynamics.batching import sgd as sgd
from jaxscale.dynamics.descent import Descent as Descent
from jaxscale.dynamics.until import Until as Until
from jaxscale.dynamics.until import above as above
from jaxscale.dynamics.until import below as below
from jaxscale.dynamics.until import fitted as fitted
from jaxscale.engine.audit.final import final_state as final_state
from jaxscale.engine.audit.growth import extend as extend
from jaxscale.engine.audit.growth import merge as merge
from jaxscale.engine.audit.growth import top_up as top_up
from jaxscale.engine.audit.replaying import replay as replay
from jaxscale.engine.audit.reproducibility import check_reproducible as check_reproducible
from jaxscale.engine.audit.verification import verify as verify
from jaxscale.engine.errors import StoreError as StoreError
from jaxscale.engine.forecast.planning import plan as plan
from jaxscale.engine.listeners import JsonLines as JsonLines
from jaxscale.engine.listeners import OnCells as OnCells
from jaxscale.engine.loading import load as load
from jaxscale.engine.machine.devices import use_all_cores as use_all_cores
from jaxscale.engine.sweeping import sweep as sweep
from jaxscale.fitting.comparison import compare as compare
from jaxscale.fitting.curve_fit import fit as fit
from jaxscale.fitting.curve_fit import local_slopes as local_slopes
from jaxscale.fitting.law import Law as Law
from jaxscale.fitting.law import Param as Param
from jaxscale.fitting.result import FitError as FitError
from jaxscale.phase.adaptive import refine as refine
from jaxscale.phase.boundaries import boundary as boundary
from jaxscale.phase.boundaries import crossing as crossing
from jaxscale.phase.collapsing import collapse as collapse
from jaxscale.phase.first_passage import time_to as time_to
from jaxscale.phase.success import success_boundary as success_boundary
from jaxscale.phase.transitions import transition as transition
from jaxscale.protocol import check_model as check_model
from jaxscale.protocol import check_system as check_system
from jaxscale.records import record as record
from jaxscale.records import static as static
from jaxscale.simulation import log_times as log_times
from jaxscale.simulation import simulate as simulate
from jaxscale.study import Claim as Claim
from jaxscale.study import Found as Found
from jaxscale.study import Study as Study
from jaxscale.study import run_study as run_study

__version__: str
__all__ = [
    "record",
    "static",
    "check_model",
    "check_system",
    "Descent",
    "sgd",
    "Until",
    "above",
    "below",
    "fitted",
    "simulate",
    "log_times",
    "sweep",
    "plan",
    "use_all_cores",
    "load",
    "top_up",
    "extend",
    "merge",
    "verify",
    "replay",
    "final_state",
    "check_reproducible",
    "StoreError",
    "JsonLines",
    "OnCells",
    "boundary",
    "crossing",
    "success_boundary",
    "time_to",
    "transition",
    "collapse",
    "refine",
    "fit",
    "local_slopes",
    "compare",
    "Law",
    "Param",
    "FitError",
    "run_study",
    "Study",
    "Claim",
    "Found",
]
