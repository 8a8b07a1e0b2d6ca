"""When memory and context disagree, who wins? The share of misleading contexts in training is the order parameter.

Rarely seen entities are overwritten by the context sooner than frequent ones. Of the trained network's heads one is picked by
its direct contribution to the two answers, on prompts of its own, and turned round by a tap on others.
"""

import jax.numpy as jnp
import numpy as np

from jaxscale.data.facts import FactConflict
from jaxscale.data.world import zipf
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.language.taps import Tap
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import switched_off

GROUPS, DEPTH, HEADS = 8, 2, 4
EXAMPLES = 4  # misleading attributes asked of every entity; as many others pick the heads
BETWEEN, SCALED = 0.006, 0.025  # the conflicts at which rarity and the scaling of heads are judged, chosen before
EVENLY, OFTEN = 0.0, 1.0  # entities of misleading contexts: all alike, or as frequent as their facts
TURNED, LOUDER = -2.0, 8.0  # factors of the memory's head and of the context's


def groups(model, params, data, logits, sites):
    """Return how often the context's answer is likelier than the memory's, by frequency group, the most frequent first; and
    recall.

    Label noise holds the copy's own probability below one, so that the two answers are compared with each other.
    """
    world = model.world
    asked, picking = (misleading_prompts(world, data.frozen, first) for first in (0, EXAMPLES))
    copied = _copied(model, params, asked)
    pad = jnp.full(world.entities, world.vocabulary - 1)
    alone = jnp.stack([pad, pad, world.attributes + jnp.arange(world.entities)], axis=1)
    right = jnp.argmax(model.apply(params, alone)[0][:, -1], axis=1) == data.frozen
    recall = jnp.sum(right * zipf(world.entities, world.exponent))
    scores = attribution(model, params, picking)
    turned, louder = (
        _copied(model, params, asked, scaled_head(at, factor)).mean()
        for at, factor in ((jnp.argmin(scores), TURNED), (jnp.argmax(scores), LOUDER))
    )
    found = {f"context_{i}": group for i, group in enumerate(copied.reshape(GROUPS, -1).mean(1))}
    return found | {"recall": recall, "turned": turned, "louder": louder}


def attribution(model, params, prompts):
    """Return (DEPTH * HEADS,) mean direct contribution of each head to the context's logit less the memory's, at the last
    place.

    z_h = A_h V_h W_O^h times the readout's directions, past the perceptrons and with the last norm's mean size left out.
    """
    tokens, of_context, of_memory = prompts
    sites = model.apply(params, tokens)[1]
    readout = params["final_norm"]["scale"][:, None] * params["readout"]["kernel"]
    towards_BD = (readout[:, of_context] - readout[:, of_memory]).T
    scores = []
    for i in range(DEPTH):
        z_BHK = sites[f"layer{i}/heads"][:, -1]
        out_HKD = params[f"layer{i}_mixer"]["out"]["kernel"].reshape(*z_BHK.shape[1:], -1)
        scores.append(jnp.einsum("bhk,hkd,bd->h", z_BHK, out_HKD, towards_BD) / tokens.shape[0])
    return jnp.concatenate(scores)


def misleading_prompts(world, frozen, first):
    """Return (n, 3) tokens [e b e] for `EXAMPLES` attributes b of every entity, and (n,) both answers, b and e's own."""
    tokens, shown = (part[:, first : first + EXAMPLES] for part in world.conflicts(frozen))
    own = jnp.broadcast_to(frozen[:, None], shown.shape)
    return tokens.reshape(-1, 3), shown.ravel(), own.ravel()


def _copied(model, params, prompts, taps=None):
    """(n,) 1 where the context's answer is likelier than the memory's."""
    tokens, of_context, of_memory = prompts
    last = model.apply(params, tokens, taps)[0][:, -1]
    context, memory = (jnp.take_along_axis(last, answer[:, None], axis=1)[:, 0] for answer in (of_context, of_memory))
    return (context > memory).astype(jnp.float32)


def scaled_head(head, factor):
    """Make taps that multiply one head's values by `factor`; heads are numbered through the layers."""
    scale = jnp.where(jnp.arange(DEPTH * HEADS) == head, factor, 1.0).reshape(DEPTH, HEADS, 1)
    return {f"layer{i}/heads": Tap(scale=scale[i]) for i in range(DEPTH)}


def conflict(conflict, misled, *, entities):
    """Train two layers with perceptrons by Adam on facts and on contexts that mislead, evenly (0) or as often as facts (1)."""
    world = FactConflict(entities=entities, attributes=32, conflict=conflict, misled=misled)
    mixer = Attention(heads=HEADS)
    network = Decoder(vocabulary=world.vocabulary, context=3, mixer=mixer, width=32, depth=DEPTH, learned_positions=True)
    model = LanguageModel(world=world, network=network, batch=256, evaluation=64, probes=(groups,))
    return Descent(model=model, learning_rate=2e-3, rule=AdamW())


