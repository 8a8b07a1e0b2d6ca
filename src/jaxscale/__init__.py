"""jaxscale: thousands of seeds of small learning systems in one XLA program, labelled, with phase diagrams and exponents.

    hyper-parameters -> Model -> Dynamics(model) = System -> simulate / sweep -> xarray.Dataset -> phase, fit -> plot, studies

The names of a user's script are here, by theme; everything else is reached through its module, e.g.
`jaxscale.fitting.laws.power`. Importing jaxscale imports nothing else and changes nothing of the host's JAX: names are
imported when they are first used, and CPU cores are claimed by the first sweep.
"""

from jaxscale.lazy import lazily

__version__ = "0.1.0"

_THEMES = {
    "write a model or a system": {
        "record": "jaxscale.records",
        "static": "jaxscale.records",
        "check_model": "jaxscale.protocol",
        "check_system": "jaxscale.protocol",
    },
    "let it move": {
        "Descent": "jaxscale.dynamics.descent",
        "sgd": "jaxscale.dynamics.batching",
        "Until": "jaxscale.dynamics.until",
        "above": "jaxscale.dynamics.until",
        "below": "jaxscale.dynamics.until",
        "fitted": "jaxscale.dynamics.until",
    },
    "run it": {
        "simulate": "jaxscale.simulation",
        "log_times": "jaxscale.simulation",
        "sweep": "jaxscale.engine.sweeping",
        "plan": "jaxscale.engine.forecast.planning",
        "use_all_cores": "jaxscale.engine.machine.devices",
    },
    "go on with stored runs": {
        "load": "jaxscale.engine.loading",
        "top_up": "jaxscale.engine.audit.growth",
        "extend": "jaxscale.engine.audit.growth",
        "merge": "jaxscale.engine.audit.growth",
        "verify": "jaxscale.engine.audit.verification",
        "replay": "jaxscale.engine.audit.replaying",
        "final_state": "jaxscale.engine.audit.final",
        "check_reproducible": "jaxscale.engine.audit.reproducibility",
        "StoreError": "jaxscale.engine.errors",
    },
    "hear of it": {
        "JsonLines": "jaxscale.engine.listeners",
        "OnCells": "jaxscale.engine.listeners",
    },
    "draw boundaries": {
        "boundary": "jaxscale.phase.boundaries",
        "crossing": "jaxscale.phase.boundaries",
        "success_boundary": "jaxscale.phase.success",
        "time_to": "jaxscale.phase.first_passage",
        "transition": "jaxscale.phase.transitions",
        "collapse": "jaxscale.phase.collapsing",
        "refine": "jaxscale.phase.adaptive",
    },
    "fit laws": {
        "fit": "jaxscale.fitting.curve_fit",
        "local_slopes": "jaxscale.fitting.curve_fit",
        "compare": "jaxscale.fitting.comparison",
        "Law": "jaxscale.fitting.law",
        "Param": "jaxscale.fitting.law",
        "FitError": "jaxscale.fitting.result",
    },
    "judge a paper": {
        "run_study": "jaxscale.study",
        "Study": "jaxscale.study",
        "Claim": "jaxscale.study",
        "Found": "jaxscale.study",
    },
}
_PUBLIC = {name: module for theme in _THEMES.values() for name, module in theme.items()}
__all__ = [*_PUBLIC]  # noqa: PLE0604
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
