"""Where does SGD noise help, and where does it hurt? Test error over (alpha, T), from feature learning to lazy, on real digits.

alpha scales the output and the margin: alpha >> 1 is lazy. The temperature is T = eta / B. A run ends when all of its data are
fitted; hot ones that never are have no error, and are drawn white.
"""

import dataclasses

import numpy as np

from jaxscale.dynamics.batching import sgd
from jaxscale.dynamics.until import Until, fitted
from jaxscale.models.conv_net import ConvNet
from jaxscale.models.mlp import Mlp
from jaxscale.phase.boundaries import boundary
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import shuffled, untrained

POINTS, WIDTH = 128, 32
DENSE, CONVOLUTIONAL = "fully connected", "convolutional"
FEATURES, LAZY = 1 / 8, 64.0  # alphas up to the first learn features, from the second on they are lazy
COOL = 1.0  # temperatures up to here fit their data nearly everywhere
LEAVES = 0.1  # relative change of the weights at which the lazy regime ends
SOURCE = "Sclocchi, Geiger & Wyart 2023"


def plane(alpha, temperature, *, net, depth, source):
    """Train a network by SGD on the parity of digits until every training point is fitted."""
    task = dict(p=POINTS, alpha=alpha, depth=depth, test=512, source=source)
    model = Mlp(width=WIDTH, **task) if net == DENSE else ConvNet(channels=WIDTH, **task)
    return Until(system=sgd(model, temperature=temperature, batch=16), when=fitted, every=8)


def _scale(alphas, temperatures, seeds, times, depths=(2,), nets=(DENSE,)):
    grid, static = {"alpha": alphas, "temperature": temperatures}, {"net": nets, "depth": depths, "source": ("digits",)}
    return {"plane": dict(grid=grid, static=static, seeds=seeds, times=times)}


SCALES = {
    "smoke": _scale([1 / 64, 1 / 8, 64.0, 512.0], 8.0 ** np.arange(-2, 1), 3, [0, 500, 2000]),
    "laptop": _scale(8.0 ** np.arange(-2, 4), 4.0 ** np.arange(-3, 3), 16, [0, 500, 4000]),
    "accelerator": _scale(
        4.0 ** np.arange(-6, 7), 4.0 ** np.arange(-5, 4), 256, [0, 1000, 10_000, 100_000], (1, 2, 3), (DENSE, CONVOLUTIONAL)
    ),
}


def final(runs, name):
    """Return an observable of the first kind of network, of the last depth, at the end; NaN where the data were never fitted.

    It is (alpha, temperature, seed).
    """
    last = runs["plane"].isel(time=-1, net=0, depth=-1, source=0)
    return last[name].where(last["stopped"]).transpose("alpha", "temperature", "seed")


def slopes(data, x, log):
    """Return (seeds,) slopes along `x`, of what is known of each seed, mean over the other axis."""
    values = np.moveaxis(data.transpose(x, ..., "seed").values.astype(float), 0, -1)
    places, found = np.log(data[x].values.astype(float)), np.full(values.shape[:-1], np.nan)
    for at in np.ndindex(found.shape):
        known = np.isfinite(values[at])
        if known.sum() > 1:
            y = values[at][known]
            found[at] = np.polyfit(places[known], np.log(y) if log else y, 1)[0]
    found = found.reshape(-1, found.shape[-1])
    count = np.isfinite(found).sum(axis=0)
    return np.where(count > 0, np.nansum(found, axis=0) / np.maximum(count, 1), np.nan)


def measure(runs):
    """Measure how the test error changes with ln T in both regimes, and what leaves the lazy one."""
    error, moved = final(runs, "error"), final(runs, "relative_norm")
    cool = dict(temperature=slice(None, COOL * 1.01))
    small, large = dict(alpha=slice(None, FEATURES * 1.01)), dict(alpha=slice(LAZY * 0.99, None))
    helps, hurts = (Found.over(slopes(error.sel(cool).sel(part), "temperature", False)) for part in (small, large))
    note = "change of the test error per unit of ln T, alpha"
    cold, warm = error.isel(temperature=0), error.sel(temperature=COOL, method="nearest")
    gains = {name: _gain(at) for name, at in (("cold", cold), ("warm", warm))}
    return {
        "helps": dataclasses.replace(helps, note=f"{note} <= {FEATURES:g}"),
        "hurts": dataclasses.replace(hurts, note=f"{note} >= {LAZY:g}"),
        "apart": dataclasses.replace(hurts - helps, note="the second less the first"),
        "leaves": Found.every({
            "T:": Found.over(slopes(moved.sel(cool).isel(alpha=[-1]), "temperature", True)),
            "1 / alpha:": Found.over(-slopes(moved.isel(temperature=[0]), "alpha", True)),
        }, "powers with which the relative weight change grows"),
        "opposite": dataclasses.replace(gains["warm"], note=f"test error at T = {COOL:g}, smallest alpha less largest"),
        "opposite_cold": dataclasses.replace(gains["cold"], note="the same at the lowest T"),
        "fitted": Found.share(int(error.sel(cool).notnull().sum()), error.sel(cool).size, f"runs with T <= {COOL:g}"),
    }  # fmt: skip