def _scale(chances, misled, entities, seeds, last, width):
    grid, times = {"conflict": chances, "misled": misled}, [0, last // 2, last]
    return {"conflict": dict(grid=grid, static={"entities": (entities,)}, seeds=seeds, times=times, width=width)}


CHANCES = [0.0, BETWEEN, SCALED, 0.05]
SCALES = {
    "smoke": _scale([0.0, BETWEEN, SCALED, 0.1], [EVENLY], 32, 2, 400, 2),
    "laptop": _scale(CHANCES, [EVENLY, OFTEN], 64, 4, 1500, 8),
    "accelerator": _scale(
        np.sort([0, BETWEEN, SCALED, *np.geomspace(0.001, 0.2, 24)]), [EVENLY, OFTEN], 512, 64, 50_000, None
    ),
}  # fmt: skip


def table(runs):
    """Return the share of in-context answers at the end, (conflict, group, seed)."""
    import xarray

    last = runs["conflict"].isel(time=-1, entities=0)
    rank = xarray.Variable("group", np.arange(1, GROUPS + 1))
    return xarray.concat([last[f"context_{i}"] for i in range(GROUPS)], dim=rank).rename("share of in-context answers")


def measure(runs):
    """Measure who wins at the ends, whether rare entities give way first, and what scaling a head does."""
    from scipy.stats import spearmanr

    context, last = table(runs), runs["conflict"].isel(time=-1, entities=0)
    even, mean = context.sel(misled=EVENLY), context.sel(misled=EVENLY).mean("group").transpose("conflict", "seed")
    chances = context["conflict"].values

    def rarity(of):
        rows = of.sel(conflict=BETWEEN).transpose("seed", "group").values
        rho = [spearmanr(np.arange(GROUPS), row).statistic if np.ptp(row) else 0.0 for row in rows]
        return Found.over(rho, f"rank correlation of rarity and in-context answers, conflict {BETWEEN:g}")

    each = int(last["entities"])  # the answers on one entity are no independent ones
    found = {
        "never": Found.shares(mean[0], each, "in-context answers without misleading contexts"),
        "often": Found.shares(mean[-1], each, f"in-context answers at {chances[-1]:g}"),
        "recall": Found.shares(last["recall"].sel(misled=EVENLY).mean("conflict"), each, "facts recalled alone, by frequency"),
        "rarity": rarity(even),
    }
    plain = mean.sel(conflict=SCALED)
    for name, factor in (("turned", TURNED), ("louder", LOUDER)):
        gain = last[name].sel(conflict=SCALED, misled=EVENLY).values - plain.values
        found[name] = Found.over(gain, f"more at conflict {SCALED}, {float(plain.mean()):.2f} before; head times {factor:g}")
    if context.sizes["misled"] > 1:
        found["rarity_confounded"] = rarity(context.sel(misled=OFTEN))
    return found


def heads_alone(runs):
    """Put what the untouched network says in the place of what it says with a head scaled."""
    data = runs["conflict"]
    plain = sum(data[f"context_{i}"] for i in range(GROUPS)) / GROUPS
    return {"conflict": data.assign(turned=plain, louder=plain)}


def groups_shuffled(runs):
    """Deal the frequency groups of every run anew."""
    data, rng = runs["conflict"], np.random.default_rng(1)
    values = np.stack([data[f"context_{i}"].values for i in range(GROUPS)])
    values = rng.permuted(values, axis=0)
    return {"conflict": data.assign({f"context_{i}": (data["context_0"].dims, values[i]) for i in range(GROUPS)})}


def draw(runs, found):
    """Draw the diagram over conflict and rarity."""
    context = table(runs).sel(misled=EVENLY).mean("seed")
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
    world="a transformer of two layers of width 32 on three-token prompts about 64 entities, all misled about alike",
    controls={
        "groups shuffled": groups_shuffled, "heads alone": heads_alone,
        "always misled": switched_off("conflict", 1.0), "never misled": switched_off("conflict", 0.0),
    },
    symbols={"conflict": "share of misleading contexts"},
    claims=(
        Claim("rarity", "the rarer an entity in training, the more the context wins: rank correlation", 0.6, 1,
              "abstract, training frequency of the query", null="groups shuffled"),
        Claim("turned", "scaling one head's values controls the answer: turning the memory's head round helps the context", 0.1,
              1, "abstract, scaling a single head", null="heads alone"),
        Claim("louder", "and so does making the context's head louder", 0.02, 1, "abstract, scaling up", null="heads alone"),
        Claim("never", "without misleading contexts in training the context wins", 0.6, 1, "derived", kind="derived",
              null="always misled"),
        Claim("often", "with many of them the memory wins", 0, 0.4, "derived", kind="derived", null="never misled"),
        Claim("recall", "facts are known: recalled without a context", 0.8, 1, "precondition", kind="gate"),
    ),  # fmt: skip
)
