"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""

from jaxscale.models.probes.attention import induction as induction
from jaxscale.models.probes.attention import previous_token as previous_token
from jaxscale.models.probes.codes import redundancy as redundancy
from jaxscale.models.probes.discrimination import gdv as gdv
from jaxscale.models.probes.discrimination import shuffled_gdv as shuffled_gdv
from jaxscale.models.probes.sharpness import Extremes as Extremes
from jaxscale.models.probes.sharpness import GradientNoise as GradientNoise
from jaxscale.models.probes.sharpness import alignment as alignment
from jaxscale.models.probes.sharpness import extreme_eigenvalues as extreme_eigenvalues
from jaxscale.models.probes.sharpness import gradient_noise as gradient_noise
from jaxscale.models.probes.sharpness import gradient_noise_scale as gradient_noise_scale
from jaxscale.models.probes.sharpness import tangent_kernel as tangent_kernel
from jaxscale.models.probes.sharpness import top_eigenvalue as top_eigenvalue

__all__ = [
    "previous_token",
    "induction",
    "redundancy",
    "gdv",
    "shuffled_gdv",
    "top_eigenvalue",
    "tangent_kernel",
    "alignment",
    "Extremes",
    "GradientNoise",
    "extreme_eigenvalues",
    "gradient_noise",
    "gradient_noise_scale",
]
