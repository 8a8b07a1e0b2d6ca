"""jaxscale: thousands of seeds of small learning systems in one XLA program, labelled, with phase diagrams and exponents.

    hyper-parameters -> Model -> Dynamics(model) = System -> simulate / sweep -> xarray.Dataset -> phase, fit -> plot, studies

The names of a user's script; everything else is reached through its module, e.g. `jaxscale.fit.laws.power`.
"""

from jaxscale.sweep.cache import use_compilation_cache
from jaxscale.sweep.devices import use_cpu_cores

use_cpu_cores()  # before anything starts the backend
use_compilation_cache()

from jaxscale.dynamics.descent import Descent  # noqa: E402
from jaxscale.dynamics.sgd import Sgd  # noqa: E402
from jaxscale.dynamics.until import Until, above, below, fitted  # noqa: E402
from jaxscale.fit.fit import FitError, fit, local_slopes  # noqa: E402
from jaxscale.phase.boundary import boundary, crossing  # noqa: E402
from jaxscale.protocol import check_model, check_system  # noqa: E402
from jaxscale.record import record, static  # noqa: E402
from jaxscale.simulate import log_times, simulate  # noqa: E402
from jaxscale.study import run_study  # noqa: E402
from jaxscale.sweep.audit import check_reproducible, replay  # noqa: E402
from jaxscale.sweep.files import StoreError  # noqa: E402
from jaxscale.sweep.plan import plan  # noqa: E402
from jaxscale.sweep.run import load, sweep  # noqa: E402

__version__ = "0.1.0"
__all__ = [
    "Descent",
    "FitError",
    "Sgd",
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
    "simulate",
    "static",
    "sweep",
]
