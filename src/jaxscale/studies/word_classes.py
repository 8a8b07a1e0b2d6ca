"""Do hidden states of a next-word predictor cluster by the class of the word to come, without being told of classes?

Words of a hidden Markov model: classes emit vocabularies of their own, so that the least possible loss is known, and what
clusters must have been inferred from order alone.
"""

import jax
import numpy as np

from jaxscale.data.hmm import Hmm
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.probes.discrimination import gdv, shuffled_gdv
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import untrained

CLASSES = 6
DEPTHS = ("embed", "layer0", "layer1")


def clusters(model, params, data, logits, sites):
    """Return the GDV of the states at the last place, by the class of the next word, at every depth; and with shuffled ones."""
    label = model.world.next_class(data.frozen, data.test)
    places = {"embed": sites["embed"], "layer0": sites["layer0/out"], "layer1": sites["layer1/out"], "final": sites["final"]}
    found = {f"gdv_{name}": gdv(x[:, -1], label, CLASSES, normalised=True) for name, x in places.items()}
    key = jax.random.key(3, impl="threefry2x32")
    return found | {"gdv_shuffled": shuffled_gdv(key, sites["final"][:, -1], label, CLASSES, normalised=True)}


def words(concentration, *, width):
    """Train a transformer of two layers on sentences of 12 words."""
    world = Hmm(classes=CLASSES, words=12, context=12, concentration=concentration)
    network = Decoder(vocabulary=world.vocabulary, context=12, mixer=Attention(heads=2), width=width)
    model = LanguageModel(world=world, network=network, batch=32, evaluation=2000, probes=(clusters,))
    return Descent(model=model, learning_rate=3e-3, rule=AdamW())


def _scale(seeds, last, records, width):
    times = np.linspace(0, last, records).round().astype(int)
    return {"words": dict(grid={"concentration": [0.15]}, static={"width": (32,)}, seeds=seeds, times=times, width=width)}


SCALES = {"smoke": _scale(2, 200, 3, 2), "laptop": _scale(6, 800, 9, 3), "accelerator": _scale(128, 20_000, 41, None)}


def measure(runs):
    """Measure the GDV at the end and at the start, its depth, and the loss over its floor."""
    runs = runs["words"].isel(concentration=0, width=0)
    last, first = runs.isel(time=-1), runs.isel(time=0)
    depth = np.stack([last[f"gdv_{name}"].values for name in DEPTHS])  # (depth, seed)
    by_depth = ", ".join(f"{value:.3f}" for value in depth.mean(axis=1))
    return {
        "clusters": Found.over(last["gdv_final"], "GDV of the last layer, 0 to -1"),
        "shuffled": Found.over(last["gdv_shuffled"], "shuffled labels, 64 times a run"),
        "training": Found.over(last["gdv_final"] - first["gdv_final"], "less before training"),
        "depth": Found.over(np.diff(depth, axis=0).max(axis=0), f"largest step from depth to depth: {by_depth}"),
        "excess": Found.over(last["excess"], "loss over the floor, nats"),
    }


def labels_shuffled(runs):
    """Put the GDV of shuffled labels in the place of the true ones'."""
    data = runs["words"]
    return {"words": data.assign(gdv_final=data["gdv_shuffled"])}


def one_depth(runs):
    """Put the first depth's GDV in the place of every other's."""
    data = runs["words"]
    return {"words": data.assign({f"gdv_{name}": data["gdv_embed"] for name in DEPTHS})}


def draw(runs, found):
    """Draw the GDV by depth against the step, and the loss over its floor."""
    runs = runs["words"].isel(concentration=0, width=0)
    figure, axes = figures.new_axes(1, 2)
    for i, name in enumerate(("embed", "layer0", "layer1", "final", "shuffled")):
        axes[0].plot(runs["time"], runs[f"gdv_{name}"].mean("seed"), color=figures.COLOURS[i], label=name)
    axes[1].plot(runs["time"], runs["excess"].mean("seed"), color=figures.COLOURS[0])
    for ax, label in zip(axes, ("GDV by the class of the next word", "loss over its floor (nats)")):
        ax.set_xlabel("step")
        ax.set_ylabel(label)
    axes[0].legend()
    return {"clusters": figure}


STUDY = Study(
    name="word_classes",
    question="do word classes appear in the hidden states of a next-word predictor that was never told of them?",
    paper="Surendran, Schilling, Stoewer & Krauss 2023, arXiv:2306.05115 (GDV of next-word prediction); here on a known source",
    experiments={"words": words},
    scales=SCALES,
    measure=measure,
    draw=draw,
    world="a transformer of two layers of width 32 on a hidden Markov source of six classes, sentences of 12 words",
    controls={"untrained": untrained, "labels shuffled": labels_shuffled, "one depth": one_depth},
    claims=(
        Claim("clusters", "hidden states cluster by the class of the word to come: GDV of the last layer", -1, -0.05,
              "abstract", null="labels shuffled"),
        Claim("training", "without having been told, by training alone: GDV after less before", -1, -0.03, "abstract",
              null="untrained"),
        Claim("depth", "every block clusters them more than what it reads: largest step of the GDV", -1, -0.01,
              "their result, by depth", null="one depth"),
        Claim("shuffled", "shuffled labels have a GDV of nothing", -1e-3, 1e-3, "exact in expectation", kind="gate"),
    ),  # fmt: skip
)
