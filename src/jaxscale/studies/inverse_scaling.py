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
    """Find the class of each curve, how deep it falls, and where it ends."""
    runs = runs["model"].isel(symbols=0)
    rare, even = (runs.sel(share=s, method="nearest") for s in (RARE, EVEN))
    turned = rare["turned"].mean("seed").values
    found_rare, found_even, found_plain = kind(rare["turned"]), kind(even["turned"]), kind(rare["plain"])
    return {
        "u_shape": Found(float(found_rare.kind == "U"), note=f"rare exceptions: {found_rare.kind}, tau {found_rare.tau:.2f}"),
        "rising": Found(
            float(found_even.kind == "rising" and found_plain.kind == "rising"),
            note=f"half exceptions: {found_even.kind}; the frequent rule: {found_plain.kind}",
        ),
        "fall": Found(float(turned.min() / turned[0]), note="lowest probability of the exception's answer over the start's"),
        "end": Found(float(turned[-1]), note="probability of the exception's answer at the end"),
    }


def draw(runs, found):
    """Draw the probability of the exception's answer against steps, a curve for each share."""
    runs = runs["model"].isel(symbols=0)
    figure, axes = figures.new_axes()
    figures.curves(
        runs["turned"].isel(time=slice(1, None)),
        x="time",
        hue="share",
        axes=axes,
        log="x",
        title="where the rule is turned round",
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
    claims=(
        Claim("u_shape", "rare exceptions: the score is classified as U-shaped", 1, 1, "Wei et al., figure 1"),
        Claim("rising", "frequent exceptions, and the rule itself: rising", 1, 1, "the control"),
        Claim("fall", "the score falls well below its start", 0, 0.7, "McKenzie et al., section 4.3"),
    ),
)
