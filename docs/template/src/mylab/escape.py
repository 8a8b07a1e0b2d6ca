"""How long does a product of two scalars stay on its plateau? As the logarithm of its start.

Paper: Saxe, McClelland & Ganguli 2014, arXiv:1312.6120, section 2.
"""

import math

import jaxscale as js
from jaxscale.plot import figures
from jaxscale.study import controls
from mylab.deep_scalar import DeepScalar

SCALES = {
    "smoke": {"runs": dict(grid={"scale": [1e-3, 1e-2, 1e-1]}, seeds=4, times=range(0, 2000, 10))},
    "laptop": {"runs": dict(grid={"scale": [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]}, seeds=64, times=range(0, 4000, 5))},
}


def runs(scale):
    """Descend on a product of two."""
    return js.Descent(DeepScalar(depth=2, scale=scale), learning_rate=0.01)


def measure(runs):
    """Return the slope of the escape time in the logarithm of the start, times the rate of growth."""
    times = js.time_to(runs["runs"]["product"], 0.5)
    decades = times.isel(scale=0) - times.isel(scale=-1)
    growth = float(runs["runs"]["scale"].values[-1] / runs["runs"]["scale"].values[0])
    return {"slope": js.Found.over(decades.values * 0.01 / math.log(growth))}


def draw(runs, measured):
    """Draw the escape time against the start."""
    figure, axes = figures.new_axes(1, 1)
    figures.curves(js.time_to(runs["runs"]["product"], 0.5), x="scale", axes=axes)
    return {"escape": figure}


STUDY = js.Study(
    name="mylab_escape",
    question="does the plateau last as long as the logarithm of the start says?",
    paper="Saxe, McClelland & Ganguli 2014, arXiv:1312.6120",
    experiments={"runs": runs},
    scales=SCALES,
    measure=measure,
    draw=draw,
    world="products of two scalars, descent of rate .01",
    controls={"starts shuffled": controls.shuffled("scale")},
    claims=(
        js.Claim(
            "slope", "the plateau lasts as long as the logarithm of the start: rate times time per factor e", 0.95, 1.05,
            "section 2, d ln w / dt = 1", null="starts shuffled",
        ),
    ),  # fmt: skip
    quick=True,
)
