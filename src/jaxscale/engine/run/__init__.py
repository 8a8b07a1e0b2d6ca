"""How lanes run: one run as pure functions, the two compiled programs of a bucket, the host loop over a cohort's segments."""

from jaxscale.lazy import lazily

_PUBLIC = {
    "Program": "jaxscale.engine.run.program",
    "Executable": "jaxscale.engine.run.executable",
    "run_cohort": "jaxscale.engine.run.cohort",
    "Reason": "jaxscale.engine.run.reasons",
    "Recorder": "jaxscale.engine.run.recorder",
    "Records": "jaxscale.engine.run.recorder",
    "Saver": "jaxscale.engine.run.recorder",
    "RetraceWarning": "jaxscale.engine.run.executables",
}
__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
