"""A score that falls before it rises: on the rare sequences where the frequent rule is turned round, training first misleads.

The scale is the number of training steps. Where the marker is rare, the frequent rule is learned before the exception.
"""

import jax.numpy as jnp
import numpy as np

from jaxscale.data.distractor import Distractor
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.fitting.measures.trend import trend
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.language.token_mlp import TokenMlp
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import switched_off, untrained

RARE, EVEN = 0.01, 0.5  # shares of the sequences whose rule is turned round
FLOOR = 1e-3  # of a standard error: a probability that all seeds share exactly


def chances(model, params, data, logits, sites):
    """Return the right answer's probability, mean over symbols: with the plain marker, and with the one that turns the rule
    round.
    """
    found = {}
    for name, turned in (("plain", False), ("turned", True)):
        seen = model.world.table(turned)
        logits = model.apply(params, seen.tokens)[0][:, -1]
        log_z = jnp.log(jnp.sum(jnp.exp(logits - logits.max(-1, keepdims=True)), -1)) + logits.max(-1)
        right = jnp.take_along_axis(logits, seen.targets[:, -1:], axis=1)[:, 0]
        found[name] = jnp.mean(jnp.exp(right - log_z))
    return found


def model(share, *, symbols):
    """Train by AdamW on fresh sequences."""
    world = Distractor(symbols=symbols, turned=share)
    network = TokenMlp(vocabulary=world.vocabulary, context=2, width=64)
    trained = LanguageModel(world=world, network=network, batch=32, evaluation=64, probes=(chances,))
    return Descent(model=trained, learning_rate=1e-3, rule=AdamW())


def _scale(shares, seeds, last, records, width):
    times = np.unique(np.concatenate([[0], np.geomspace(2, last, records).round()])).astype(int)
    return {"model": dict(grid={"share": shares}, static={"symbols": (8,)}, seeds=seeds, times=times, width=width)}


SCALES = {
    "smoke": _scale([RARE, EVEN], 8, 3000, 14, 8),
    "laptop": _scale([RARE, 0.03, 0.1, 0.25, EVEN], 32, 6000, 20, 32),
    "accelerator": _scale(np.geomspace(0.003, 0.5, 24), 1024, 100_000, 40, None),
}


def kind(score):
    """Classify the trend of a (time, seed) score with the number of steps."""
    values = score.transpose("time", "seed").values
    error = np.maximum(values.std(axis=1, ddof=1) / values.shape[1] ** 0.5, FLOOR)
    return trend(values.mean(axis=1), error)


def measure(runs):
    """Measure how deep each curve falls below its start and where it ends; report the class of its trend."""
    runs = runs["model"].isel(symbols=0)
    rare, even = (runs.sel(share=s, method="nearest") for s in (RARE, EVEN))

    def fall(score):
        values = score.transpose("seed", "time").values
        at = int(score["time"][int(values.mean(0).argmin())])
        return Found.over(values.min(axis=1) / values[:, 0], f"each seed's lowest, near step {at}; {kind(score).kind}")

    turned = rare["turned"].transpose("seed", "time").values
    return {
        "fall": fall(rare["turned"]),
        "turns": Found.over(turned[:, -1] - turned[:, turned.mean(0).argmin()], "of the exception's answer, last less lowest"),
        "rule": fall(rare["plain"]),
        "frequent": fall(even["turned"]),
    }


def only_turned(runs):
    """Put the exceptions' answers in the place of the rule's."""
    return {name: data.assign(plain=data["turned"]) for name, data in runs.items()}


def draw(runs, found):
    """Draw the probability of the exception's answer against steps, a curve for each share."""
    runs = runs["model"].isel(symbols=0)
    figure, axes = figures.new_axes()
    figures.curves(
        runs["turned"].isel(time=slice(1, None)),
        x="time", hue="share", axes=axes, log="x", title="where the rule is turned round",
    )
    axes.set_ylabel("probability of the exception's answer")
    axes.axhline(1 / 8, color="0.4", ls="--", lw=0.8)
    return {"chances": figure}


STUDY = Study(
    name="inverse_scaling",
    question="does a frequent rule make the answer to its exceptions worse before it gets better?",
    paper="McKenzie et al. 2023, Inverse scaling: when bigger isn't better, arXiv:2306.09479; Wei et al. 2022, Inverse scaling "
    "can become U-shaped, arXiv:2211.02011",
    experiments={"model": model},
    scales=SCALES,
    measure=measure,
    draw=draw,
    world="a perceptron of 64 units on a rule of 8 symbols with exceptions; scale is training, not model size",
    controls={"as many exceptions": switched_off("share", EVEN), "rare exceptions": switched_off("share", RARE),
              "untrained": untrained, "only the turned": only_turned},
    symbols={"time": "step", "share": "share turned"},
    claims=(
        Claim("fall", "with an easy distractor task, more training is worse at first: lowest score over first", 0, 0.7,
              "McKenzie et al., abstract (iii)", null="as many exceptions"),
        Claim("turns", "the trend reverses, a U: last probability less the lowest", 0.5, 1,
              "McKenzie et al., abstract; Wei et al.", null="untrained"),
        Claim("frequent", "it is the distractor's frequency: frequent exceptions do not fall", 0.9, 1.1, "derived",
              kind="derived", null="rare exceptions"),
        Claim("rule", "nor does the rule itself", 0.9, 1.1, "derived", kind="derived", null="only the turned"),
    ),  # fmt: skip
)
