"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""

from jaxscale.study.claims import Claim as Claim
from jaxscale.study.claims import MET as MET
from jaxscale.study.claims import NOT_MET as NOT_MET
from jaxscale.study.claims import NOT_TESTED as NOT_TESTED
from jaxscale.study.claims import UNDECIDED as UNDECIDED
from jaxscale.study.definition import Study as Study
from jaxscale.study.found import Found as Found
from jaxscale.study.report import Report as Report
from jaxscale.study.running import run_study as run_study
from jaxscale.study.running import run_sweeps as run_sweeps

__all__ = [
    "Claim",
    "Found",
    "MET",
    "NOT_MET",
    "NOT_TESTED",
    "Report",
    "Study",
    "UNDECIDED",
    "run_study",
    "run_sweeps",
]
