"""Labelled results become phase diagrams here: boundaries, collapses, verdicts, and runs spent where they tell most.

Public are the names of `__all__`: `crossing`, `boundary`, `success_boundary` and `contour` for a level; `steepest` and
`regions` where none is natural; `time_to` and `survival` for first passages; `collapse`, `quality` and `gaussian_process` for
finite-size scaling; `transition` for its kind; `early_warnings` for single series and `ensemble` for many; `refine` for
adaptive sweeps.
"""

from jaxscale.lazy import lazily

_PUBLIC = {
    "Branch": "jaxscale.phase.contours",
    "Collapse": "jaxscale.phase.collapsing",
    "Contour": "jaxscale.phase.contours",
    "Refinement": "jaxscale.phase.refinement",
    "Signal": "jaxscale.phase.warning_signs",
    "Transition": "jaxscale.phase.transitions",
    "area_under_curve": "jaxscale.phase.warning_signs",
    "bimodality": "jaxscale.phase.transitions",
    "boundary": "jaxscale.phase.boundaries",
    "collapse": "jaxscale.phase.collapsing",
    "contour": "jaxscale.phase.contours",
    "contour_of": "jaxscale.phase.contours",
    "crossing": "jaxscale.phase.boundaries",
    "early_warnings": "jaxscale.phase.warning_signs",
    "ensemble": "jaxscale.phase.warning_signs",
    "gaussian_process": "jaxscale.phase.collapse_quality",
    "limit_of_crossings": "jaxscale.phase.transitions",
    "quality": "jaxscale.phase.collapse_quality",
    "refine": "jaxscale.phase.adaptive",
    "regions": "jaxscale.phase.region_labels",
    "rolling": "jaxscale.phase.warning_signs",
    "steepest": "jaxscale.phase.region_labels",
    "success_boundary": "jaxscale.phase.success",
    "survival": "jaxscale.phase.first_passage",
    "time_to": "jaxscale.phase.first_passage",
    "transition": "jaxscale.phase.transitions",
}
__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
