"""The coordinate check: how far activations move in the first steps of Adam, against the width.

In the maximal-update parametrisation no activation's movement depends on the width; in the standard one hidden layers and
logits move the more the wider they are. Heads are four at every width, so that the scores' own scaling is tested too. The
first steps, from a readout of zero, move wide networks a little less; a few steps later that is over.
"""

import dataclasses

import numpy as np

from jaxscale.data.markov import Markov
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.dynamics.tracked import Tracked
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import switched_off

BASE, STEPS, HEADS = 32, 16, 4
DRAWN = ("moved_layer0/scores", "moved_layer0/mixer", "moved_layer0/mlp", "moved_final", "moved_logits")


def coordinates(learning_rate, *, width, mup):
    """Train one block by Adam, in muP or in the standard parametrisation, and track how far its activations move."""
    world = Markov(vocabulary=16, context=16)
    mixer = Attention(heads=HEADS, mup=mup)
    network = Decoder(vocabulary=16, context=16, mixer=mixer, width=width, depth=1, mup=mup, base=BASE)
    model = LanguageModel(world=world, network=network, batch=16, evaluation=16)
    return Tracked(system=Descent(model=model, learning_rate=learning_rate, rule=AdamW(), mup=BASE if mup else 0))


def _scale(widths, seeds, lanes):
    static = {"width": widths, "mup": (False, True)}
    return {"coordinates": dict(grid={"learning_rate": [0.01]}, static=static, seeds=seeds, times=[0, 1, STEPS], width=lanes)}


SCALES = {
    "smoke": _scale((128, 512), 4, 2),  # up to 128 the logits of the standard parametrisation hardly show the width, .03(4)
    "laptop": _scale((32, 64, 128, 256, 512), 8, 2),
    "accelerator": _scale((64, 256, 1024, 4096), 64, None),
}


def slopes(runs, mup):
    """Return {site: slope of log movement against log width after the last step}, one a seed: widths have their own keys."""
    last = runs["coordinates"].isel(learning_rate=0, time=-1).sel(mup=mup)
    x = np.log(last["width"].values.astype(float))
    sites = [name for name in last.data_vars if name.startswith("moved_")]
    return {
        f"{name.removeprefix('moved_')}:": Found.over(np.polyfit(x, np.log(last[name].transpose("width", "seed").values), 1)[0])
        for name in sites
    }


def measure(runs):
    """Measure the slopes of both parametrisations."""
    standard = slopes(runs, False)
    return {
        "mup": Found.every(slopes(runs, True), "power of the width with which each site moves"),
        "standard": dataclasses.replace(standard["logits:"], note="power of the width with which the logits move"),
        "standard_sites": Found.every(standard, "every site"),
    }


def draw(runs, found):
    """Draw movement against width, in both parametrisations."""
    last = runs["coordinates"].isel(learning_rate=0, time=-1)
    ways = last["mup"].values.tolist()
    figure, axes = figures.new_axes(1, len(ways))
    for ax, mup in zip(np.atleast_1d(axes), ways):
        for i, site in enumerate(DRAWN):
            data = last[site].sel(mup=mup).rename("movement")
            figures.curves(data, x="width", axes=ax, colour=i, title="muP" if mup else "standard")
            ax.plot(data["width"], data.mean("seed"), lw=0.8, color=figures.COLOURS[i], label=site.removeprefix("moved_"))
    np.atleast_1d(axes)[0].legend()
    return {"coordinates": figure}


STUDY = Study(
    name="mup_coordinates",
    question="is the movement of activations in the first steps independent of the width, in muP and in the standard way?",
    paper="Yang & Hu 2022, Tensor programs V, arXiv:2203.03466, appendix D.1",
    experiments={"coordinates": coordinates},
    scales=SCALES,
    measure=measure,
    draw=draw,
    world="one transformer block at four heads, the first 16 steps of Adam, widths 32 to 512",
    controls={"standard": switched_off("mup", False), "muP": switched_off("mup", True)},
    symbols={"width": "width $n$"},
    claims=(
        Claim("mup", "in muP no site's movement depends on the width: power of the width, every site", -0.1, 0.1,
              "table 8 and appendix D.1", null="standard"),
        Claim("standard", "in the standard parametrisation the logits move more the wider the network: power", 0.3, np.inf,
              "appendix D.1", null="muP"),
    ),  # fmt: skip
)
