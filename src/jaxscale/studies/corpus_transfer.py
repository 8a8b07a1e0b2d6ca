"""Does training on sequences without meaning help with a language? Nested parentheses and Zipf noise before real prose."""

import numpy as np

from jaxscale.data.markov import Unigram
from jaxscale.data.parentheses import Parentheses
from jaxscale.data.text import CharacterText
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.dynamics.transferred import Transferred
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study

CONTEXT, ALPHABET, BATCH, RATE = 32, 64, 16, 3e-3
FEW = 4
SOURCES = {
    "none": None,
    "parentheses": Parentheses(kinds=16, context=CONTEXT),
    "zipf": Unigram(vocabulary=ALPHABET, context=CONTEXT),
}


def transfer(learning_rate, *, source, before):
    """Train by AdamW on the source corpus for `before` steps, then on the text with fresh embeddings and readout."""
    network = Decoder(vocabulary=ALPHABET, context=CONTEXT, mixer=Attention(heads=2), width=32, depth=1)

    def trained(world):
        return Descent(
            model=LanguageModel(world=world, network=network, batch=BATCH, evaluation=256),
            learning_rate=learning_rate,
            rule=AdamW(),
        )

    text = trained(CharacterText(source="pydoc", context=CONTEXT, alphabet=ALPHABET))
    world = SOURCES[source]
    return text if world is None else Transferred(system=text, source=trained(world), steps=before)


def _scale(before, last, seeds, width, sources=tuple(SOURCES)):
    times = np.unique(np.linspace(0, last, 11).round().astype(int))
    static = {"source": sources, "before": (before,)}
    grid = {"learning_rate": [RATE]}
    return {"transfer": dict(grid=grid, static=static, seeds=seeds, times=times, share=("source",), width=width)}


SCALES = {
    "smoke": _scale(40, 40, 2, 2, ("none", "parentheses")),
    "laptop": _scale(400, 200, 8, 4),
    "accelerator": _scale(10_000, 5_000, 64, None),
}


def measure(runs):
    """Compare final losses on the text with those from scratch, seed by seed: seeds share batches and test windows."""
    loss = runs["transfer"]["loss"].isel(learning_rate=0, before=0).transpose("source", "seed", "time")
    scratch = loss.sel(source="none").values
    found = {"scratch": Found(float(scratch[:, -1].mean()), note="nats per character, from scratch")}
    first = loss.isel(time=0).mean("seed")
    found["fresh"] = Found(float(np.abs(first - np.log(ALPHABET)).max()), note="nats, start less ln V, largest")
    if loss.sizes["seed"] < FEW:  # gains of hundredths of a nat take several seeds
        return found
    for name in ("parentheses", "zipf"):
        gap = loss.sel(source=name).values[:, -1] - scratch[:, -1]
        found[name] = Found.over(gap, "nats, final loss less scratch")
    structure = (loss.sel(source="zipf") - loss.sel(source="parentheses")).values[:, -1]
    found["structure"] = Found.over(structure, "nats, after noise less after parentheses")
    return found


def draw(runs, found):
    """Draw the loss on the text, a curve for each source."""
    runs = runs["transfer"].isel(learning_rate=0, before=0)
    figure, axes = figures.new_axes()
    figures.curves(runs["loss"], x="time", hue="source", axes=axes, log="", title="held-out loss on the text")
    return {"transfer": figure}


STUDY = Study(
    name="corpus_transfer",
    question="does training on meaningless structure first help a tiny model with real prose?",
    paper="Yao et al. 2022, Linking emergent and natural languages via corpus transfer, arXiv:2203.13344",
    experiments={"transfer": transfer},
    scales=SCALES,
    measure=measure,
    draw=draw,
    claims=(
        Claim("fresh", "with fresh embeddings and readout nothing is known of the text at the start", 0, 2, "their section 3"),
        Claim("parentheses", "parentheses first help: final loss less from scratch", -np.inf, -0.01, "their table 1"),
        Claim("structure", "parentheses help more than noise does", 0.01, np.inf, "Papadimitriou & Jurafsky, figure 2"),
    ),
)
