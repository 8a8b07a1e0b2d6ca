"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""

from jaxscale.fitting.comparison import Comparison as Comparison
from jaxscale.fitting.comparison import compare as compare
from jaxscale.fitting.crossovers import Crossover as Crossover
from jaxscale.fitting.crossovers import crossover as crossover
from jaxscale.fitting.curve_fit import fit as fit
from jaxscale.fitting.curve_fit import local_slopes as local_slopes
from jaxscale.fitting.each import fit_each as fit_each
from jaxscale.fitting.groups import fit_groups as fit_groups
from jaxscale.fitting.isoflop import Optima as Optima
from jaxscale.fitting.isoflop import envelope as envelope
from jaxscale.fitting.isoflop import parabolas as parabolas
from jaxscale.fitting.jackknifing import Jackknife as Jackknife
from jaxscale.fitting.jackknifing import jackknife as jackknife
from jaxscale.fitting.law import Example as Example
from jaxscale.fitting.law import Law as Law
from jaxscale.fitting.law import Param as Param
from jaxscale.fitting.level_trends import Levels as Levels
from jaxscale.fitting.level_trends import levels as levels
from jaxscale.fitting.profiles import Profile as Profile
from jaxscale.fitting.profiles import profile as profile
from jaxscale.fitting.result import Estimate as Estimate
from jaxscale.fitting.result import Fit as Fit
from jaxscale.fitting.result import FitError as FitError
from jaxscale.fitting.simulated_coverage import Coverage as Coverage
from jaxscale.fitting.simulated_coverage import coverage as coverage
from jaxscale.fitting.simulated_coverage import simulated as simulated
from jaxscale.fitting.solver import solve as solve

__all__ = [
    "Comparison",
    "Coverage",
    "Crossover",
    "Estimate",
    "Example",
    "Fit",
    "FitError",
    "Jackknife",
    "Law",
    "Levels",
    "Optima",
    "Param",
    "Profile",
    "compare",
    "coverage",
    "crossover",
    "envelope",
    "fit",
    "fit_each",
    "fit_groups",
    "jackknife",
    "levels",
    "local_slopes",
    "parabolas",
    "profile",
    "simulated",
    "solve",
]
