"""Is SGD-SaI more than SGD with a learning rate of sqrt(size) per tensor? Its g-SNR against that, run by run.

g-SNR = |g| / std(g) = sqrt((N - 1) + N mean^2 / s^2): unless a tensor's gradient has a mean comparable with its spread it is
sqrt(N), whatever the data.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.dynamics.rules.momentum import Momentum, gsnr
from jaxscale.models.language.model import LanguageModel
from jaxscale.plot import figures
from jaxscale.studies.lr_sensitivity import lr_sensitivity, network
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import shuffled

RATES = [1e-3, 3e-3, 1e-2, 3e-2, 1e-1]
STABLE = 3e-2


def signal(model, params, data, logits, sites):
    """Return g-SNR over sqrt(N - 1) of one batch's gradient, without the released epsilon: least and largest of all tensors."""
    gradient = jax.grad(model.loss)(params, data, jax.random.key(0, impl="threefry2x32"))
    ratios = jnp.stack([gsnr(g, epsilon=0.0) / (g.size - 1) ** 0.5 for g in jax.tree.leaves(gradient)])
    return {"least_gsnr": jnp.min(ratios), "most_gsnr": jnp.max(ratios)}


def trained(learning_rate, rule, probes=()):
    """Train the character model of `lr_sensitivity` by one rule."""
    world, decoder = network(qk_norm=False, context=32)
    model = LanguageModel(world=world, network=decoder, batch=16, evaluation=64, probes=probes)
    return Descent(model=model, learning_rate=learning_rate, rule=rule)


def momentum(learning_rate, *, scale):
    """Train by SGD with momentum; plain SGD gets 30 times the rate, about the root of a tensor's size."""
    return trained(learning_rate * (30 if scale == "one" else 1), Momentum(scale=scale), probes=(signal,))


def adam(learning_rate):
    """Train by AdamW, for reference, at a tenth of the rate."""
    return trained(learning_rate / 10, AdamW())


def _scale(rates, scales, seeds, steps, width):
    times = [0, steps // 2, steps]
    return {
        "momentum": dict(
            grid={"learning_rate": rates}, static={"scale": scales}, seeds=seeds, times=times, width=width, share=("scale",)
        ),
        "adam": dict(grid={"learning_rate": rates}, seeds=seeds, times=times, width=width),
    }


SCALES = {
    "smoke": _scale([1e-3, 1e-2], ("one", "gsnr", "root size"), 2, 60, 2),
    "laptop": _scale(RATES, ("one", "gsnr", "root size"), 4, 300, 8),
    "accelerator": _scale(RATES, ("one", "gsnr", "root size"), 16, 10_000, None),
}


def best(loss, what):
    """Return the loss at the end of the rate that is best in the mean over seeds."""
    last = loss.isel(time=-1).transpose("learning_rate", "seed")
    means = last.mean("seed", skipna=False).fillna(np.inf).values
    return Found.over(last.isel(learning_rate=int(np.argmin(means))), what)


def measure(runs):
    """Compare final losses of the rules, each at its best rate; sensitivities to the rate; and g-SNR with its bound."""
    loss, first = runs["momentum"]["loss"], runs["momentum"].isel(time=0)
    adam = runs["adam"]["loss"]
    stable = loss.isel(time=-1).sel(learning_rate=loss["learning_rate"] <= STABLE * 1.01)
    gap = np.abs(stable.sel(scale="gsnr") - stable.sel(scale="root size")).transpose("learning_rate", "seed")
    sai = best(loss.sel(scale="gsnr"), "nats, SGD-SaI less AdamW, each at its best rate")
    s = {name: lr_sensitivity(part).values for name, part in (("sai", loss.sel(scale="gsnr")), ("adam", adam))}
    rates = {f"{float(rate):.0e}:": Found.over(row) for rate, row in zip(gap["learning_rate"].values, gap)}
    return {
        "against_adam": sai - best(adam, ""),
        "against_momentum": dataclasses.replace(sai, note="nats, SGD-SaI less SGD with momentum, each at its best rate")
        - best(loss.sel(scale="one"), ""),
        "robust": Found.over(s["sai"], "S of SGD-SaI less that of AdamW, five rates each") - Found.over(s["adam"]),
        "same": Found.every(rates, f"nats between pairs, by rate up to {STABLE:g}"),
        "bound": Found.exact(float(first["least_gsnr"].min(skipna=False)), "least g-SNR over sqrt(N - 1) of any tensor"),
        "root_size": Found.exact(float(first["most_gsnr"].max(skipna=False)), "largest of the same"),
    }


def plain_for_root(runs):
    """Put plain momentum in the place of the one that is scaled by the root of the size."""
    data = runs["momentum"]
    order = ["one" if name == "root size" else str(name) for name in data["scale"].values]
    return {**runs, "momentum": data.sel(scale=order).assign_coords(scale=data["scale"])}


def idle(runs):
    """Put SGD-SaI's first losses in the place of its last: it has learned nothing."""
    data = runs["momentum"]
    behind = data["loss"].where(data["scale"] != "gsnr", data["loss"].isel(time=0, drop=True))
    return {**runs, "momentum": data.assign(loss=behind)}


def sensitive(runs):
    """Put SGD-SaI's first losses in the place of its last at all rates but one: what it does depends on its rate."""
    data = runs["momentum"]
    one = data["learning_rate"] == data["learning_rate"].isel(learning_rate=data.sizes["learning_rate"] // 2)
    behind = data["loss"].where((data["scale"] != "gsnr") | one, data["loss"].isel(time=0, drop=True))
    return {**runs, "momentum": data.assign(loss=behind)}


def draw(runs, found):
    """Draw final losses against the learning rate."""
    figure, axes = figures.new_axes()
    figures.curves(runs["momentum"]["loss"].isel(time=-1), x="learning_rate", hue="scale", axes=axes, log="x")
    return {"losses": figure}


STUDY = Study(
    name="sgd_sai",
    question="is SGD-SaI more than SGD with momentum and a rate of sqrt(size) per tensor?",
    paper="Xu et al. 2024, No more Adam: learning rate scaling at initialization is all you need, arXiv:2412.11768",
    experiments={"momentum": momentum, "adam": adam},
    scales=SCALES,
    measure=measure,
    draw=draw,
    diverging=True,
    world="character models of two layers of width 48 on CPython's documentation, 300 steps, five rates a rule",
    controls={
        "idle": idle, "sensitive": sensitive, "scales exchanged": shuffled("scale"), "plain for root": plain_for_root,
    },
    symbols={"learning_rate": r"$\eta$"},
    claims=(
        Claim("against_adam", "it matches or outperforms AdamW: loss less AdamW's", -np.inf, 0.02, "abstract", null="idle"),
        Claim("against_momentum", "it makes SGD train transformers: loss less that of plain SGD with momentum", -np.inf, -0.01,
              "abstract", null="scales exchanged"),
        Claim("robust", "it is robust to its rate: sensitivity S less AdamW's", -np.inf, 0.1, "abstract", null="sensitive"),
        Claim("same", "it ends where sqrt(size)-scaled SGD with momentum ends, at every stable rate", 0, 0.01,
              "derived from g-SNR", kind="derived", null="plain for root"),
        Claim("bound", "g-SNR is at least sqrt(N - 1)", 1 - 1e-5, np.inf, "exact", kind="gate"),
    ),  # fmt: skip
)
