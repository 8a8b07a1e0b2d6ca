"""Do hidden states cluster by the class of the word to come, on real English with the corpus's own tags?

A perceptron reads nine words of the Brown corpus and predicts the tenth. `word_classes` asks the same of a source of known
floor. Needs the corpus: see `jaxscale.data.brown`.
"""

import flax.linen as nn
import jax
import numpy as np

from jaxscale.data.brown import CLASSES
from jaxscale.data.words import WordText
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.probes.discrimination import gdv
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import untrained

LAYERS = ("embed", "layer0", "layer1")
SOURCE = "Surendran et al. 2023"


class Window(nn.Module):
    """A network from (B, 9) words, 32 numbers each, to 256 and 96 rectified units and (B, 1, V) logits."""

    vocabulary: int
    widths: tuple[int, ...] = (256, 96)

    @nn.compact
    def __call__(self, tokens):
        """Return logits and every layer, each (B, features)."""
        x = nn.Embed(self.vocabulary, 32, name="embed")(tokens).reshape(tokens.shape[0], -1)
        sites = {"embed": x}
        for i, width in enumerate(self.widths):
            x = sites[f"layer{i}"] = nn.relu(nn.Dense(width, name=f"hidden{i}")(x))
        return nn.Dense(self.vocabulary, name="readout")(x)[:, None, :], sites


def clusters(model, params, data, logits, sites):
    """Return the GDV of every layer by the tag of the next word, and of the last by shuffled tags."""
    label = model.world.next_class(data.frozen, data.test)
    found = {f"gdv_{name}": gdv(sites[name], label, len(CLASSES)) for name in LAYERS}
    return found | {"gdv_shuffled": gdv(sites["layer1"], jax.random.permutation(jax.random.key(3), label), len(CLASSES))}


def words(learning_rate, *, vocabulary):
    """Train by Adam on 256 fresh windows a step."""
    world = WordText(source="brown", context=9, words=vocabulary, evaluation=2000)
    model = LanguageModel(world=world, network=Window(world.vocabulary), batch=256, probes=(clusters,))
    return Descent(model=model, learning_rate=learning_rate, rule=AdamW())


def _scale(seeds, last, vocabulary):
    times = np.linspace(0, last, 6).round().astype(int)
    return {"words": dict(grid={"learning_rate": [1e-3]}, static={"vocabulary": (vocabulary,)}, seeds=seeds, times=times)}


SCALES = {"smoke": _scale(2, 200, 200), "laptop": _scale(4, 1500, 2000), "accelerator": _scale(256, 20_000, 10_000)}


def measure(runs):
    """Measure the GDV at the end by depth, against the start and shuffled tags, and the loss."""
    runs = runs["words"].isel(learning_rate=0, vocabulary=0)
    depth = np.stack([runs[f"gdv_{name}"].isel(time=-1).values for name in LAYERS])  # (layer, seed)
    final, first = depth[-1], runs["gdv_layer1"].isel(time=0).values
    found = {
        "shuffled": Found.over(runs["gdv_shuffled"].isel(time=-1).values, "shuffled tags"),
        "training": Found.over(final - first, f"before training {first.mean():.4f}"),
        "loss": Found.over(
            runs["loss"].isel(time=-1).values, f"nats; {float(runs['loss'].isel(time=0).mean()):.2f} at the start"
        ),
    }
    by_layer = ", ".join(f"{value:.4f}" for value in depth.mean(axis=1))
    return found | {
        "clusters": Found.over(final, "GDV of the last hidden layer; 0 without structure"),
        "depth": Found.over(np.diff(depth, axis=0).max(axis=0), f"largest step from layer to layer: {by_layer}"),
    }


def labels_shuffled(runs):
    """Put the GDV of shuffled labels in the place of the true ones'."""
    data = runs["words"]
    return {"words": data.assign(gdv_layer1=data["gdv_shuffled"])}


def one_depth(runs):
    """Put the first depth's GDV in the place of every other's."""
    data = runs["words"]
    return {"words": data.assign({f"gdv_{name}": data["gdv_embed"] for name in LAYERS})}


def draw(runs, found):
    """Draw the GDV by depth, and the loss, against the step."""
    runs = runs["words"].isel(learning_rate=0, vocabulary=0)
    figure, axes = figures.new_axes(1, 2)
    for i, name in enumerate((*LAYERS, "shuffled")):
        axes[0].plot(runs["time"], runs[f"gdv_{name}"].mean("seed"), color=figures.COLOURS[i], label=name)
    axes[1].plot(runs["time"], runs["loss"].mean("seed"), color=figures.COLOURS[0])
    for ax, label in zip(axes, ("GDV by the tag of the next word", "held-out loss (nats)")):
        ax.set_xlabel("step")
        ax.set_ylabel(label)
    axes[0].legend()
    return {"clusters": figure}


STUDY = Study(
    name="word_classes_brown",
    question="do hidden states of a next-word predictor cluster by the tag of the word to come, on the Brown corpus?",
    paper="Surendran, Schilling, Stoewer & Krauss 2023, arXiv:2306.05115; Francis & Kucera 1979 (the corpus)",
    experiments={"words": words},
    scales=SCALES,
    measure=measure,
    draw=draw,
    world="a perceptron that reads nine words of the Brown corpus, 2,000 words, 1,500 steps",
    controls={"untrained": untrained, "tags shuffled": labels_shuffled, "one depth": one_depth},
    claims=(
        Claim("clusters", "the last layer clusters by the tag of the next word: GDV", -1, -0.015, f"{SOURCE}, abstract",
              null="tags shuffled"),
        Claim("training", "training alone brings the clusters: GDV after less before", -1, -0.001, f"{SOURCE}, abstract",
              null="untrained"),
        Claim("depth", "every layer is more clustered than the one before: largest step of the GDV", -1, -1e-3, SOURCE,
              null="one depth"),
        Claim("shuffled", "shuffled tags have a GDV of nothing", -1e-3, 1e-3, "exact in expectation", kind="gate"),
    ),  # fmt: skip
)
