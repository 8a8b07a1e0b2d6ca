"""Matplotlib figures of results, one call each. Needs the `plot` extra.

Functions take `axes=` and return them, or make a figure of their own. `figures` has phase diagrams, curves and local slopes,
`fits` the page of a fitted law, `scaling` collapses and crossings, `judged` claims against what was found. Inside
`with paper():` they have the fonts of print; `save` writes png, svg and pdf. What is not public, such as `figures.curves`, is
reached through its module.
"""

from jaxscale.lazy import lazily

_PUBLIC = {
    "new_axes": "jaxscale.plot.figures",
    "phase_diagram": "jaxscale.plot.figures",
    "slopes": "jaxscale.plot.figures",
    "fit_page": "jaxscale.plot.fits",
    "profile_curves": "jaxscale.plot.fits",
    "agreement": "jaxscale.plot.fits",
    "collapse_pair": "jaxscale.plot.scaling",
    "binder": "jaxscale.plot.scaling",
    "forest": "jaxscale.plot.judged",
    "paper": "jaxscale.plot.style",
    "save": "jaxscale.plot.style",
}

__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
