"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""

from jaxscale.engine.run.cohort import run_cohort as run_cohort
from jaxscale.engine.run.executable import Executable as Executable
from jaxscale.engine.run.executables import RetraceWarning as RetraceWarning
from jaxscale.engine.run.program import Program as Program
from jaxscale.engine.run.reasons import Reason as Reason
from jaxscale.engine.run.recorder import Recorder as Recorder
from jaxscale.engine.run.recorder import Records as Records
from jaxscale.engine.run.recorder import Saver as Saver

__all__ = [
    "Program",
    "Executable",
    "run_cohort",
    "Reason",
    "Recorder",
    "Records",
    "Saver",
    "RetraceWarning",
]
