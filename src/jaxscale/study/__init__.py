"""What a study is: a question put to a simulation, and a judgement. One file in `jaxscale.studies` holds one, called `STUDY`.

`Found` is a measured number with its interval; a `Claim` has a range, a verdict on the whole interval, and a control in which
it must not be met; `controls` makes those; `run_study` simulates, measures, judges and draws; `gallery` keeps what was found.
"""

from jaxscale.lazy import lazily

_PUBLIC = {
    "Claim": "jaxscale.study.claims",
    "Found": "jaxscale.study.found",
    "MET": "jaxscale.study.claims",
    "NOT_MET": "jaxscale.study.claims",
    "NOT_TESTED": "jaxscale.study.claims",
    "Report": "jaxscale.study.report",
    "Study": "jaxscale.study.definition",
    "UNDECIDED": "jaxscale.study.claims",
    "run_study": "jaxscale.study.running",
    "run_sweeps": "jaxscale.study.running",
}

__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
