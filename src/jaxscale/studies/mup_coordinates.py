"""The coordinate check: how far activations move in the first steps of Adam, against the width.

In the maximal-update parametrisation no activation's movement depends on the width; in the standard one hidden layers and
logits move the more the wider they are. Heads are four at every width, so that the scores' own scaling is tested too. The
first steps, from a readout of zero, move wide networks a little less; a few steps later that is over.
"""

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

BASE, STEPS, HEADS = 32, 16, 4
DRAWN = ("moved_layer0/scores", "moved_layer0/mixer", "moved_layer0/mlp", "moved_final", "moved_logits")


def coordinates(learning_rate, *, width, mup):
    """Train one block by Adam, in muP or in the standard parametrisation, and track how far its activations move."""
    world = Markov(vocabulary=16, context=16)
    mixer = Attention(heads=HEADS, mup=mup)
    network = Decoder(vocabulary=16, context=16, mixer=mixer, width=width, depth=1, mup=mup, base=BASE)
    model = LanguageModel(world=world, network=network, batch=16, evaluation=16)
    return Tracked(system=Descent(model=model, learning_rate=learning_rate, rule=AdamW(), mup=BASE if mup else 0))


def _scale(widths, seeds, lanes, ways=(False, True)):
    static = {"width": widths, "mup": ways}
    return {"coordinates": dict(grid={"learning_rate": [0.01]}, static=static, seeds=seeds, times=[0, 1, STEPS], width=lanes)}


SCALES = {
    "smoke": _scale((64, 256), 12, 2, ways=(True,)),
    "laptop": _scale((32, 64, 128, 256, 512), 8, 2),
    "accelerator": _scale((64, 256, 1024, 4096), 64, None),
}


def slopes(runs):
    """Return {(site, mup): (slope of log movement against log width, its error over seeds)} after the last step."""
    last = runs["coordinates"].isel(learning_rate=0, time=-1)
    x = np.log(last["width"].values.astype(float))
    found = {}
    for site in (name for name in last.data_vars if name.startswith("moved_")):
        for mup in last["mup"].values.tolist():
            y = np.log(last[site].sel(mup=mup).transpose("width", "seed").values)
            each = np.polyfit(x, y, 1)[0]  # one slope a seed: widths have independent keys
            found[site, mup] = float(each.mean()), float(each.std(ddof=1) / len(each) ** 0.5)
    return found


def measure(runs):
    """Measure the slopes of both parametrisations."""
    found = slopes(runs)
    ours = [(abs(slope), slope, error, site) for (site, mup), (slope, error) in found.items() if mup]
    _, slope, error, site = max(ours, key=lambda row: np.inf if np.isnan(row[0]) else row[0])
    out = {"mup": Found(slope, error, f"worst of {len(ours)} sites, {site.removeprefix('moved_')}")}
    if ("moved_logits", False) in found:
        slope, error = found["moved_logits", False]
        out["standard"] = Found(slope, error, "slope of the logits' movement")
    names = {True: "mup", False: "standard"}
    return out | {f"{names[mup]} {site.removeprefix('moved_')}": Found(*slope) for (site, mup), slope in found.items()}


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
        ax.legend(fontsize=7, frameon=False)
    return {"coordinates": figure}


STUDY = Study(
    name="mup_coordinates",
    question="is the movement of activations in the first steps independent of the width, in muP and in the standard way?",
    paper="Yang & Hu 2022, Tensor programs V, arXiv:2203.03466, appendix D.1",
    experiments={"coordinates": coordinates},
    scales=SCALES,
    measure=measure,
    draw=draw,
    claims=(
        Claim("mup", "muP: slope of every site's movement against width", -0.1, 0.1, "table 8 and appendix D.1"),
        Claim("standard", "standard: the logits' movement grows with width", 0.3, np.inf, "appendix D.1"),
    ),
)
