"""Neural networks as hash encoders: from which width on does every input have an activation code of its own?

Three regimes over (width, time, samples): under-expressive, where codes are shared; critical; and sufficient.
"""

import numpy as np
import optax

from jaxscale.dynamics.descent import Descent
from jaxscale.models.hash_encoder import HashEncoder
from jaxscale.phase.boundaries import boundary
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study


def encoder(width, samples, *, most, widest):
    """Train a 20 - width - width - 4 network by Adam."""
    model = HashEncoder(samples_max=most, width_max=widest, samples=samples, width=width)
    return Descent(model=model, learning_rate=0.01, rule=optax.adam)


def _scale(widths, samples, seeds, times):
    static = {"most": (max(samples),), "widest": (max(widths),)}
    return {"encoder": dict(grid={"width": widths, "samples": samples}, static=static, seeds=seeds, times=times)}


SCALES = {
    "smoke": _scale([4, 8, 16, 32], [128, 1024], 4, [0, 20, 60]),
    "laptop": _scale([2, 3, 4, 6, 8, 12, 16, 24, 32], [64, 256, 1024], 12, [0, 10, 30, 100, 300]),
    "accelerator": _scale([2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128], [64, 256, 1024, 4096], 256, [0, 10, 100, 1000, 10_000]),
}


def critical_width(redundancy):
    """Find where the redundancy falls through one half, per number of samples, with a band over seeds."""
    return boundary(redundancy, along="width", level=0.5)


def measure(runs):
    """Measure the redundancy of trained networks against width, and where it passes one half."""
    runs = runs["encoder"].isel(most=0, widest=0)
    late = runs["redundancy"].isel(time=-1)
    most = late.isel(samples=-1)
    line = critical_width(late)
    mean = most.mean("seed")
    position = line["position"].values
    trained, untrained = (float(critical_width(runs["redundancy"].isel(time=t, samples=-1))["position"]) for t in (-1, 0))
    return {
        "critical_width": Found(float(position[-1]), float(line["error"].values[-1]), f"{int(late['samples'][-1])} samples"),
        "monotone": Found(float(mean.diff("width").max()), note="largest step of the redundancy along width"),
        "widest": Found(float(mean[-1]), float(most[-1].std() / most.sizes["seed"] ** 0.5), f"width {int(late['width'][-1])}"),
        "samples": Found(float(np.diff(position).min()), note="smallest step of the critical width along samples"),
        "first_layer": Found(float(runs["redundancy_first"].isel(time=-1, samples=-1).sel(width=8).mean()), note="width 8"),
        "training": Found(trained / untrained, note="critical width after over before training"),
    }


def draw(runs, found):
    """Draw the charts over width and samples, and over width and time."""
    runs = runs["encoder"].isel(most=0, widest=0)
    figure, axes = figures.new_axes(1, 2)
    late = runs["redundancy"].isel(time=-1)
    figures.phase_diagram(
        late.mean("seed", keep_attrs=True), x="samples", y="width", band=critical_width(late), axes=axes[0],
        title="trained; line: redundancy 1/2",
    )  # fmt: skip
    most = runs["redundancy"].isel(samples=-1)
    figures.curves(most, x="width", hue="time", axes=axes[1], log="x", title=f"{int(most['samples'])} samples")
    return {"chart": figure}


STUDY = Study(
    name="hash_encoders",
    question="from which width on does every input have an activation code of its own?",
    paper="He, Lei, Ji & Tao 2021, arXiv:2101.05490",
    experiments={"encoder": encoder},
    scales=SCALES,
    measure=measure,
    draw=draw,
    claims=(
        Claim("critical_width", "redundancy of 1024 samples falls through .5 between widths 4 and 16", 4, 16, "their figure 2"),
        Claim("monotone", "redundancy falls with width", -1, 0.01, "their section 4"),
        Claim("widest", "it vanishes in wide networks", 0, 0.02, "their section 4"),
        Claim("samples", "more samples need more width", 0, np.inf, "their section 4, sample size"),
    ),
)
