"""What needs to go right for an induction head: a plateau, then a jump; and clamping one part of the circuit brings it forward.

Sequences x1 l1 x2 l2 q with labels drawn afresh: only copying the label that followed q's earlier occurrence solves them. One
attention head of the first layer is clamped to look at the previous token, or one of the second to look at the right label.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.data.relabel import Relabelling
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.language.taps import Tap
from jaxscale.models.probes.attention import induction
from jaxscale.phase.first_passage import time_to
from jaxscale.plot import figures
from jaxscale.records import record
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import shuffled, switched_off, untrained

NONE, PREVIOUS, INDUCTION = 0, 1, 2  # values of the axis `clamp`
NAMES = {NONE: "none", PREVIOUS: "previous-token head", INDUCTION: "induction head"}
SOLVED = 0.9  # accuracy
EVALUATION = 256  # held-out sequences
LONG = 1000  # steps, after which a free network should have solved it


@record
class Clamp:
    """Taps that put one head where the circuit needs it, by the axis `clamp`."""

    clamp: Any
    heads: int = 4

    def __call__(self, tokens: jax.Array) -> dict[str, Tap]:
        """Make the taps for (B, T) tokens. A head of layer 0 looks one token back; a head of layer 1 looks from q to the label
        after its earlier occurrence.
        """
        length = tokens.shape[1]
        back = jnp.eye(length, k=-1).at[0, 0].set(1.0)
        first = (jnp.arange(self.heads) == 0).astype(jnp.float32)[:, None, None]
        at = jnp.where(tokens[:, 0] == tokens[:, -1], 1, 3)
        right = jax.nn.one_hot(at, length)[:, None, None, :]  # (B, 1, 1, S)
        query = (jnp.arange(length) == length - 1).astype(jnp.float32)[:, None]
        return {
            "layer0/pattern": Tap(mask=(self.clamp == PREVIOUS) * first, value=back),
            "layer1/pattern": Tap(mask=(self.clamp == INDUCTION) * first * query[None], value=right),
        }


def scores(model, params, data, logits, sites):
    """Return the best head's attention from labels to their classes in layer 0, and its induction score in layer 1."""
    labels = sites["layer0/pattern"][:, :, 1::2]  # the places that the circuit needs; elsewhere a head may look anywhere
    return {
        "previous_score": jnp.max(jnp.mean(labels[:, :, [0, 1], [0, 2]], axis=(0, 2))),
        "induction_score": jnp.max(induction(sites["layer1/pattern"], data.test.tokens)),
    }


def circuit(clamp, *, heads):
    """Train a two-layer attention-only network by Adam, with heads clamped or not."""
    world = Relabelling(classes=32, labels=5)
    network = Decoder(vocabulary=world.vocabulary, context=world.context, mixer=Attention(heads=heads), width=32, hidden=0)
    model = LanguageModel(
        world=world, network=network, batch=32, evaluation=EVALUATION, taps=Clamp(clamp=clamp, heads=heads), probes=(scores,)
    )
    return Descent(model=model, learning_rate=5e-4, rule=AdamW())


def _scale(seeds, last, every, width):
    times, clamps = np.arange(0, last + 1, every), [NONE, PREVIOUS, INDUCTION]
    return {"circuit": dict(grid={"clamp": clamps}, static={"heads": (4,)}, seeds=seeds, times=times, width=width)}


SCALES = {"smoke": _scale(2, 1200, 40, 2), "laptop": _scale(8, 1600, 20, 12), "accelerator": _scale(256, 20_000, 50, None)}


def measure(runs):
    """Measure steps to 90 % with and without clamps, the plateau's length, how far and how jointly the scores rise."""
    runs = runs["circuit"].isel(heads=0)
    accuracy = (1 - runs["error"]).rename("accuracy")
    steps = {clamp: time_to(accuracy.sel(clamp=clamp), SOLVED).values for clamp in NAMES}
    last = runs.isel(time=-1).sel(clamp=INDUCTION)
    found = {
        "solved_clamped": Found.shares(1 - last["error"], EVALUATION, "right at the end, induction head clamped"),
        "induction_steps": Found.median(steps[INDUCTION], "steps to 90 %, induction head clamped"),
        "induction_first": _sooner(steps[NONE], steps[INDUCTION], "none over induction head clamped"),
    }
    if runs["time"][-1] < LONG:
        return found
    found |= {
        "solved": Found.shares(
            1 - runs.isel(time=-1).sel(clamp=NONE)["error"], EVALUATION, "right at the end, nothing clamped"
        ),
        "previous_steps": Found.median(steps[PREVIOUS], "steps to 90 %, previous-token head clamped"),
        "free_steps": Found.median(steps[NONE], "steps to 90 %, nothing clamped"),
        "previous_first": _sooner(steps[NONE], steps[PREVIOUS], "none over previous-token head clamped"),
        "more": _sooner(steps[PREVIOUS], steps[INDUCTION], "previous-token over induction head clamped"),
    }
    return found | _freely(runs.sel(clamp=NONE), accuracy.sel(clamp=NONE), steps[NONE])


