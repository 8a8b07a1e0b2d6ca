"""A benchmark score falls with loss as a sigmoid between a ceiling and chance."""

import jax
import numpy as np

from jaxscale.fitting.law import Example, Law, Param, Value


def shape(loss: Value, *, height: Value, chance: Value, middle: Value, steepness: Value) -> Value:
    """Return the benchmark score of a model with this loss: a sigmoid from the ceiling down to chance."""
    return chance + height * jax.nn.sigmoid(-steepness * (loss - middle))


LAW = Law(
    name="score_loss",
    shape=shape,
    params={
        "height": Param(lower=0, meaning="ceiling less chance"),
        "chance": Param(lower=0, meaning="score of guessing"),
        "middle": Param(lower=-50.0, upper=50.0, search=(0.3, 4.0), meaning="loss half-way, nats"),
        "steepness": Param(lower=0.01, upper=100.0, search=(0.5, 12.0), meaning="per nat"),
    },
    linear=("height", "chance"),
    formula=r"d + c / (1 + e^{\gamma (L - l)})",
    source="Xiao et al. 2024, arXiv:2412.04315, eq. 3",
    exponent="steepness",
    inputs=("L",),
    signed=("L",),
    falling=("L",),
    space="raw",
)

TINY = Example({"height": 0.6, "chance": 0.25, "middle": 1.8, "steepness": 5.0}, (np.linspace(0.6, 3.2, 48),), 0.008, "raw")
