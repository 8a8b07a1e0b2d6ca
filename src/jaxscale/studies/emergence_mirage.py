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

EVALUATION = 256  # held-out sequences
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
    model = LanguageModel(world=world, network=network, batch=32, evaluation=EVALUATION, probes=(scores,))
    return Descent(model=model, learning_rate=learning_rate, rule=AdamW())


def _scale(seeds, last, width):
    times = np.arange(0, last + 1, 20)
    grid, static = {"learning_rate": [2e-3]}, {"length": (9,)}
    return {"copying": dict(grid=grid, static=static, seeds=seeds, times=times, width=width)}


SCALES = {"smoke": _scale(2, 600, 2), "laptop": _scale(6, 1500, 3), "accelerator": _scale(256, 20_000, None)}


def by_loss(loss, time):
    """Scale of a run: minus the held-out loss, the least so far."""
    return -np.minimum.accumulate(loss)


def by_likelihood(loss, time):
    """Scale of a run: a token's likelihood, where one token's accuracy is sharp itself."""
    return np.exp(by_loss(loss, time))


def by_step(loss, time):
    """Scale of a run: the logarithm of the step."""
    return np.log(time)


def sharpness(runs, metric, axis):
    """Return (len(LENGTHS), seeds) breakthroughness at even places of a scale: losses from 3 to .3 nats, or all steps."""
    losses, time = runs["loss"].transpose("seed", "time").values, runs["time"].values
    first, last = np.log(time[[0, -1]]) if axis is by_step else axis(np.array([3.0, 0.3]), time)
    places, rows = np.linspace(first, last, 18), []
    for k in LENGTHS:
        curves = runs[f"{metric}_{k}"].transpose("seed", "time").values
        rows.append([breakthroughness(np.interp(places, axis(loss, time), curve)) for loss, curve in zip(losses, curves)])
    return np.array(rows)


def measure(runs):
    """Measure how breakthroughness grows with K in both metrics and on three scales; compare exact match with accuracy^K."""
    runs = runs["copying"].isel(learning_rate=0, length=0, time=slice(1, None))

    def growth(metric, axis):
        by_length = sharpness(runs, metric, axis)
        note = f"power of K; by K: {by_length.mean(1).round(2).tolist()}"
        return Found.over(np.polyfit(np.log(LENGTHS), np.log(by_length), 1)[0], note)

    found = {f"{metric}_{axis.__name__}": growth(metric, axis) for metric in ("exact", "edit") for axis in SCALE_AXES}
    distance = np.abs(runs["exact_8"] - runs["edit_8"] ** 8).max("time")
    return found | {
        "learned": Found.shares(runs["edit_8"].isel(time=-1), 8 * EVALUATION, "tokens right at the end"),
        "power": Found.over(distance, "largest distance of exact match from accuracy^8 in a run"),
    }


def one_metric(name):
    """Make a control that has one metric in the place of both."""
    other = {"exact": "edit", "edit": "exact"}[name]

    def control(runs):
        data = runs["copying"]
        return {"copying": data.assign({f"{other}_{k}": data[f"{name}_{k}"] for k in LENGTHS})}

    return control


SCALE_AXES = (by_loss, by_likelihood, by_step)


def draw(runs, found):
    """Draw the same runs in both metrics, against the step and against the loss."""
    runs = runs["copying"].isel(learning_rate=0, length=0, time=slice(1, None))
    figure, axes = figures.new_axes(2, 2)
    loss = runs["loss"].mean("seed")
    for row, metric in zip(axes, ("exact", "edit")):
        for k, shade in zip(LENGTHS, figures.colours(LENGTHS)):
            mean = runs[f"{metric}_{k}"].mean("seed")
            row[0].plot(runs["time"], mean, color=shade, label=f"$K$ = {k}")
            row[1].plot(loss, mean, color=shade)
        row[0].set_xscale("log")
        row[1].invert_xaxis()
        row[0].set_ylabel({"exact": "exact match of $K$ tokens", "edit": "1 - edit distance / $K$"}[metric])
    axes[1, 0].set_xlabel("step")
    axes[1, 1].set_xlabel("held-out loss (nats)")
    axes[0, 0].legend()
    return {"metrics": figure}


STUDY = Study(
    name="emergence_mirage",
    question="does a sharper metric make the same training run look emergent?",
    paper="Schaeffer, Miranda & Koyejo 2023, Are emergent abilities of large language models a mirage?, arXiv:2304.15004",
    experiments={"copying": copying},
    scales=SCALES,
    measure=measure,
    draw=draw,
    world="a transformer of two layers of width 32 that copies 9 tokens, 1,500 steps; scale is training, not size",
    controls={"only linear": one_metric("edit"), "only sharp": one_metric("exact")},
    claims=(
        Claim("exact_by_loss", "a nonlinear metric makes emergence: breakthroughness of exact match grows with K, on the scale "
              "of the loss", 0.1, np.inf, "abstract; their section 3", null="only linear"),
        Claim("edit_by_loss", "a linear one does not: that of edit distance does not grow", -0.1, 0.1, "abstract; section 3",
              null="only sharp"),
        Claim("exact_by_likelihood", "the same on the scale of the likelihood: exact match", 0.1, np.inf, "abstract",
              null="only linear"),
        Claim("exact_by_step", "the same on the scale of steps: exact match", 0.1, np.inf, "abstract", null="only linear"),
        Claim("edit_by_step", "and edit distance", -0.1, 0.1, "abstract", null="only sharp"),
        Claim("power", "exact match is near accuracy^K: largest distance", 0, 0.1, "their equation 3", kind="derived",
              null="only linear"),
        Claim("learned", "the network learns to copy: token accuracy", 0.9, 1, "precondition", kind="gate"),
    ),  # fmt: skip
)
