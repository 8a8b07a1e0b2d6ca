"""jaxscale: thousands of seeds of small learning systems in one XLA program, labelled, with phase diagrams and exponents.

    hyper-parameters -> Model -> Dynamics(model) = System -> simulate / sweep -> xarray.Dataset -> phase, fit -> plot, studies

The twenty names of a user's script; everything else is reached through its module.
"""

from jaxscale.sweep.devices import use_compilation_cache, use_cpu_cores

use_cpu_cores()  # before anything starts the backend
use_compilation_cache()

from jaxscale.protocol import Model, System, check_model, check_system  # noqa: E402
from jaxscale.record import record, static  # noqa: E402
from jaxscale.simulate import log_times, simulate  # noqa: E402
from jaxscale.sweep.plan import plan  # noqa: E402
from jaxscale.sweep.run import load, sweep  # noqa: E402

__version__ = "0.1.0"
