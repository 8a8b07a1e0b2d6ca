"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""

from jaxscale.plot.figures import new_axes as new_axes
from jaxscale.plot.figures import phase_diagram as phase_diagram
from jaxscale.plot.figures import slopes as slopes
from jaxscale.plot.fits import agreement as agreement
from jaxscale.plot.fits import fit_page as fit_page
from jaxscale.plot.fits import profile_curves as profile_curves
from jaxscale.plot.judged import forest as forest
from jaxscale.plot.scaling import binder as binder
from jaxscale.plot.scaling import collapse_pair as collapse_pair
from jaxscale.plot.style import paper as paper
from jaxscale.plot.style import save as save

__all__ = [
    "new_axes",
    "phase_diagram",
    "slopes",
    "fit_page",
    "profile_curves",
    "agreement",
    "collapse_pair",
    "binder",
    "forest",
    "paper",
    "save",
]
