"""Scaling laws are fitted here to labelled results or to tables, with intervals that say where they come from.

Public are the names of `__all__`: `fit`, `fit_each` for many curves, `fit_groups` for the groups of a table, and what asks a
finished fit further (`profile`, `jackknife`, `simulated`, `crossover`); `compare` for several laws; `envelope` and `parabolas`
for compute-optimal sizes; `levels` for learning curves that are still being measured; `solve` for many fits at once; `Law` and
`Param` for laws of your own. The laws are the modules of `jaxscale.fitting.laws`, measures those of
`jaxscale.fitting.measures`; other modules are the machinery.
"""

from jaxscale.lazy import lazily

_PUBLIC = {
    "Comparison": "jaxscale.fitting.comparison",
    "Coverage": "jaxscale.fitting.simulated_coverage",
    "Crossover": "jaxscale.fitting.crossovers",
    "Estimate": "jaxscale.fitting.result",
    "Example": "jaxscale.fitting.law",
    "Fit": "jaxscale.fitting.result",
    "FitError": "jaxscale.fitting.result",
    "Jackknife": "jaxscale.fitting.jackknifing",
    "Law": "jaxscale.fitting.law",
    "Levels": "jaxscale.fitting.level_trends",
    "Optima": "jaxscale.fitting.isoflop",
    "Param": "jaxscale.fitting.law",
    "Profile": "jaxscale.fitting.profiles",
    "compare": "jaxscale.fitting.comparison",
    "coverage": "jaxscale.fitting.simulated_coverage",
    "crossover": "jaxscale.fitting.crossovers",
    "envelope": "jaxscale.fitting.isoflop",
    "fit": "jaxscale.fitting.curve_fit",
    "fit_each": "jaxscale.fitting.each",
    "fit_groups": "jaxscale.fitting.groups",
    "jackknife": "jaxscale.fitting.jackknifing",
    "levels": "jaxscale.fitting.level_trends",
    "local_slopes": "jaxscale.fitting.curve_fit",
    "parabolas": "jaxscale.fitting.isoflop",
    "profile": "jaxscale.fitting.profiles",
    "simulated": "jaxscale.fitting.simulated_coverage",
    "solve": "jaxscale.fitting.solver",
}
__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
