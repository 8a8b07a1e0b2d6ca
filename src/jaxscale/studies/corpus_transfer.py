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
from jaxscale.study.controls import shuffled

CONTEXT, ALPHABET, BATCH = 32, 64, 16
RATES = [1e-3, 3e-3, 1e-2]  # every source has the best of them
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
    grid = {"learning_rate": RATES}
    return {"transfer": dict(grid=grid, static=static, seeds=seeds, times=times, share=("source",), width=width)}


SCALES = {
    "smoke": _scale(40, 40, 2, 2),
    "laptop": _scale(400, 200, 8, 4),
    "accelerator": _scale(10_000, 5_000, 64, None),
}


def tuned(loss, source):
    """Return (seed, time) losses of a source at the rate that is best at the end in the mean over seeds."""
    one = loss.sel(source=source).transpose("learning_rate", "seed", "time").values
    return one[np.argmin(one[:, :, -1].mean(1))]


def measure(runs):
    """Compare final losses on the text with those from scratch, seed by seed: seeds share batches and test windows."""
    loss = runs["transfer"]["loss"].isel(before=0)
    scratch, parentheses, noise = (tuned(loss, name)[:, -1] for name in SOURCES)
    first = loss.isel(time=0, learning_rate=0)
    return {
        "fresh": Found.every({f"{s}:": Found.over(first.sel(source=s) - np.log(ALPHABET)) for s in SOURCES}, "nats over ln V"),
        "parentheses": Found.over(1 - np.exp(parentheses - scratch), "share of the perplexity from scratch"),
        "structure": Found.over(noise - parentheses, "nats, after noise less after parentheses"),
        "noise": Found.over(1 - np.exp(noise - scratch), "share of the perplexity from scratch"),
        "scratch": Found.over(scratch, "nats per character"),
    }


def draw(runs, found):
    """Draw the loss on the text, a curve for each source at its best rate."""
    loss = runs["transfer"]["loss"].isel(before=0)
    figure, axes = figures.new_axes()
    for i, name in enumerate(SOURCES):
        curve = loss.sel(source=name, learning_rate=loss["learning_rate"][0]).copy(data=tuned(loss, name))
        figures.curves(curve, x="time", axes=axes, log="", colour=i, label=f"first: {name}")
    axes.set_ylabel("held-out loss (nats per character)")
    return {"transfer": figure}


STUDY = Study(
    name="corpus_transfer",
    question="does training on meaningless structure first help a tiny model with real prose?",
    paper="Yao et al. 2022, Linking emergent and natural languages via corpus transfer, arXiv:2203.13344",
    experiments={"transfer": transfer},
    scales=SCALES,
    measure=measure,
    draw=draw,
    world="character models of one layer of width 32, 400 steps of parentheses or noise, then 200 of prose",
    controls={"sources exchanged": shuffled("source")},
    claims=(
        Claim("parentheses", "a corpus without meaning first lowers the perplexity on language, by a share", 0.02, 1,
              "Yao et al., abstract (.246, of emergent language)", null="sources exchanged"),
        Claim("structure", "it is structure that helps: parentheses more than noise, nats", 0.01, np.inf,
              "Papadimitriou & Jurafsky 2020", null="sources exchanged"),
        Claim("fresh", "with fresh embeddings and readout nothing is known of the text at the start", -0.1, 2,
              "their section 3", kind="gate"),
    ),  # fmt: skip
)
