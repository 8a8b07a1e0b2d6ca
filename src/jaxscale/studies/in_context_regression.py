"""One layer of linear attention learns to do one step of descent in context: its trained risk is d (d + 1) / (N + d + 1)."""

import numpy as np

from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.dynamics.schedules import Schedule
from jaxscale.models.in_context_regression import InContextRegression
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import untrained


def regression(learning_rate, *, d, length, steps):
    """Train linear attention by Adam with a cosine schedule."""
    model = InContextRegression(d=d, length=length)
    schedule = Schedule(shape="cosine", steps=float(steps))
    return Descent(model=model, learning_rate=learning_rate, rule=AdamW(b2=0.999), schedule=schedule)


def _scale(ds, lengths, seeds, steps, width):
    static = {"d": ds, "length": lengths, "steps": (steps,)}
    times = np.linspace(0, steps, 11).round().astype(int)
    return {"regression": dict(grid={"learning_rate": [0.02]}, static=static, seeds=seeds, times=times, width=width)}


SCALES = {
    "smoke": _scale((3,), (6,), 4, 600, 4),
    "laptop": _scale((5, 10), (10, 20, 40), 8, 2000, 4),
    "accelerator": _scale((5, 10, 20), (10, 20, 40, 80), 1024, 20_000, None),
}


def measure(runs):
    """Compare the trained risk with the closed form, worst over sizes, and check the formula by fresh prompts."""
    runs = runs["regression"].isel(learning_rate=0, steps=0, time=-1)
    exact = np.array(
        [[InContextRegression(d=int(d), length=int(n)).optimum() for n in runs["length"].values] for d in runs["d"].values]
    )
    ratio = runs["risk"].transpose("d", "length", "seed").values / exact[..., None]
    sampled = runs["loss"].transpose("d", "length", "seed").values / exact[..., None]
    sizes = {f"d {d}, N {n}:": (i, j) for i, d in enumerate(runs["d"].values) for j, n in enumerate(runs["length"].values)}
    return {
        "ratio": Found.every({name: Found.over(ratio[at]) for name, at in sizes.items()}, "risk over closed form"),
        "sampled": Found.every({name: Found.over(sampled[at]) for name, at in sizes.items()}, "error on fresh prompts over it"),
        "diagonal": Found.over(runs["off_diagonal"].max(["d", "length"]), "off-diagonal share of V K, largest over sizes"),
    }


def draw(runs, found):
    """Draw the risk against steps, in units of the closed form."""
    runs = runs["regression"].isel(learning_rate=0, steps=0)
    figure, axes = figures.new_axes()
    for i, (d, n) in enumerate((d, n) for d in runs["d"].values for n in runs["length"].values):
        curve = runs["risk"].sel(d=d, length=n).mean("seed") / InContextRegression(d=int(d), length=int(n)).optimum()
        axes.plot(curve["time"], curve, color=figures.COLOURS[i % 7], label=f"d = {d}, N = {n}")
    axes.axhline(1, color="0.4", ls="--", lw=0.8)
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("risk over d (d + 1) / (N + d + 1)")
    axes.legend()
    return {"risk": figure}


STUDY = Study(
    name="in_context_regression",
    question="does trained linear attention reach the risk of one optimally preconditioned step of descent?",
    paper="Zhang, Frei & Bartlett 2023, Trained transformers learn linear models in-context, arXiv:2306.09927",
    experiments={"regression": regression},
    scales=SCALES,
    measure=measure,
    draw=draw,
    quick=True,
    world="one layer of linear attention on Gaussian regression with identity covariance, up to d = 10",
    controls={"untrained": untrained},
    claims=(
        Claim("ratio", "trained risk is d (d + 1) / (N + d + 1), at every size: over it", 0.98, 1.02,
              "theorem 4.1, for the identity covariance", null="untrained"),
        Claim("diagonal", "the learned preconditioner is a multiple of the identity: off-diagonal share", 0, 0.1, "theorem 4.1",
              null="untrained"),
        Claim("sampled", "the error on fresh prompts is this risk", 0.95, 1.05, "a check of the closed form", kind="derived",
              null="untrained"),
    ),  # fmt: skip
)
