"""Is emergence in the model or in the metric? One training run, scored by exact match of K tokens and by edit distance.

Exact match of K tokens is about accuracy^K, the sharper the larger K; edit distance of the same answers is linear in accuracy.
"""

import jax.numpy as jnp
import numpy as np

from jaxscale.data.repeats import Repeats
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.fitting.measures.emergence import breakthroughness
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study

LENGTHS = (1, 2, 4, 8)  # K


def scores(model, params, data, logits, sites):
    """Return exact match and one less the normalised edit distance of the first K tokens that count."""
    right = (jnp.argmax(logits, axis=-1) == data.test.targets)[:, model.world.length :]
    found = {f"exact_{k}": jnp.mean(jnp.all(right[:, :k], axis=1)) for k in LENGTHS}
    # guided by the truth, wrong tokens are substitutions: the edit distance is their number
    return found | {f"edit_{k}": jnp.mean(right[:, :k]) for k in LENGTHS}


def copying(learning_rate, *, length):
    """Train a two-layer attention-only network to copy."""
    world = Repeats(vocabulary=24, length=length)
    network = Decoder(vocabulary=24, context=world.context, mixer=Attention(heads=4), width=32, hidden=0)
    model = LanguageModel(world=world, network=network, batch=32, evaluation=256, probes=(scores,))
    return Descent(model=model, learning_rate=learning_rate, rule=AdamW())


def _scale(seeds, last, width):
    times = np.arange(0, last + 1, 20)
    grid, static = {"learning_rate": [2e-3]}, {"length": (9,)}
    return {"copying": dict(grid=grid, static=static, seeds=seeds, times=times, width=width)}


SCALES = {"smoke": _scale(2, 600, 2), "laptop": _scale(6, 1500, 3), "accelerator": _scale(256, 20_000, None)}


def sharpness(runs, metric, axis=np.negative):
    """Return (len(LENGTHS), seeds) breakthroughness against a function of the held-out loss, at even steps of it, from 3 to .3
    nats.

    Against the step every curve is flat, then jumps, then is flat again; metrics differ against what the model can do, which
    the loss says without choosing a metric.
    """
    losses = np.minimum.accumulate(runs["loss"].transpose("seed", "time").values, axis=1)
    places = np.linspace(axis(3.0), axis(0.3), 18)
    rows = []
    for k in LENGTHS:
        curves = runs[f"{metric}_{k}"].transpose("seed", "time").values
        rows.append([breakthroughness(np.interp(places, axis(loss), curve)) for loss, curve in zip(losses, curves)])
    return np.array(rows)


def measure(runs):
    """Measure how breakthroughness grows with K in both metrics, run by run; compare exact match with accuracy^K."""
    runs = runs["copying"].isel(learning_rate=0, length=0, time=slice(1, None))

    def growth(metric, *axis):
        by_length = sharpness(runs, metric, *axis)
        note = f"slope of its logarithm against log K; by K: {by_length.mean(1).round(2).tolist()}"
        return Found.over(np.polyfit(np.log(LENGTHS), np.log(by_length), 1)[0], note)

    power = runs["edit_8"] ** 8
    return {
        "learned": Found(float(runs["edit_8"].isel(time=-1).mean()), note="token accuracy at the end"),
        "exact": growth("exact"),
        "edit": growth("edit"),
        "exact_by_likelihood": growth("exact", lambda loss: np.exp(-loss)),  # where one token's accuracy is sharp itself
        "power": Found(float(np.abs(runs["exact_8"] - power).mean()), note="mean distance of exact match from accuracy^8"),
    }


def draw(runs, found):
    """Draw the same runs in both metrics."""
    runs = runs["copying"].isel(learning_rate=0, length=0, time=slice(1, None))
    figure, axes = figures.new_axes(1, 2)
    for ax, metric in zip(axes, ("exact", "edit")):
        for i, k in enumerate(LENGTHS):
            ax.plot(runs["time"], runs[f"{metric}_{k}"].mean("seed"), color=figures.COLOURS[i], label=f"K = {k}")
        ax.set_xscale("log")
        ax.set_xlabel("step")
        ax.set_ylabel({"exact": "exact match of K tokens", "edit": "1 - edit distance / K"}[metric])
        ax.legend(fontsize=7, frameon=False)
    return {"metrics": figure}


STUDY = Study(
    name="emergence_mirage",
    question="does a sharper metric make the same training run look emergent?",
    paper="Schaeffer, Miranda & Koyejo 2023, Are emergent abilities of large language models a mirage?, arXiv:2304.15004",
    experiments={"copying": copying},
    scales=SCALES,
    measure=measure,
    draw=draw,
    claims=(
        Claim("exact", "breakthroughness of exact match grows with K", 0.1, np.inf, "their section 3"),
        Claim("edit", "that of edit distance does not", -0.1, 0.1, "their section 3"),
        Claim("power", "exact match is near accuracy^K", 0, 0.1, "their equation 3"),
    ),
)
