"""Full-batch descent on squared loss: does the sharpness climb to 2 / (learning rate), and stay there while the loss falls?

Beyond 2 / rate a quadratic would diverge. The Hessian's largest eigenvalue is followed by a warm-started power iteration in the
run itself, one product with the Hessian a step. Networks of two tanh layers on the 8x8 digits.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.data import digits
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.momentum import Momentum
from jaxscale.dynamics.watched import Watched
from jaxscale.models.networks import network
from jaxscale.plot import figures
from jaxscale.records import record, static
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import shuffled, untrained

FLOW = 2 / 40  # a rate so small that descent is close to gradient flow
EDGE = [2 / 8, 2 / 10, 2 / 12, 2 / 14]  # rates whose 2 / rate lies between the start's sharpness and the flow's
LAST = 40  # single steps at the end, each recorded
SOURCE = "Cohen et al. 2021"


class Layers(nn.Module):
    """A network of two tanh layers, from (n, 64) pixels to (n, 10) outputs."""

    width: int

    @nn.compact
    def __call__(self, x):
        """Return (n, 10) outputs of (n, 64) pixels."""
        for _ in range(2):
            x = nn.tanh(nn.Dense(self.width)(x))
        return nn.Dense(10)(x)


@record
class Squares:
    """Learn one-hot labels of p digits: half the squared distance to them, mean over all p."""

    p: int = static(default=200)
    width: int = static(default=32)

    units = {"loss": ("half the squared error over the training set", "1")}

    def sample(self, key):
        """Draw (p, 64) pixels, digits of unit length on average, and (p, 10) labels. Consumes `key`."""
        images, labels = digits.load("digits")
        rows = jax.random.permutation(key, len(images))[: self.p]
        return jnp.asarray(images)[rows] / images.shape[1] ** 0.5, jax.nn.one_hot(jnp.asarray(labels)[rows], 10)

    def init(self, key, data):
        """Draw the network's parameters. Consumes `key`."""
        return network(Layers(self.width))[0](key, data[0][:1])

    def loss(self, params, data, key=None):
        """Return the loss over the whole set; `key` goes unused."""
        del key
        output = network(Layers(self.width))[1](params, data[0])
        return 0.5 * jnp.mean(jnp.sum((output - data[1]) ** 2, axis=-1))

    def observe(self, params, data):
        """Return the loss on the training data."""
        return {"loss": self.loss(params, data)}


def descent(learning_rate, *, p, width):
    """Descend on the whole set without momentum, and watch the landscape."""
    system = Descent(model=Squares(p=p, width=width), learning_rate=learning_rate, rule=Momentum(beta=0.0))
    return Watched(system=system)


def _scale(p, width, seeds, last, rates, lanes):
    times = np.unique([0, *np.linspace(last // 20, last, 20).round().astype(int), *range(last - LAST, last + 1)])
    grid, static = {"learning_rate": rates}, {"p": (p,), "width": (width,)}
    return {"descent": dict(grid=grid, static=static, seeds=seeds, times=times, width=lanes, share=("learning_rate",))}


SCALES = {
    "smoke": _scale(40, 16, 2, 2000, [FLOW, EDGE[0]], 4),
    "laptop": _scale(200, 64, 6, 6000, [FLOW, *EDGE], 10),
    "accelerator": _scale(1500, 256, 64, 40_000, [FLOW, *EDGE], None),
}


def measure(runs):
    """Measure the sharpness at the end in units of 2 / rate, its rise in the flow, and how the loss falls at the edge; a run
    that diverges leaves no number.
    """
    runs = runs["descent"].isel(p=0, width=0).transpose("learning_rate", "seed", "time")
    rate = runs["learning_rate"].values[:, None]
    sharpness, loss = runs["sharpness"].values, runs["loss"].values
    end = sharpness[:, :, -LAST:].mean(axis=2)  # (rate, seed)
    passes = end[0] > 2 / rate[1:]  # where flow alone would pass the edge
    steps = np.diff(loss[:, :, -LAST:], axis=2)
    up = np.where(np.isfinite(steps), steps > 0, np.nan).mean(axis=2)  # (rate, seed)
    half = runs["loss"].sel(time=runs["time"].values[-1] / 2, method="nearest").values
    start = sharpness[0, :, 0]

    def at_edge(values, note):
        """Mean over seeds, of each the mean over the rates whose edge its flow passes: these share their start."""
        count = passes.sum(axis=0)
        return Found.over((np.where(passes, values, 0).sum(axis=0) / np.maximum(count, 1))[count > 0], note)

    return {
        "rise": Found.over(end[0] / start, f"from {start.mean():.1f} to {end[0].mean():.1f} at rate {rate[0, 0]:.3f}"),
        "edge": at_edge(end[1:] * rate[1:] / 2, f"{passes.sum()} of {passes.size} runs whose flow passes it"),
        "falls": at_edge(loss[1:, :, -1] / half[1:], "loss at the end over that half way"),
        "flow_up": Found.share(int((steps[0] > 0).sum()), steps[0].size, "single steps at which the loss rises, small rate"),
        "edge_up": at_edge(up[1:], "the same at the edge"),
    }


def draw(runs, found):
    """Draw sharpness and loss against the step, with 2 / rate dashed."""
    runs = runs["descent"].isel(p=0, width=0).mean("seed")
    figure, axes = figures.new_axes(1, 2)
    for i, rate in enumerate(runs["learning_rate"].values):
        one, colour = runs.sel(learning_rate=rate), figures.COLOURS[i % len(figures.COLOURS)]
        axes[0].plot(runs["time"][1:], one["sharpness"][1:], color=colour, label=f"rate {rate:.3f}")
        if i:
            axes[0].axhline(2 / rate, color=colour, ls="--", lw=1)
        axes[1].semilogy(runs["time"], one["loss"], color=colour)
    for ax, label in zip(axes, ("sharpness; dashed: 2 / rate", "training loss")):
        ax.set_xlabel("step")
        ax.set_ylabel(label)
    axes[0].legend()
    return {"edge": figure}


STUDY = Study(
    name="edge_of_stability",
    question="does descent climb to a sharpness of 2 / (learning rate) and stay there while the loss goes on falling?",
    paper="Cohen, Kaur, Li, Kolter & Talwalkar 2021, Gradient descent on neural networks typically occurs at the edge of "
    "stability, arXiv:2103.00065",
    experiments={"descent": descent},
    scales=SCALES,
    measure=measure,
    draw=draw,
    world="networks of two tanh layers on 200 of the 8x8 digits, squared loss",
    controls={"untrained": untrained, "time shuffled": shuffled("time")},
    symbols={"learning_rate": r"$\eta$"},
    claims=(
        Claim("rise", "progressive sharpening: the sharpness grows along the flow, by a factor", 1.2, np.inf, f"{SOURCE}, 3.1",
              null="untrained"),
        Claim("edge", "it then stays at or just above 2 / rate: over it", 0.97, 1.15, f"{SOURCE}, 3.2", null="untrained"),
        Claim("falls", "the loss goes on falling over many steps: last over half way", 0, 0.9, f"{SOURCE}, 3.3",
              null="untrained"),
        Claim("flow_up", "at a small rate it falls at every step: share that rises", 0, 0.02, f"{SOURCE}, 3.3",
              null="time shuffled"),
        Claim("edge_up", "at the edge it rises at many", 0.1, 1.0, f"{SOURCE}, 3.3", null="untrained"),
    ),  # fmt: skip
)
