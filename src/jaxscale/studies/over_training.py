"""Loss of a model trained on far more tokens than its size asks for, predicted from small models trained on few.

Character models of real prose, the learning rate constant after the warm-up, so that every record is a run of its own length.
"""

import numpy as np

from jaxscale.data.text import CharacterText
from jaxscale.dynamics.schedules import Schedule
from jaxscale.dynamics.trained import Trained
from jaxscale.fit.laws import over_training as law
from jaxscale.fit.solve import solve
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study

BATCH, CONTEXT, ALPHABET = 8, 32, 64
FEW = 20.0  # tokens a parameter
RATE = 3e-3


def parameters(width):
    """N of the network, embeddings included: an embedding, a readout, one block and its norms."""
    return 2 * ALPHABET * width + 12 * width**2 + 3 * width


def steps_at(width, ratio):
    """Steps after which a network of this width has seen `ratio` tokens a parameter."""
    return int(round(ratio * parameters(width) / (BATCH * CONTEXT)))


def model(learning_rate, *, width):
    """AdamW on fresh windows of the text."""
    world = CharacterText(source="pydoc", context=CONTEXT, alphabet=ALPHABET)
    network = Decoder(vocabulary=world.vocabulary, context=CONTEXT, mixer=Attention(heads=2), width=width, depth=1)
    trained = LanguageModel(world=world, network=network, batch=BATCH, evaluation=512)
    return Trained(model=trained, learning_rate=learning_rate, schedule=Schedule(warmup=30.0))


def _scale(widths, many, seeds, lanes):
    ratios = np.geomspace(FEW, many, 5)
    times = sorted({0} | {steps_at(w, r) for w in widths for r in ratios})
    grid, static = {"learning_rate": [RATE]}, {"width": widths}
    return {"model": dict(grid=grid, static=static, seeds=seeds, times=times, share=("width",), width=lanes)}


SCALES = {
    "smoke": _scale((8, 12, 16, 20), 40.0, 2, 2),
    "laptop": _scale((8, 12, 16, 20, 24), 320.0, 4, 2),
    "accelerator": _scale((8, 16, 32, 64, 128), 320.0, 64, None),
}


def prediction(runs):
    """The law through all sizes but the largest at 20 tokens a parameter and the smallest at the most; what it says there.

    Returns:
      N, D and loss (seeds,) of the target; the law's loss there; its parameters.
    """
    loss = runs["loss"].isel(learning_rate=0)
    widths = loss["width"].values.tolist()
    sizes = np.array([parameters(w) for w in widths], float)
    many = loss["time"].values[-1] * BATCH * CONTEXT / sizes[-1]

    def at(width, ratio):
        return loss.sel(width=width, time=steps_at(width, ratio)).values

    use = [(w, FEW) for w in widths[:-1]] + [(widths[0], many)]
    n = np.array([parameters(w) for w, _ in use], float)
    d = np.array([steps_at(w, r) for w, r in use]) * float(BATCH * CONTEXT)
    y = np.array([at(w, r).mean() for w, r in use])
    found = solve(law.LAW, (n, d), y, np.ones(len(y)), space="raw", iterations=200)
    values = dict(zip(law.LAW.params, found.values[0]))
    target = np.array([[sizes[-1]], [float(loss["time"].values[-1] * BATCH * CONTEXT)]])
    return target, at(widths[-1], many), float(law.LAW.at(target, values)[0]), values, many


def measure(runs):
    """The relative error of the prediction, with the seeds' own, and the law."""
    target, seen, made, values, many = prediction(runs["model"])
    miss = (made - seen) / seen
    note = f"N {target[0, 0]:.3g}, {many:.0f} tokens a parameter; law {made:.4f}, measured {seen.mean():.4f}"
    return {
        "prediction": Found(float(miss.mean()), float(miss.std(ddof=1) / len(miss) ** 0.5), note),
        "eta": Found(values["eta"], note=f"exponent in compute; floor {values['E']:.3f} nats"),
    }


def draw(runs, found):
    """Loss against compute, a curve a size, the law through the points that were fitted."""
    runs = runs["model"]
    target, seen, made, values, _ = prediction(runs)
    figure, axes = figures.new_axes()
    for i, width in enumerate(runs["width"].values):
        n = parameters(int(width))
        d = runs["time"].values[1:] * float(BATCH * CONTEXT)
        enough = d >= FEW * n * 0.99
        y = runs["loss"].isel(learning_rate=0).sel(width=width).mean("seed").values[1:]
        axes.plot(6 * n * d[enough], y[enough], "o", ms=3, color=figures.COLOURS[i % 7], label=f"N = {n}")
        axes.plot(6 * n * d[enough], law.LAW.at(np.stack([np.full(enough.sum(), float(n)), d[enough]]), values),
                  color=figures.COLOURS[i % 7], lw=1)  # fmt: skip
    axes.plot(6 * target[0] * target[1], [made], "k*", ms=9, label="predicted")
    axes.set_xscale("log")
    axes.set_xlabel("compute 6ND (flops)")
    axes.set_ylabel("held-out loss (nats per character)")
    axes.legend(fontsize=7, frameon=False)
    return {"over_training": figure}


STUDY = Study(
    name="over_training",
    question="do small models at 20 tokens a parameter foretell the loss of a larger one at 320?",
    paper="Gadre et al. 2024, Language models scale reliably with over-training and on downstream tasks, arXiv:2403.08540",
    experiments={"model": model},
    scales=SCALES,
    measure=measure,
    draw=draw,
    claims=(Claim("prediction", "relative error of the loss of the over-trained model", -0.02, 0.02, "Gadre et al., table 2"),),
)
