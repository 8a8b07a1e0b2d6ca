"""At which temperature does SGD noise change what a network learns, and how does that move with the training set? Real digits.

A lazy network leaves its regime when noise has moved the weights far enough. Their movement is a power of T and of P, and both
together say how the critical temperature falls with P.
"""

import dataclasses

import numpy as np

from jaxscale.dynamics.batching import sgd
from jaxscale.dynamics.until import Until, fitted
from jaxscale.fitting.curve_fit import fit
from jaxscale.fitting.laws import power
from jaxscale.models.mlp import Mlp
from jaxscale.phase.boundaries import boundary
from jaxscale.plot import figures
from jaxscale.simulation import log_times
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import shuffled

LEAVES, HOT = 0.05, 3  # relative change of weights at which the lazy regime ends; temperatures that the powers are of
POINTS = [64, 128, 256, 512]
SOURCE = "Sclocchi, Geiger & Wyart 2023"


def digits(temperature, points, *, source):
    """Train a lazy network by minibatch SGD on the parity of real 8x8 digits, until every training point is fitted."""
    model = Mlp(p=512, points=points, alpha=1024.0, width=64, depth=1, test=512, source=source)
    return Until(system=sgd(model, temperature=temperature, batch=16), when=fitted, every=8)


def _scale(temperatures, points, seeds, times):
    grid, static = {"temperature": temperatures, "points": points}, {"source": ("digits",)}
    return {"digits": dict(grid=grid, static=static, seeds=seeds, times=times)}


SCALES = {
    "smoke": _scale(4.0 ** np.arange(-2, 2), [64, 192, 512], 4, log_times(20_000, per_decade=4)),
    "laptop": _scale(4.0 ** np.arange(-5, 2), POINTS, 8, log_times(20_000, per_decade=4)),
    "accelerator": _scale(2.0 ** np.arange(-12, 5), POINTS, 256, log_times(100_000)),
}


def final(runs, name):
    """Return an observable at the last step, NaN where the run is censored: it never counts as finished."""
    last = runs["digits"].isel(time=-1, source=0)
    return last[name].where(last["stopped"])


def _exponent(data, x="points"):
    """Growth exponent of the mean over seeds."""
    return Found.fitted(lambda: fit(power.LAW, data, x=x, statistic="mean", progress=False), "exponent", times=-1.0)


def onset(runs):
    """Find where the net leaves the lazy regime: where its weights have moved by `LEAVES`, per P, with a band over seeds."""
    return boundary(final(runs, "relative_norm"), along="temperature", level=LEAVES, scale="log")


def measure(runs):
    """Powers of T and P: total variation of the weights, steps to fit, and the temperature at which the lazy regime ends."""
    moved, steps = final(runs, "relative_norm"), final(runs, "steps")
    hot, most = moved["temperature"].values[-HOT:], int(moved["points"][-1])
    variation = {
        "T:": _exponent(moved.sel(temperature=hot, points=most), x="temperature"),
        "P:": _exponent(moved.isel(temperature=-1)),
    }
    longer = {
        "T:": _exponent((steps * steps["temperature"]).sel(temperature=hot, points=most).rename("time"), x="temperature"),
        "P:": _exponent(steps.isel(temperature=-1)),
    }
    line = onset(runs)
    places = [Found.placed(line.isel(points=i)).log for i in range(line.sizes["points"])]
    slope = Found.slope(np.log(line["points"].values), places, "T_c ~ P to this power")
    ratio = variation["P:"].value / variation["T:"].value
    error = ratio * np.hypot(*(one.spread / one.value for one in variation.values()))
    status = next((one.status for one in variation.values() if one.status != "ok"), "ok")
    return {
        "finished": Found.share(int(moved.notnull().sum()), moved.size, "runs that fitted their data"),
        "variation": Found.every(variation, "powers of the relative weight change"),
        "longer": Found.every(longer, "powers of the time to fit, eta times steps"),
        "critical_temperature": slope,
        "performance": _worse(final(runs, "error")),
        "ratio": dataclasses.replace(
            slope - Found(-ratio, error, status=status), note=f"exponent of T_c plus gamma / delta, {ratio:.3f}"
        ),
    }  # fmt: skip


def _worse(error):
    """How much larger the test error of the hotter half of the temperatures is than that of the colder half, as a logarithm."""
    half = error.sizes["temperature"] // 2
    hot, cold = (error.isel(temperature=part).mean("temperature") for part in (slice(-half, None), slice(None, half)))
    ratio = np.log(hot / cold).mean("points").transpose("seed").values
    return Found.over(ratio, "ln of the test error, hotter half of the temperatures over the colder, mean over P")


def draw(runs, found):
    """Draw how far the weights have moved, with T_c, and how T_c falls with P."""
    moved = final(runs, "relative_norm")
    figure, axes = figures.new_axes(1, 3)
    band, mean = onset(runs), moved.mean("seed", keep_attrs=True)
    title = f"8x8 digits, lazy; line: {LEAVES:g}"
    figures.phase_diagram(mean, x="points", y="temperature", band=band, axes=axes[0], log_colour=True, title=title)
    figures.curves(moved, x="temperature", hue="points", axes=axes[1], title="total variation")
    at, place = band["points"].values, band["position"].values
    axes[2].errorbar(at, place, [place - band["low"].values, band["high"].values - place], fmt="o", ms=3, lw=1)
    power_of = found["critical_temperature"].value
    axes[2].plot(at, np.exp(np.mean(np.log(place)) + power_of * (np.log(at) - np.log(at).mean())), lw=1, color="0.3",
                 label=f"exponent {power_of:.2f}")  # fmt: skip
    axes[2].set(xscale="log", yscale="log", xlabel="$P$", ylabel="$T_c$", title="leaving the lazy regime")
    figures.ticks(axes[2].xaxis, at, log=True)
    axes[2].legend()
    return {"digits": figure}


STUDY = Study(
    name="critical_temperature",
    question="at which temperature does SGD noise change what a network learns, and how does that move with P?",
    paper="Sclocchi, Geiger & Wyart, Dissecting the effects of SGD noise in distinct regimes of deep learning, ICML 2023",
    world="a lazy network of one hidden layer of 64 on the parity of up to 512 of the 8x8 digits, T = eta / B, batch 16",
    experiments={"digits": digits},
    scales=SCALES,
    measure=measure,
    draw=draw,
    controls={"points shuffled": shuffled("points"), "all shuffled": shuffled("points", "temperature")},
    symbols={"points": "$P$", "temperature": "$T$", "relative_norm": r"$|w - w_0| / |w_0|$"},
    diverging=True,
    claims=(
        Claim("critical_temperature", "images: T_c is a power law of P that falls: exponent", -1, -0.1,
              f"{SOURCE}, abstract (ii)", null="points shuffled"),
        Claim("variation", "images: the total variation of the weights is a power law of T and of P", 0.05, 2,
              f"{SOURCE}, abstract (ii)", null="all shuffled"),
        Claim("ratio", "images: both say the same, the exponent of T_c is -gamma / delta", -0.1, 0.1, f"{SOURCE}, section 4",
              null="points shuffled"),
        Claim("performance", "noise eventually changes performance, of a lazy network for the worse: ln of the error",
              0.01, 1, f"{SOURCE}, abstract (i), (ii)", null="all shuffled"),
        Claim("longer", "images: fitting takes longer with noise and with more data: powers of T and of P", 0.05, 3,
              f"{SOURCE}, abstract", null="all shuffled"),
        Claim("finished", "runs fit their data: share", 0.95, 1, "precondition", kind="gate"),
    ),  # fmt: skip
)
