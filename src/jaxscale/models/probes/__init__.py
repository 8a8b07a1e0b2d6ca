"""Measurements of a network's inside: activation codes, attention patterns, separation of classes, sharpness.

Each is a pure function of arrays, so it may be called in a model's `observe`, inside jit, or on results afterwards.
"""

from jaxscale.lazy import lazily

_PUBLIC = {
    "previous_token": "jaxscale.models.probes.attention",
    "induction": "jaxscale.models.probes.attention",
    "redundancy": "jaxscale.models.probes.codes",
    "gdv": "jaxscale.models.probes.discrimination",
    "shuffled_gdv": "jaxscale.models.probes.discrimination",
    "top_eigenvalue": "jaxscale.models.probes.sharpness",
    "tangent_kernel": "jaxscale.models.probes.sharpness",
    "alignment": "jaxscale.models.probes.sharpness",
    "Extremes": "jaxscale.models.probes.sharpness",
    "GradientNoise": "jaxscale.models.probes.sharpness",
    "extreme_eigenvalues": "jaxscale.models.probes.sharpness",
    "gradient_noise": "jaxscale.models.probes.sharpness",
    "gradient_noise_scale": "jaxscale.models.probes.sharpness",
}

__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
