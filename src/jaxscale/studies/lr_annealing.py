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
from jaxscale.study.controls import shuffled

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


def late_curves(runs):
    """Return (seeds, shapes, records) losses after the warm-up, as the paper fits them, and the recorded steps."""
    steps = int(runs["steps"].values[0])
    late = runs["loss"].isel(steps=0).transpose("seed", "shape", "time").sel(time=runs["time"] > 2 * WARMUP * steps)
    return late.values.astype(float), late["time"].values, steps


def fitted(y, times, steps, memory, annealed=True):
    """Fit the law to (shapes, records) of the two schedules; without annealing its area is nothing. Return the objective and
    the law of every schedule, (shapes, records).
    """
    keep = np.array([[1.0], [1.0 if annealed else 0.0]])
    x = np.stack([areas(shape, steps, times, memory) * keep for shape in SHAPES])
    two = np.concatenate(x[: len(FITTED)], axis=1)
    found = solve(law.LAW, two, y[: len(FITTED)].ravel(), np.ones(two.shape[1]), huber=DELTA)
    values = dict(zip(law.LAW.params, found.values[0]))
    return float(found.objective[0]), np.stack([law.LAW.at(one, values) for one in x])


def predictions(runs):
    """Return steps, mean losses and the law's, (shapes, records) each, of the memory that fits both schedules best; and it."""
    y, times, steps = late_curves(runs)
    mean = y.mean(0)
    memory = min(MEMORIES, key=lambda m: fitted(mean, times, steps, m)[0])
    return times, mean, fitted(mean, times, steps, memory)[1], memory


def r2(y, made):
    """Return the share of the variance that is explained."""
    return float(1 - np.sum((y - made) ** 2) / np.sum((y - y.mean()) ** 2))


def measure(runs):
    """Measure R2 and errors on the schedules that were not fitted, against the law fitted without annealing, and against the
    constant schedule's own curve.
    """
    y, times, steps = late_curves(runs["curve"])
    *_, memory = predictions(runs["curve"])
    new = slice(len(FITTED), None)

    def over_seeds(statistic, note=""):
        return Found.jackknife(lambda y: statistic(y.mean(0), fitted(y.mean(0), times, steps, memory)[1]), y, note=note)

    def gain(mean, made):
        flat = fitted(mean, times, steps, memory, annealed=False)[1]
        return float(np.sqrt(np.mean((mean - flat)[new] ** 2) / np.mean((mean - made)[new] ** 2)))

    baseline = r2(y.mean(0)[new], np.broadcast_to(y.mean(0)[0], y.mean(0)[new].shape))
    return {
        "fitted": over_seeds(lambda mean, made: r2(mean[: len(FITTED)], made[: len(FITTED)]), f"memory {memory}"),
        "r2": over_seeds(lambda mean, made: r2(mean[new], made[new]), f"{baseline:.3f} if every curve were the constant one's"),
        "error": over_seeds(lambda mean, made: float(np.mean(np.abs(made / mean - 1)[new])), "mean relative error"),
        "end": over_seeds(lambda mean, made: float(np.abs(made - mean)[new, -1].max()), "nats, worst of the final losses"),
        "gain": over_seeds(gain, "rms error fitted without S2 over that with it"),
    }


def undropped(runs):
    """Put the constant schedule's runs in the place of those of the schedules that are predicted."""
    data = runs["curve"]
    return {"curve": data.isel(shape=[0, 1, 0, 0]).assign_coords(shape=data["shape"])}


def draw(runs, found):
    """Draw the curves, measured and predicted."""
    times, y, made, _ = predictions(runs["curve"])
    figure, axes = figures.new_axes(1, 2)
    for panel, shapes, title in ((axes[0], FITTED, "fitted"), (axes[1], PREDICTED, "predicted")):
        for i, shape in enumerate(shapes):
            at = SHAPES.index(shape)
            panel.plot(times, y[at], "o", ms=2, color=figures.COLOURS[i], label=shape)
            panel.plot(times, made[at], color=figures.COLOURS[i], lw=1)
        panel.set_xlabel("step")
        panel.set_ylabel("held-out loss (nats per character)")
        panel.set_title(title)
        panel.legend()
    return {"curves": figure}


STUDY = Study(
    name="lr_annealing",
    question="does a law fitted to two learning-rate schedules predict the loss curves of others?",
    paper="Tissue et al. 2024, Scaling law with learning rate annealing, arXiv:2408.11029",
    experiments={"curve": curve},
    scales=SCALES,
    measure=measure,
    draw=draw,
    world="character models of 14,000 parameters on CPython's documentation, four schedules of 3,000 steps",
    controls={"nothing dropped": undropped, "time shuffled": shuffled("time")},
    claims=(
        Claim("fitted", "loss curves follow the law with annealing: R2 of both that are fitted", 0.99, 1, "abstract",
              null="time shuffled"),
        Claim("r2", "and predict those of other schedules at any step: R2 there", 0.99, 1, "abstract; figure 3",
              null="nothing dropped"),
        Claim("error", "accurately: mean relative error there", 0, 0.01, "abstract; figure 3", null="time shuffled"),
        Claim("gain", "annealing brings a further drop: rms error of the law fitted without S2 over that with it", 1.2, np.inf,
              "abstract; equation 1", null="nothing dropped"),
    ),  # fmt: skip
)