def _sooner(late, soon, note):
    """Return ln of the ratio of times, seed by seed: seeds share nothing but their number. A run that never gets there counts
    as one that takes for ever, which the median bears.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(np.isinf(late) & np.isinf(soon), -np.inf, np.log(late / soon))
    return Found.median(ratio, f"ln of the steps, {note}")


def _freely(free, accuracy, steps):
    """What is asked of runs with nothing clamped."""
    every = float(free["time"][1] - free["time"][0])
    solved = np.isfinite(steps)
    plateau = ((accuracy > 0.45) & (accuracy < 0.65)).sum("time").values * every / steps
    series = {name: free[name].transpose("seed", "time").values for name in ("previous_score", "induction_score")}
    rise = {f"{name.replace('_score', '')}:": Found.over(values[:, -1] - values[:, 0]) for name, values in series.items()}
    half = [every * _half_rise(values) for values in series.values()]
    apart = np.abs(half[0] - half[1])[solved] / steps[solved]
    return {
        "plateau": Found.over(plateau[solved], "share of the time to 90 % spent between 45 and 65 %"),
        "scores": Found.every(rise, "rise of the best head's score"),
        "joint": Found.over(apart, "between the scores' half rises, over the time to 90 %"),
    }


def _half_rise(series):
    """(seeds,) first record at which a running mean of five of (seeds, records) is half way up; NaN for what ends no higher."""
    smooth = np.lib.stride_tricks.sliding_window_view(np.pad(series, ((0, 0), (2, 2)), mode="edge"), 5, axis=1).mean(-1)
    first, last = series[:, :1], smooth[:, -1:]
    return np.where((last > first)[:, 0], np.argmax(smooth >= (first + last) / 2, axis=1), np.nan)


def draw(runs, found):
    """Draw accuracies, and the two scores of the free network."""
    runs = runs["circuit"].isel(heads=0)
    figure, axes = figures.new_axes(1, 2)
    accuracy = (1 - runs["error"]).rename("accuracy")
    for i, (clamp, name) in enumerate(NAMES.items()):
        mean = accuracy.sel(clamp=clamp).mean("seed")
        axes[0].plot(mean["time"], mean, color=figures.COLOURS[i], label=f"clamped: {name}")
        for seed in accuracy.sel(clamp=clamp).transpose("seed", "time").values:
            axes[0].plot(mean["time"], seed, color=figures.COLOURS[i], lw=0.4, alpha=0.4)
    for i, name in enumerate(("previous_score", "induction_score")):
        mean, label = runs[name].sel(clamp=NONE).mean("seed"), name.replace("_score", "")
        axes[1].plot(runs["time"], mean, color=figures.COLOURS[i], label=label)
    for ax, label in zip(axes, ("accuracy", "score of the best head, free")):
        ax.set_xlabel("step")
        ax.set_ylabel(label)
        ax.legend()
    return {"circuit": figure}


SOURCE = "Singh et al. 2024"
STUDY = Study(
    name="induction_head",
    question="which part of an induction circuit is the slow one?",
    paper="Singh, Moskovitz, Hill, Chan & Saxe 2024, What needs to go right for an induction head?, arXiv:2404.07129",
    experiments={"circuit": circuit},
    scales=SCALES,
    measure=measure,
    draw=draw,
    world="a transformer of two layers of attention of width 32 on 32 classes and 5 labels, 1,600 steps",
    controls={"one clamp": switched_off("clamp", NONE), "untrained": untrained, "time shuffled": shuffled("time")},
    claims=(
        Claim("previous_first", "clamping the previous-token head brings the jump forward, ln of the steps",
              np.log(1.3), np.inf,
              f"{SOURCE}, section 5", null="one clamp"),
        Claim("induction_first", "so does clamping the induction head", 0.5, np.inf, f"{SOURCE}, section 5", null="one clamp"),
        Claim("more", "and more so", np.log(1.3), np.inf, f"{SOURCE}, section 5", null="one clamp"),
        Claim("plateau", "before the jump accuracy stands at chance of two labels: share of the time", 0.15, 1,
              f"{SOURCE}, figure 1", null="untrained"),
        Claim("scores", "previous-token and induction scores both rise", 0.15, 1, f"{SOURCE}, section 4", null="untrained"),
        Claim("joint", "and together: their half rises are close in time", 0, 0.25, f"{SOURCE}, section 4",
              null="time shuffled"),
        Claim("solved_clamped", "with the induction head clamped the task is learned", 0.85, 1, SOURCE, kind="derived",
              null="untrained"),
        Claim("solved", "with nothing clamped too", 0.85, 1, SOURCE, kind="gate"),
    ),  # fmt: skip
)
