"""Do losses of tiny character models spike at high learning rates, and does a smaller embedding gradient calm them?

GLM-130B was trained with its embedding's gradient shrunk to a tenth. Adam takes a constant factor of a gradient back, so that
the shrink acts through clipping and epsilon alone: with gradients clipped to a norm, as here and there, it may act.
"""

import numpy as np

from jaxscale.data.text import CharacterText
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.gradients import Plain
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.dynamics.schedules import Schedule
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.language.taps import Tap
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import shuffled

SHRINKS = [1.0, 0.3, 0.1]
WINDOW, HEIGHT = 15, 6.0  # records of the running median, and how many median deviations a spike stands out


def model(learning_rate, shrink):
    """Train by AdamW on gradients clipped to norm 1, as large runs do it."""
    world = CharacterText(source="pydoc", context=32, alphabet=64)
    network = Decoder(vocabulary=world.vocabulary, context=32, mixer=Attention(heads=2), width=32, depth=2)
    taps = {"embed": Tap(gradient=shrink)}
    trained = LanguageModel(world=world, network=network, batch=8, evaluation=64, taps=taps)
    return Descent(
        model=trained, learning_rate=learning_rate, rule=AdamW(), gradient=Plain(clip=1.0), schedule=Schedule(warmup=50.0)
    )  # fmt: skip


def _scale(rates, shrinks, last, every, seeds, lanes):
    times = np.arange(0, last + 1, every)
    return {"model": dict(grid={"learning_rate": rates, "shrink": shrinks}, seeds=seeds, times=times, width=lanes,
                          share=("shrink",))}  # fmt: skip


SCALES = {
    "smoke": _scale([0.1], [1.0, 0.1], 150, 3, 2, 2),
    "laptop": _scale([0.03, 0.1], [1.0, 0.1], 2000, 5, 6, 6),
    "accelerator": _scale(np.geomspace(1e-3, 0.3, 12), SHRINKS, 50_000, 5, 64, None),
}


def spikes(loss):
    """Return spikes per record of (..., time) losses: above the median of the last records by several median absolute
    deviations.
    """
    count = np.zeros(loss.shape[:-1])
    for t in range(WINDOW, loss.shape[-1]):
        before = loss[..., t - WINDOW : t]
        middle = np.median(before, axis=-1)
        deviation = np.median(np.abs(before - middle[..., None]), axis=-1)
        count += loss[..., t] > middle + HEIGHT * np.maximum(deviation, 1e-3)
    return count / (loss.shape[-1] - WINDOW)


def rates(runs):
    """Return the share of the records that are spikes, after the warm-up, (learning_rate, shrink, seed)."""
    loss = runs["loss"].sel(time=runs["time"] > 50).transpose("learning_rate", "shrink", "seed", "time")
    return spikes(np.nan_to_num(loss.values, nan=np.inf))


def measure(runs):
    """Count spikes at every rate without the shrink, and how many fewer there are with it, pooled over rates and seeds."""
    runs = runs["model"]
    share = rates(runs)
    at = {float(s): i for i, s in enumerate(np.round(runs["shrink"].values.astype(float), 3))}
    plain, shrunk = share[:, at[1.0]], share[:, at[0.1]]
    gap = (shrunk - plain).mean(axis=0)  # rates of one seed share their numbers
    ends = runs["loss"].isel(time=-1)
    note = "per record at each rate: " + ", ".join(f"{v:.3g}" for v in plain.mean(-1))
    first = runs["loss"].isel(time=0).transpose("shrink", ...).values
    return {
        "forward": Found.exact(float(np.max(np.abs(first - first[:1]))), "nats, loss at the start, shrunk less not"),
        "spikes": Found.over(plain.mean(axis=0), note),
        "calmed": Found.over(gap, "spikes per record, with a tenth of the gradient less without"),
        "loss": Found.over((ends.isel(shrink=at[0.1]) - ends.isel(shrink=at[1.0])).mean("learning_rate"), "nats at the end"),
    }


def draw(runs, found):
    """Draw loss curves of one seed at the hottest rate, and shares of spikes."""
    runs = runs["model"]
    share = rates(runs).mean(-1)
    figure, axes = figures.new_axes(1, 2)
    for i, shrink in enumerate(runs["shrink"].values):
        curve = runs["loss"].isel(learning_rate=-1, shrink=i, seed=0)
        axes[0].plot(curve["time"], curve, lw=0.7, color=figures.COLOURS[i], label=f"gradient times {shrink:.1g}")
        axes[1].plot(runs["learning_rate"], share[:, i], "o-", ms=3, color=figures.COLOURS[i])
    axes[0].set_xlabel("step")
    axes[0].set_ylabel("held-out loss (nats per character)")
    axes[0].legend()
    axes[1].set_xscale("log")
    axes[1].set_xlabel("learning rate")
    axes[1].set_ylabel("spikes per record")
    return {"spikes": figure}


STUDY = Study(
    name="loss_spikes",
    question="do losses of tiny models spike, and does shrinking the embedding's gradient calm them?",
    paper="Zeng et al. 2022, GLM-130B: an open bilingual pre-trained model, arXiv:2210.02414",
    experiments={"model": model},
    scales=SCALES,
    measure=measure,
    draw=draw,
    diverging=True,
    world="character models of two layers of width 32 on CPython's documentation, gradients clipped, rates .03 and .1",
    controls={"shrinks exchanged": shuffled("shrink")},
    symbols={"learning_rate": r"$\eta$"},
    claims=(
        Claim("calmed", "a tenth of the embedding's gradient calms training: spikes per record, with less without", -1, -1e-3,
              "section 2.2", null="shrinks exchanged"),
        Claim("spikes", "losses spike without it: per record", 1e-3, 1, "precondition", kind="gate"),
        Claim("forward", "the shrink changes the gradient and nothing else", 0, 1e-6, "precondition", kind="gate"),
    ),  # fmt: skip
)
