"""Is SGD-SaI more than SGD with a learning rate of sqrt(size) per tensor? Its g-SNR against that, run by run.

g-SNR = |g| / std(g) = sqrt((N - 1) + N mean^2 / s^2): unless a tensor's gradient has a mean comparable with its spread it is
sqrt(N), whatever the data.
"""

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.dynamics.rules.momentum import Momentum, gsnr
from jaxscale.models.language.model import LanguageModel
from jaxscale.plot import figures
from jaxscale.studies.lr_sensitivity import network
from jaxscale.study import Claim, Found, Study

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


SMOKE = _scale([1e-3, 3e-3], ("gsnr", "root size"), 2, 60, 2)
SCALES = {
    "smoke": {"momentum": SMOKE["momentum"]},
    "laptop": _scale(RATES, ("one", "gsnr", "root size"), 3, 300, 8),
    "accelerator": _scale(RATES, ("one", "gsnr", "root size"), 16, 10_000, None),
}


def measure(runs):
    """Compare final losses at stable rates, pairs on common numbers; find the bound of g-SNR and the best of each rule."""
    loss, first = runs["momentum"]["loss"].isel(time=-1), runs["momentum"].isel(time=0)
    stable = loss.sel(learning_rate=loss["learning_rate"] <= STABLE * 1.01)
    gap = np.abs(stable.sel(scale="gsnr") - stable.sel(scale="root size")).transpose("learning_rate", "seed").values
    worst = gap[gap.mean(axis=1).argmax()]  # NaN where a run diverged: argmax takes it
    found = {
        "same": Found.over(
            worst, f"mean over pairs at the worst rate up to {STABLE:g}, nats; single pairs up to {gap.max():.2g}"
        ),
        "bound": Found(
            float(first["least_gsnr"].min(skipna=False)), note="least g-SNR over sqrt(N - 1) of any tensor at the first step"
        ),
        "root_size": Found(
            float(first["most_gsnr"].max(skipna=False)), note="largest of the same: how far from sqrt(N) the rule is"
        ),
    }
    best = {str(s): float(loss.sel(scale=s).mean("seed", skipna=False).min()) for s in loss["scale"].values}
    found |= {
        f"best_{name.replace(' ', '_')}": Found(value, note="best final loss over rates, nats") for name, value in best.items()
    }
    if "one" in best:
        found["against_momentum"] = Found(best["gsnr"] - best["one"], note="SGD-SaI less tuned SGD with momentum, nats")
        adam = float(runs["adam"]["loss"].isel(time=-1).mean("seed", skipna=False).min())
        found["against_adam"] = Found(best["gsnr"] - adam, note=f"SGD-SaI less AdamW ({adam:.3f}), nats")
    return found


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
    claims=(
        Claim("same", "SGD-SaI and sqrt(size)-scaled SGD with momentum end at the same loss", 0, 0.01, "derived from g-SNR"),
        Claim("bound", "g-SNR is at least sqrt(N - 1)", 1 - 1e-5, np.inf, "exact"),
    ),
)
