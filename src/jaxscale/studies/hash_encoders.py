"""Neural networks as hash encoders: from which width on does every input have an activation code of its own?

Three regimes over (width, time, samples): under-expressive, where codes are shared; critical; and sufficient.
"""

import dataclasses

import numpy as np
import optax

from jaxscale.dynamics.descent import Descent
from jaxscale.models.hash_encoder import HashEncoder
from jaxscale.phase.boundaries import boundary
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import scrambled, shuffled, switched_off, untrained


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


def shared(redundancy, note):
    """Return the share of samples that have their code in common with others; exact limits where there is none in any seed."""
    if float(redundancy.max()) == 0:
        return Found.share(0, redundancy.size * int(redundancy["samples"]), note)
    return Found.over(redundancy, note)


def measure(runs):
    """Measure the redundancy against width, samples and time, and where it passes one half."""
    redundancy = runs["encoder"]["redundancy"].isel(most=0, widest=0)
    late = redundancy.isel(time=-1)
    most, count = late.isel(samples=-1), int(late["samples"][-1])
    after, before = (critical_width(redundancy.isel(time=t)) for t in (-1, 0))
    each = [Found.placed(after.isel(samples=i)) for i in range(after.sizes["samples"])]
    steps = zip(late["samples"].values[1:], each[1:], each[:-1])
    slopes = np.polyfit(np.log(most["width"].values), most.transpose("width", "seed").values, 1)[0]
    trained, untrained = (Found.placed(band.isel(samples=-1), f"{count} samples") for band in (after, before))
    return {
        "critical_width": trained,
        "determinism": shared(most.isel(width=-1), f"width {int(most['width'][-1])}, {count} samples"),
        "size": Found.over(slopes, "change of the redundancy per unit of ln width"),
        "samples": Found.every({f"to {n:g}:": more.log - fewer.log for n, more, fewer in steps}, "steps of ln critical width"),
        "training": dataclasses.replace(
            trained.log - untrained.log, note=f"critical width {untrained.value:.3g} before, {trained.value:.3g} after"
        ),
        "time": Found.over((most - redundancy.isel(time=0, samples=-1)).mean("width"), "redundancy, after less before"),
        "categorization": Found.over(
            1 - runs["encoder"]["neighbours_error"].isel(most=0, widest=0, time=-1, samples=-1, width=-1),
            f"share right by the nearest code, width {int(most['width'][-1])}; one class of four",
        ),
        "first_layer": Found.over(runs["encoder"]["redundancy_first"].isel(most=0, widest=0, time=-1, samples=-1).sel(width=8),
                                  "first layer only, width 8"),
    }  # fmt: skip


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
    world="networks of two layers on clusters in 20 dimensions, trained by Adam",
    controls={
        "narrow": switched_off("width", 0), "untrained": untrained,
        "width shuffled": shuffled("width"), "samples shuffled": shuffled("samples"), "scrambled": scrambled(),
    },
    symbols={"width": "width $w$", "samples": "samples $n$"},
    claims=(
        Claim("determinism", "wide and trained, almost every region holds at most one sample: redundancy", 0, 0.01,
              "abstract, (1)", null="narrow"),
        Claim("categorization", "simple algorithms classify by the code: share right by the nearest one", 0.6, 1,
              "abstract, (2)", null="narrow"),
        Claim("training", "well-trained networks encode: training lowers the critical width, ln of the ratio", -np.inf, 0,
              "abstract", null="untrained"),
        Claim("time", "training time shapes the code, and makes it finer: redundancy after less before", -1, -1e-3,
              "abstract, training time", null="untrained"),
        Claim("size", "model size does: redundancy falls with width", -np.inf, -0.05, "abstract, model size",
              null="width shuffled"),
        Claim("samples", "sample size does: more samples need more width, every step", 0, np.inf, "abstract, sample size",
              null="samples shuffled"),
        Claim("critical_width", "the critical width of 1024 samples lies between 4 and 16", 4, 16, "their figure 2",
              kind="derived", null="scrambled"),
    ),  # fmt: skip
)
