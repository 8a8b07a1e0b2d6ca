"""A smoothly broken power law with two breaks describes plateau, power law and floor, or a curve that turns twice."""

import numpy as np

from jaxscale.fitting.law import Example
from jaxscale.fitting.laws.bnsl import broken

LAW = broken(2)

TINY = Example(
    {
        "limit": 0.05, "amplitude": 1.0, "slope": 0.02, "change": 0.5, "at": 100.0, "width": 0.2,
        "change2": 0.8, "at2": 1e4, "width2": 0.2,
    },
    (np.geomspace(3, 1e6, 80),), 0.002,
)  # fmt: skip
