"""When memory and context disagree, who wins? The share of misleading contexts in training is the order parameter.

Rarely seen entities are overwritten by the context sooner than frequent ones. How far misleading contexts can move the line is
reported without a verdict: the prompts asked ([e b e]) can be told from the misleading ones in training ([pad b e]).
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.data.facts import FactConflict
from jaxscale.data.world import zipf
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.dynamics.trained import Trained
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study

GROUPS = 8
EXAMPLES = 4  # misleading attributes asked of every entity


def groups(model, params, data, logits, sites):
    """How often the context's answer is likelier than the memory's, by frequency group, the most frequent first; and recall.

    Label noise holds the copy's own probability below one, so that the two answers are compared with each other.
    """
    world = model.world
    tokens, shown = world.conflicts(data.frozen)
    tokens, shown = tokens[:, :EXAMPLES], shown[:, :EXAMPLES]
    p = jax.nn.softmax(model.apply(params, tokens.reshape(-1, 3))[0][:, -1])
    own = jnp.broadcast_to(data.frozen[:, None], shown.shape)
    of_context, of_memory = (jnp.take_along_axis(p, answer.reshape(-1, 1), axis=1) for answer in (shown, own))
    copied = (of_context > of_memory).reshape(GROUPS, -1).mean(1)
    pad = jnp.full(world.entities, world.vocabulary - 1)
    alone = jnp.stack([pad, pad, world.attributes + jnp.arange(world.entities)], axis=1)
    right = jnp.argmax(model.apply(params, alone)[0][:, -1], axis=1) == data.frozen
    recall = jnp.sum(right * zipf(world.entities, world.exponent))
    return {f"context_{i}": copied[i] for i in range(GROUPS)} | {"recall": recall}


def conflict(conflict, *, entities):
    """Two layers with perceptrons, by Adam."""
    world = FactConflict(entities=entities, attributes=32, conflict=conflict)
    network = Decoder(vocabulary=world.vocabulary, context=3, mixer=Attention(heads=4), width=32, learned_positions=True)
    model = LanguageModel(world=world, network=network, batch=64, evaluation=64, probes=(groups,))
    return Trained(model=model, learning_rate=2e-3, rule=AdamW())


def _scale(chances, entities, seeds, last, width):
    times = [0, last // 2, last]
    return {
        "conflict": dict(grid={"conflict": chances}, static={"entities": (entities,)}, seeds=seeds, times=times, width=width)
    }


CHANCES = [0.0, 0.006, 0.025, 0.1, 0.2, 0.4]
SCALES = {
    "smoke": _scale([0.0, 0.4], 32, 2, 1000, 2),
    "laptop": _scale(CHANCES, 64, 4, 1500, 12),
    "accelerator": _scale(np.concatenate([[0], np.geomspace(0.001, 0.2, 24)]), 512, 64, 50_000, None),
}


def table(runs):
    """(conflict, group, seed) probability of the in-context answer at the end."""
    import xarray

    last = runs["conflict"].isel(time=-1, entities=0)
    rank = xarray.Variable("group", np.arange(1, GROUPS + 1))
    return xarray.concat([last[f"context_{i}"] for i in range(GROUPS)], dim=rank).rename("share of in-context answers")


def measure(runs):
    """Who wins at the ends and in between, and whether rare entities give way first."""
    from scipy.stats import spearmanr

    context = table(runs)
    mean = context.mean("group")
    recall = runs["conflict"]["recall"].isel(time=-1, entities=0)
    found = {
        "never": Found(float(mean.isel(conflict=0).mean()), note="in-context answers without misleading contexts"),
        "always": Found(float(mean.isel(conflict=-1).mean()), note=f"at {float(context['conflict'][-1]):g}"),
        "recall": Found(float(recall.mean()), note="facts recalled without context, weighted by frequency"),
    }
    if context.sizes["conflict"] > 2:
        middle = context.isel(conflict=int(np.abs(mean.mean("seed").values - 0.5).argmin())).transpose("seed", "group").values
        rho = [spearmanr(np.arange(GROUPS), row).statistic for row in middle]
        found["spearman"] = Found.over(rho, "rarity against in-context answers, where they are nearest to half")
    return found


def draw(runs, found):
    """The diagram over conflict and rarity."""
    context = table(runs).mean("seed")
    figure, axes = figures.new_axes()
    shown = context.isel(conflict=slice(1, None)) if context.sizes["conflict"] > 2 else context
    log = "x" if float(shown["conflict"][0]) > 0 else ""
    title = "memory (dark) against context (bright)"
    figures.phase_diagram(shown, x="conflict", y="group", axes=axes, log=log, title=title)
    axes.set_ylabel("entities, frequent to rare")
    return {"conflict": figure}


STUDY = Study(
    name="factual_recall",
    question="which facts give way to a context that contradicts them?",
    paper="Yu, Merullo & Pavlick 2023, Characterizing mechanisms for factual recall, arXiv:2310.15910",
    experiments={"conflict": conflict},
    scales=SCALES,
    measure=measure,
    draw=draw,
    claims=(
        Claim("never", "without misleading contexts in training the context wins", 0.6, 1, "derived"),
        Claim("spearman", "the rarer an entity, the more the context wins", 0.6, 1, "their section 4"),
    ),
)
