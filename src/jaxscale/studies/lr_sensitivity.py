"""Attention logits grow with the learning rate until training breaks, in tiny transformers too; query-key norm stops it.

Character models of real prose (CPython's own documentation), seven rates over three decades, with and without the norm.
"""

import numpy as np

from jaxscale.data.text import CharacterText
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.dynamics.schedules import Schedule
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import switched_off

WIDTH, HEADS = 48, 2
HOT = 0.1


def network(*, qk_norm, context):
    """Make the text's world and a decoder of two layers, 24 numbers a head."""
    world = CharacterText(source="pydoc", context=context, alphabet=64)
    mixer = Attention(heads=HEADS, qk_norm=qk_norm)
    return world, Decoder(vocabulary=world.vocabulary, context=context, mixer=mixer, width=WIDTH)


def sensitivity(learning_rate, *, qk_norm, steps):
    """Train by AdamW without decay, with 5 % warm-up."""
    world, decoder = network(qk_norm=qk_norm, context=32)
    model = LanguageModel(world=world, network=decoder, batch=16, evaluation=128)
    schedule = Schedule(warmup=0.05 * steps)
    return Descent(model=model, learning_rate=learning_rate, rule=AdamW(), schedule=schedule)


def _scale(rates, seeds, steps, width):
    static, times = {"qk_norm": (False, True), "steps": (steps,)}, np.linspace(0, steps, 11).round().astype(int)
    return {
        "sensitivity": dict(
            grid={"learning_rate": rates}, static=static, seeds=seeds, times=times, width=width,
            share=("learning_rate", "qk_norm", "steps"),  # one held-out text for all: the least over rates keeps its noise
        )
    }  # fmt: skip


RATES = 10.0 ** np.arange(-3.5, -0.4, 0.5)  # 3e-4 .. 3e-1
SCALES = {
    "smoke": _scale([1e-2, HOT], 2, 60, 2),
    "laptop": _scale(RATES, 3, 500, 7),
    "accelerator": _scale(RATES, 8, 10_000, None),
}


def lr_sensitivity(loss):
    """Return S = mean over rates of min(final loss, loss at the start) - best final loss, per seed; diverged runs count as the
    start.

    Args:
      loss: DataArray (learning_rate, time, ...).
    """
    start = loss.isel(time=0).mean("seed")
    final = loss.isel(time=-1)
    final = final.where(np.isfinite(final), start)
    capped = final.where(final < start, start)
    return capped.mean("learning_rate") - capped.min("learning_rate")


def measure(runs):
    """Measure the largest attention logits over time at the hot rate, losses there, and the sensitivities."""
    runs = runs["sensitivity"].isel(steps=0)
    hot = runs.sel(learning_rate=HOT, method="nearest")
    peak = np.log(hot["max_score"].max("time"))
    every, head = runs["max_score"].sel(qk_norm=True).max(), WIDTH // HEADS
    found = {
        "logits": Found.over(peak.sel(qk_norm=False) - peak.sel(qk_norm=True), "ln of the largest, without over with"),
        "bound": Found.exact(float(every) / head**0.5, "largest logit with the norm over sqrt(head width), all runs"),
    }
    hottest = runs["loss"].isel(time=-1, learning_rate=-1)
    found["hottest_gap"] = Found.over(hottest.sel(qk_norm=False) - hottest.sel(qk_norm=True), "nats, at the hottest rate")
    if runs.sizes["learning_rate"] > 4:
        s = lr_sensitivity(runs["loss"])
        note = f"S {float(s.sel(qk_norm=False).mean()):.3f} without, {float(s.sel(qk_norm=True).mean()):.3f} with"
        found["sensitivity"] = Found.over(s.sel(qk_norm=True) / s.sel(qk_norm=False), note)
    return found


def draw(runs, found):
    """Draw final losses and largest logits against the learning rate."""
    runs = runs["sensitivity"].isel(steps=0)
    figure, axes = figures.new_axes(1, 2)
    figures.curves(runs["loss"].isel(time=-1), x="learning_rate", hue="qk_norm", axes=axes[0], log="x", title="final loss")
    figures.curves(runs["max_score"].max("time", keep_attrs=True), x="learning_rate", hue="qk_norm", axes=axes[1],
                   title="largest attention logit over time")  # fmt: skip
    axes[1].axhline((WIDTH // HEADS) ** 0.5, color="0.4", ls="--", lw=0.8)
    return {"sensitivity": figure}


SOURCE = "Wortsman et al. 2023"
STUDY = Study(
    name="lr_sensitivity",
    question="do attention logits of tiny transformers grow with the learning rate, and does query-key norm mend what follows?",
    paper="Wortsman et al. 2023, Small-scale proxies for large-scale Transformer training instabilities, arXiv:2309.14322",
    experiments={"sensitivity": sensitivity},
    scales=SCALES,
    measure=measure,
    draw=draw,
    diverging=True,
    world="character models of two layers of width 48 on CPython's documentation, 500 steps",
    controls={"no norm": switched_off("qk_norm", False)},
    symbols={"learning_rate": r"$\eta$"},
    claims=(
        Claim("logits", "attention logits grow at high rates in small models too: ln of the largest, without over with norm",
              np.log(100), np.inf, f"{SOURCE}, abstract and section 3.1", null="no norm"),
        Claim("hottest_gap", "what helps at scale helps here: the norm lowers the loss at the hottest rate, nats", 0.2, np.inf,
              f"{SOURCE}, abstract and figure 1", null="no norm"),
        Claim("sensitivity", "the norm lowers the learning-rate sensitivity S: ratio", 0, 0.7, f"{SOURCE}, section 3.1",
              null="no norm"),
        Claim("bound", "with the norm |q k| / sqrt(d) <= sqrt(d), exactly", 0, 1 + 1e-5, "derived", kind="derived",
              null="no norm"),
    ),  # fmt: skip
)
