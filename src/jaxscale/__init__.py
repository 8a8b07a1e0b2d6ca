"""jaxscale: thousands of seeds of small learning systems in one XLA program, labelled, with phase diagrams and exponents.

    hyper-parameters -> Model -> Dynamics(model) = System -> simulate / sweep -> xarray.Dataset -> phase, fit -> plot, studies

The names of a user's script; everything else is reached through its module, e.g. `jaxscale.fitting.laws.power`.
"""

from jaxscale.engine.machine.cache import use_compilation_cache
from jaxscale.engine.machine.devices import use_cpu_cores

use_cpu_cores()  # before anything starts the backend
use_compilation_cache()

from jaxscale.dynamics.batching import sgd  # noqa: E402
from jaxscale.dynamics.descent import Descent  # noqa: E402
from jaxscale.dynamics.until import Until, above, below, fitted  # noqa: E402
from jaxscale.engine.audit.verification import check_reproducible, replay  # noqa: E402
from jaxscale.engine.forecast.planning import plan  # noqa: E402
from jaxscale.engine.store.files import StoreError  # noqa: E402
from jaxscale.engine.sweeping import load, sweep  # noqa: E402
from jaxscale.fitting.curve_fit import FitError, fit, local_slopes  # noqa: E402
from jaxscale.phase.boundaries import boundary, crossing  # noqa: E402
from jaxscale.protocol import check_model, check_system  # noqa: E402
from jaxscale.records import record, static  # noqa: E402
from jaxscale.simulation import log_times, simulate  # noqa: E402
from jaxscale.study import run_study  # noqa: E402

__version__ = "0.1.0"
__all__ = [
    "Descent",
    "FitError",
    "StoreError",
    "Until",
    "above",
    "below",
    "boundary",
    "check_model",
    "check_reproducible",
    "check_system",
    "crossing",
    "fit",
    "fitted",
    "load",
    "local_slopes",
    "log_times",
    "plan",
    "record",
    "replay",
    "run_study",
    "sgd",
    "simulate",
    "static",
    "sweep",
]
