"""Skills emerge one by one, the rarer the later: times of emergence in multitask sparse parity against frequencies."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.data.parity import SparseParity
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.fitting.curve_fit import fit
from jaxscale.fitting.laws import power
from jaxscale.models.language.decoder import dense
from jaxscale.models.language.model import LanguageModel
from jaxscale.phase.first_passage import time_to
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study

ALPHA = 0.4
LEARNED = 0.1  # nats of a task; ln 2 is ignorance
BEGUN = 0.3  # nats: the same times, earlier on each curve, reported beside them
PROBES = 64  # sequences a task


class ParityNet(nn.Module):
    """A network of one hidden layer on a row per task and the bits as numbers: (B, 1 + n) tokens to (B, 1, 2) logits."""

    tasks: int
    bits: int
    width: int = 128

    @nn.compact
    def __call__(self, tokens):
        """Return (B, 1, 2) logits of (B, 1 + n) tokens."""
        rows = self.param("embed", nn.initializers.normal(2.0), (self.tasks, self.width))
        bits = 2.0 * tokens[:, 1:] - 1
        h = nn.relu(rows[tokens[:, 0] - 2] + dense(self.width, "hidden")(bits))
        return dense(2, "readout")(h)[:, None, :]


def by_task(model, params, data, logits, sites):
    """Return the cross-entropy of every task on sequences of its own."""
    world = model.world
    keys = jax.random.split(jax.random.key(1), PROBES)  # any fixed sequences will do: bits are fair coins

    def one(task):
        seen = jax.vmap(lambda key: world.of_task(key, task))(keys)
        log_p = jax.nn.log_softmax(model.apply(params, seen.tokens)[0][:, 0])
        return -jnp.mean(jnp.take_along_axis(log_p, seen.targets[:, -1:], axis=1))

    losses = jax.lax.map(one, jnp.arange(world.tasks))
    return {f"task_{i:02d}": losses[i] for i in range(world.tasks)}


def skills(alpha, *, tasks):
    """Train by Adam on fresh sequences, with disjoint pairs of bits."""
    world = SparseParity(tasks=tasks, bits=2 * tasks, k=2, alpha=alpha)
    model = LanguageModel(world=world, network=ParityNet(tasks, 2 * tasks), batch=1024, evaluation=256, probes=(by_task,))
    return Descent(model=model, learning_rate=2e-3, rule=AdamW(b2=0.999))


def _scale(tasks, seeds, last, records, width):
    times = np.unique(np.concatenate([[0], np.geomspace(20, last, records).round()])).astype(int)
    return {"skills": dict(grid={"alpha": [ALPHA]}, static={"tasks": (tasks,)}, seeds=seeds, times=times, width=width)}


SCALES = {
    "smoke": _scale(6, 2, 1200, 30, 2),
    "laptop": _scale(16, 4, 20_000, 120, 2),
    "accelerator": _scale(512, 32, 100_000, 200, None),
}


def emergence(runs, level=LEARNED):
    """Return the first step from which a task's loss stays below `level`, (seed, rank)."""
    import xarray

    names = sorted(name for name in runs.data_vars if str(name).startswith("task_"))
    curves = xarray.concat([runs[name] for name in names], dim=xarray.Variable("rank", np.arange(1, len(names) + 1)))
    return time_to(curves.rename("loss"), level, above=False, lasting=True)


def _slope(steps, note):
    """Growth exponent of times with rank, of the skills that every seed has learned: of fewer than 12 it is none."""
    whole = steps.isel(rank=np.isfinite(steps).all("seed").values)
    if whole.sizes["rank"] < 12:
        return Found(np.nan, note=f"{note}; {whole.sizes['rank']} skills learned by all seeds", status="failed")
    # the first skills share the time in which features form at all; the law is of the tail
    tail = whole.isel(rank=slice(3, None)).rename("steps")
    return Found.fitted(
        lambda: fit(power.LAW, tail, x="rank", statistic="log mean", progress=False), "exponent", note, times=-1.0
    )


def measure(runs):
    """Measure how many skills are learned, in which order, and how their times grow with rank."""
    from scipy.stats import spearmanr

    runs = runs["skills"].isel(alpha=0, tasks=0)
    steps = emergence(runs).transpose("rank", "seed")
    learned = np.isfinite(steps)
    ranks = steps["rank"].values
    order = [
        spearmanr(ranks[ok], column[ok]).statistic if ok.sum() > 2 else 0.0
        for column, ok in zip(steps.values.T, learned.values.T)
    ]
    found = {
        "learned": Found.over(learned.mean("rank"), "share of the skills learned at the end"),
        "order": Found.over(order, "rank correlation of times and ranks"),
    }
    if len(ranks) >= 12:
        found["slope"], found["slope_begun"] = (
            _slope(emergence(runs, level), f"times to {level} nats") for level in (LEARNED, BEGUN)
        )
    return found


def ranks_shuffled(runs):
    """Deal the skills' ranks anew in every seed."""
    data, rng = runs["skills"], np.random.default_rng(2)
    names = sorted(name for name in data.data_vars if str(name).startswith("task_"))
    values = np.stack([data[name].transpose("seed", ...).values for name in names])
    for seed in range(values.shape[1]):
        values[:, seed] = values[rng.permutation(len(names)), seed]
    dims = data[names[0]].transpose("seed", ...).dims
    return {"skills": data.assign({name: (dims, one) for name, one in zip(names, values)})}


def draw(runs, found):
    """Draw the losses of single skills, and their times of emergence."""
    runs = runs["skills"].isel(alpha=0, tasks=0)
    steps = emergence(runs)
    figure, axes = figures.new_axes(1, 2)
    for i in range(0, steps.sizes["rank"], max(steps.sizes["rank"] // 6, 1)):
        curve = runs[f"task_{i:02d}"].mean("seed")
        axes[0].plot(curve["time"][1:], curve[1:], lw=1, label=f"rank {i + 1}")
    axes[0].plot(runs["time"][1:], runs["loss"].mean("seed")[1:], color="black", lw=1.5, label="average loss")
    axes[0].set_xscale("log")
    axes[0].set_xlabel("step")
    axes[0].set_ylabel("loss (nats)")
    axes[0].legend()
    figures.curves(steps.where(np.isfinite(steps)).rename("steps"), x="rank", axes=axes[1])
    axes[1].set_ylabel("steps to 0.1 nats")
    first = float(steps.isel(rank=-1).median())
    ranks = steps["rank"].values
    if np.isfinite(first):
        axes[1].plot(ranks, first * (ranks / ranks[-1]) ** (1 + ALPHA), color="0.4", ls="--", lw=1)
    return {"skills": figure}


STUDY = Study(
    name="sparse_parity",
    question="do skills with power-law frequencies emerge at times ~ rank^(1 + alpha)?",
    paper="Michaud, Liu, Girit & Tegmark 2023, The quantization model of neural scaling, arXiv:2303.13506",
    experiments={"skills": skills},
    scales=SCALES,
    measure=measure,
    draw=draw,
    world="a perceptron on 16 parities of two bits whose frequencies fall as a power of the rank",
    controls={"ranks shuffled": ranks_shuffled},
    claims=(
        Claim("order", "frequent skills come first: rank correlation", 0.8, 1, "abstract; section 3", null="ranks shuffled"),
        Claim("slope", f"times of emergence grow as rank^(1 + alpha), alpha = {ALPHA:g}", 0.9 + ALPHA, 1.1 + ALPHA,
              "their section 3", null="ranks shuffled"),
    ),  # fmt: skip
)