def _gain(error):
    """Test error of (alpha, seed) at the smallest alpha less at the largest, of the runs that fitted: seeds share nothing."""
    ends = (error.isel(alpha=i).values for i in (0, -1))
    one, other = (Found.over(values[np.isfinite(values)]) for values in ends)
    return one - other


def hottest(runs):
    """Find, per alpha, the temperature above which less than half of the runs fit, with its band; temperatures count by their
    logarithm.
    """
    fits = runs["plane"]["stopped"].isel(time=-1, net=0, depth=-1, source=0).transpose("alpha", "temperature", "seed")
    fits = fits.assign_coords(temperature=np.log(fits["temperature"]))
    band = boundary(fits, along="temperature", level=0.5, direction="down")
    return band.assign({name: np.exp(band[name]) for name in ("position", "low", "high")})


def draw(runs, found):
    """Draw the planes of test error and weight change, with the ends of fitting and of the lazy regime, and cuts of them."""
    error, moved = final(runs, "error"), final(runs, "relative_norm")
    figure, axes = figures.new_axes(1, 3)
    mean = error.mean("seed", keep_attrs=True).where(error.notnull().mean("seed") > 0.5)
    limit = hottest(runs)
    figures.phase_diagram(mean, x="alpha", y="temperature", band=limit, axes=axes[0], title="test error; line: half fit")
    end = boundary(moved, along="temperature", level=LEAVES, scale="log")
    shown = moved.mean("seed", keep_attrs=True)
    title = f"weight change; line: {LEAVES:g}"
    figures.phase_diagram(shown, x="alpha", y="temperature", band=end, axes=axes[1], log_colour=True, title=title)
    few = error.sel(alpha=[error["alpha"].values[0], error["alpha"].values[-1]])
    figures.curves(few, x="temperature", hue="alpha", axes=axes[2], log="x", title="noise helps, hurts")
    low, high = axes[2].get_ylim()
    axes[2].set(ylabel="test error", ylim=(low, high + 0.4 * (high - low)))  # room for the legend
    return {"plane": figure}


STUDY = Study(
    name="sgd_regimes",
    question="in which regime of (initialisation, noise) does SGD noise help a network on real images, and where does it hurt?",
    paper="Sclocchi, Geiger & Wyart, Dissecting the effects of SGD noise in distinct regimes of deep learning, ICML 2023",
    world="two hidden layers of 32 units on the parity of 128 of the 8x8 digits, T = eta / B, batch 16, at most 4,000 steps",
    experiments={"plane": plane},
    scales=SCALES,
    measure=measure,
    draw=draw,
    controls={
        "temperatures shuffled": shuffled("temperature"), "alphas shuffled": shuffled("alpha"), "untrained": untrained,
    },
    symbols={
        "alpha": r"$\alpha$", "temperature": "$T$", "error": "test error", "relative_norm": r"$|w - w_0| / |w_0|$",
    },
    diverging=True,
    claims=(
        Claim("helps", "where features are learned, noise helps: change of the test error with ln T", -np.inf, 0,
              f"{SOURCE}, abstract (i)", null="temperatures shuffled"),
        Claim("hurts", "where the network is lazy, noise is detrimental", 0, np.inf, f"{SOURCE}, abstract (i)",
              null="temperatures shuffled"),
        Claim("apart", "the regimes differ in what noise does", 1e-3, np.inf, f"{SOURCE}, abstract (i)",
              null="alphas shuffled"),
        Claim("leaves", "more noise and smaller alpha both leave the lazy regime: powers of the weight change", 0.05, 2,
              f"{SOURCE}, abstract (i)", null="untrained"),
        Claim("opposite", "with opposite effects: noise hurts the lazy network, smaller alpha helps it, at T = 1", -1, 0,
              f"{SOURCE}, abstract (i)", null="alphas shuffled"),
        Claim("fitted", "cool runs fit their data: share", 0.8, 1, "precondition", kind="gate"),
    ),  # fmt: skip
)
