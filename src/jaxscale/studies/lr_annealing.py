"""A law of the learning rate's area and of its annealing, fitted to two schedules, predicts the whole loss curves of others.

Character models of real prose. All schedules see the same sequences (common random numbers), so their curves differ by the
schedule alone; which one it is is traced, so that one program serves them all.
"""

from typing import Any

import jax.numpy as jnp
import numpy as np

from jaxscale.data.text import CharacterText
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.dynamics.schedules import Schedule
from jaxscale.fitting.laws import annealing as law
from jaxscale.fitting.solver import solve
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.plot import figures
from jaxscale.records import record, static
from jaxscale.study import Claim, Found, Study

PEAK, FLOOR, WARMUP = 3e-3, 0.1, 0.05
SHAPES = ("constant", "cosine", "wsd", "two-stage")
FITTED, PREDICTED = SHAPES[:2], SHAPES[2:]
MEMORIES = (0.9, 0.95, 0.98, 0.99, 0.995, 0.998)  # of the annealing, a grid as the paper tries
DELTA = 1e-3  # of the Huber loss


def schedule(shape, steps):
    """Make a schedule: a warm-up, then the shape, down to a tenth of the peak; the drops take the last three tenths."""
    return Schedule(shape=shape, steps=float(steps), warmup=WARMUP * steps, floor=FLOOR, cooldown=0.3)


@record
class Chosen:
    """One of the schedules, chosen by its number so that the choice may be traced."""

    shape: float
    steps: int = static()

    def __call__(self, step: Any) -> Any:
        """Return the factor of the peak at a step."""
        factors = jnp.stack([schedule(shape, self.steps)(step) for shape in SHAPES])
        return factors[jnp.asarray(self.shape, jnp.int32)]


def curve(shape, *, steps):
    """Train by AdamW on fresh windows of the text."""
    world = CharacterText(source="pydoc", context=32, alphabet=64)
    network = Decoder(vocabulary=world.vocabulary, context=32, mixer=Attention(heads=2), width=32, depth=1)
    model = LanguageModel(world=world, network=network, batch=16, evaluation=256)
    return Descent(model=model, learning_rate=PEAK, rule=AdamW(), schedule=Chosen(shape=shape, steps=steps))


def _scale(steps, records, seeds, width):
    times = np.unique(np.linspace(0, steps, records + 1).round().astype(int))
    grid, static = {"shape": np.arange(len(SHAPES), dtype=np.int32)}, {"steps": (steps,)}
    return {"curve": dict(grid=grid, static=static, seeds=seeds, times=times, share=("shape",), width=width)}


SCALES = {
    "smoke": _scale(300, 20, 2, 2),
    "laptop": _scale(3000, 60, 4, 2),
    "accelerator": _scale(24_000, 240, 64, None),
}


def areas(shape, steps, times, memory):
    """Return (2, records) S1 and S2 at the recorded steps, in units of the peak."""
    rates = np.asarray(schedule(shape, steps)(np.arange(steps)))
    found = np.stack(law.areas(rates, decay=memory, warmup=int(WARMUP * steps)))
    return found[:, times - 1]


def predictions(runs, memories=MEMORIES):
    """Return {shape: (records, measured, law)}, of the memory that fits the two schedules best; that memory; and the law's
    parameters.
    """
    steps = int(runs["steps"].values[0])
    late = runs["loss"].isel(steps=0).mean("seed")
    late = late.sel(time=late["time"] > 2 * WARMUP * steps)  # as the paper: after the warm-up
    times = late["time"].values
    y = np.concatenate([late.isel(shape=SHAPES.index(shape)).values for shape in FITTED])
    tried = []
    for memory in memories:
        x = np.concatenate([areas(shape, steps, times, memory) for shape in FITTED], axis=1)
        found = solve(law.LAW, x, y, np.ones(len(y)), huber=DELTA)
        tried.append((float(found.objective[0]), memory, dict(zip(law.LAW.params, found.values[0]))))
    _, memory, values = min(tried, key=lambda one: one[0])
    made = {s: law.LAW.at(areas(s, steps, times, memory), values) for s in (*FITTED, *PREDICTED)}
    return {s: (times, late.isel(shape=SHAPES.index(s)).values, made[s]) for s in made}, memory, values


def measure(runs):
    """Measure R2 and the largest relative error on the schedules that were not fitted, and what the same law says without
    annealing.
    """
    curves, memory, values = predictions(runs["curve"])
    y, made = (np.concatenate([curves[s][i] for s in PREDICTED]) for i in (1, 2))
    gap = y - made
    flat = values | {"drop": 0.0}
    steps, times = int(runs["curve"]["steps"].values[0]), curves["wsd"][0]
    without = np.concatenate([law.LAW.at(areas(s, steps, times, memory), flat) for s in PREDICTED])
    return {
        "r2": Found(
            float(1 - np.sum(gap**2) / np.sum((y - y.mean()) ** 2)),
            note=f"alpha {values['alpha']:.2f}, C {values['drop']:.3g}, memory {memory}",
        ),
        "error": Found(float(np.max(np.abs(gap) / y)), note="largest relative error on the unseen schedules"),
        "end": Found(float(np.max([abs(curves[s][1][-1] - curves[s][2][-1]) for s in PREDICTED])), note="nats, final losses"),
        "gain": Found(
            float(np.sqrt(np.mean((y - without) ** 2) / np.mean(gap**2))), note="error without S2 over error with it"
        ),
    }


def draw(runs, found):
    """Draw the curves, measured and predicted."""
    curves, _, _ = predictions(runs["curve"])
    figure, axes = figures.new_axes(1, 2)
    for panel, shapes, title in ((axes[0], FITTED, "fitted"), (axes[1], PREDICTED, "predicted")):
        for i, shape in enumerate(shapes):
            times, y, made = curves[shape]
            panel.plot(times, y, "o", ms=2.5, color=figures.COLOURS[i], label=shape)
            panel.plot(times, made, color=figures.COLOURS[i], lw=1)
        panel.set_xlabel("step")
        panel.set_ylabel("held-out loss (nats per character)")
        panel.set_title(title)
        panel.legend(fontsize=7, frameon=False)
    return {"curves": figure}


STUDY = Study(
    name="lr_annealing",
    question="does a law fitted to two learning-rate schedules predict the loss curves of others?",
    paper="Tissue et al. 2024, Scaling law with learning rate annealing, arXiv:2408.11029",
    experiments={"curve": curve},
    scales=SCALES,
    measure=measure,
    draw=draw,
    claims=(
        Claim("r2", "R2 on schedules that were not fitted", 0.99, 1.0, "Tissue et al., figure 3"),
        Claim("error", "largest relative error there", 0, 0.05, "Tissue et al., figure 3"),
        Claim(
            "gain", "the annealing area S2 is needed: error without it over error with it", 1, np.inf, "Tissue et al., eq. 1"
        ),
    ),
)
