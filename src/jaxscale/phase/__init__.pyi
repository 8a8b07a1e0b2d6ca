"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""

from jaxscale.phase.adaptive import refine as refine
from jaxscale.phase.boundaries import boundary as boundary
from jaxscale.phase.boundaries import crossing as crossing
from jaxscale.phase.collapse_quality import gaussian_process as gaussian_process
from jaxscale.phase.collapse_quality import quality as quality
from jaxscale.phase.collapsing import Collapse as Collapse
from jaxscale.phase.collapsing import collapse as collapse
from jaxscale.phase.contours import Branch as Branch
from jaxscale.phase.contours import Contour as Contour
from jaxscale.phase.contours import contour as contour
from jaxscale.phase.contours import contour_of as contour_of
from jaxscale.phase.first_passage import survival as survival
from jaxscale.phase.first_passage import time_to as time_to
from jaxscale.phase.refinement import Refinement as Refinement
from jaxscale.phase.region_labels import regions as regions
from jaxscale.phase.region_labels import steepest as steepest
from jaxscale.phase.success import success_boundary as success_boundary
from jaxscale.phase.transitions import Transition as Transition
from jaxscale.phase.transitions import bimodality as bimodality
from jaxscale.phase.transitions import limit_of_crossings as limit_of_crossings
from jaxscale.phase.transitions import transition as transition
from jaxscale.phase.warning_signs import Signal as Signal
from jaxscale.phase.warning_signs import area_under_curve as area_under_curve
from jaxscale.phase.warning_signs import early_warnings as early_warnings
from jaxscale.phase.warning_signs import ensemble as ensemble
from jaxscale.phase.warning_signs import rolling as rolling

__all__ = [
    "Branch",
    "Collapse",
    "Contour",
    "Refinement",
    "Signal",
    "Transition",
    "area_under_curve",
    "bimodality",
    "boundary",
    "collapse",
    "contour",
    "contour_of",
    "crossing",
    "early_warnings",
    "ensemble",
    "gaussian_process",
    "limit_of_crossings",
    "quality",
    "refine",
    "regions",
    "rolling",
    "steepest",
    "success_boundary",
    "survival",
    "time_to",
    "transition",
]
