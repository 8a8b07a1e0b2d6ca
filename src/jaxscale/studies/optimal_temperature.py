"""How hot is best, and how hot is too hot, when features are learned? Networks of one, two and three layers on real digits.

Where alpha << 1 the error falls with the temperature up to the one at which data are no longer fitted. Both move with alpha by
a power that the depth sets.
"""

import numpy as np

from jaxscale.dynamics.batching import sgd
from jaxscale.dynamics.until import Until, fitted
from jaxscale.models.mlp import Mlp
from jaxscale.phase.boundaries import boundary
from jaxscale.plot import figures
from jaxscale.plot.style import colours
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import shuffled, switched_off

POINTS, WIDTH, GROUPS = 128, 32, 6
ENOUGH = 0.75  # share of runs that must fit for a temperature to count
SOURCE = "Sclocchi, Geiger & Wyart 2023"


def heated(alpha, temperature, *, depth, source):
    """Train a network by SGD on the parity of digits until every training point is fitted."""
    model = Mlp(p=POINTS, alpha=alpha, width=WIDTH, depth=depth, test=512, source=source)
    return Until(system=sgd(model, temperature=temperature, batch=16), when=fitted, every=8)


def _scale(alphas, temperatures, seeds, times):
    grid, static = {"alpha": alphas, "temperature": temperatures}, {"depth": (1, 2, 3), "source": ("digits",)}
    return {"heated": dict(grid=grid, static=static, seeds=seeds, times=times)}


SCALES = {
    "smoke": _scale([2.0**-8, 2.0**-2], 2.0 ** np.arange(-4, 5, 2), 6, [0, 800]),
    "laptop": _scale(2.0 ** np.arange(-8, -1, 2), 2.0 ** np.arange(-4, 5), 18, [0, 250, 1500]),
    "accelerator": _scale(2.0 ** np.arange(-16, -1), 2.0 ** np.arange(-12, 6, 0.5), 512, [0, 1000, 10_000, 100_000]),
}


def power(depth):
    """Return the power of alpha with which the best temperature moves, (D - 1) / (D + 1) of D hidden layers."""
    return (depth - 1) / (depth + 1)


def ends(runs):
    """Return test error and whether all was fitted at the end, each (depth, alpha, temperature, seed)."""
    last = runs["heated"].isel(time=-1, source=0).transpose("depth", "alpha", "temperature", "seed")
    return last["error"].where(last["stopped"]), last["stopped"]


def edge(fits):
    """Find, per depth and alpha, the ln T above which less than half of the runs fit, with its band."""
    by_log = fits.assign_coords(temperature=np.log(fits["temperature"]))
    return boundary(by_log, along="temperature", level=0.5, direction="down")


def measure(runs):
    """Measure how the hottest and the best temperature move with alpha, and whether noise helps on the way there."""
    error, fits = ends(runs)
    line, log_alpha = edge(fits), np.log(error["alpha"].values.astype(float))
    hottest, best, helps = {}, {}, {}
    for depth in error["depth"].values:
        name, at = f"D = {depth}:", error.sel(depth=depth)
        places = [Found.placed(line.sel(depth=depth).isel(alpha=i)) for i in range(line.sizes["alpha"])]
        hottest[name] = Found.slope(log_alpha, places) - power(depth)
        best[name] = Found.over([_best(log_alpha, group) - power(depth) for group in _groups(at)])
        helps[name] = Found.over(_falls(at, fits.sel(depth=depth)))
    return {
        "hottest": Found.every(hottest, "power of alpha of the hottest temperature that fits, less (D - 1) / (D + 1)"),
        "best": Found.every(best, "power of alpha of the best temperature, less (D - 1) / (D + 1)"),
        "helps": Found.every(helps, "change of the test error per unit of ln T, where runs fit"),
        "fitted": Found.share(int(fits.isel(temperature=0).sum()), fits.isel(temperature=0).size, "coolest runs that fit"),
    }


def _mean(error):
    """Return the mean over the seeds that fitted their data; NaN where none did."""
    count = error.notnull().sum("seed")
    return error.sum("seed") / count.where(count > 0)


def _groups(error):
    """Deal the seeds into groups, each of which says by itself which temperature is best."""
    count = min(GROUPS, error.sizes["seed"])
    return [error.isel(seed=slice(i, None, count)) for i in range(count)]


def _best(log_alpha, error):
    """Slope of the logarithm of the temperature with the least mean error, of those at which runs fit."""
    mean = _mean(error).where(error.notnull().mean("seed") >= ENOUGH).transpose("alpha", "temperature").values
    log_t = np.log(error["temperature"].values.astype(float))
    return np.polyfit(log_alpha, log_t[np.argmin(np.where(np.isfinite(mean), mean, np.inf), axis=1)], 1)[0]


def _falls(error, fits):
    """Return (seeds,) slopes of the error against ln T over the temperatures at which runs fit, mean over alpha."""
    log_t, some = np.log(error["temperature"].values.astype(float)), (fits.mean("seed") >= ENOUGH).values
    values, found = error.transpose("alpha", "temperature", "seed").values, []
    for seed in range(values.shape[2]):
        slopes = [np.polyfit(log_t[k], v[k], 1)[0] for v, row in zip(values[:, :, seed], some)
                  if (k := row & np.isfinite(v)).sum() > 1]  # fmt: skip
        found.append(np.mean(slopes) if slopes else np.nan)
    return found


def draw(runs, found):
    """Draw the hottest temperature against alpha with the powers of theory, and the test error on the way there."""
    error, fits = ends(runs)
    line, depths = edge(fits), error["depth"].values
    figure, axes = figures.new_axes(1, 2)
    alpha = line["alpha"].values.astype(float)
    for depth, colour in zip(depths, colours(depths)):
        here = line.sel(depth=depth)
        place, low, high = (np.exp(here[name].values) for name in ("position", "low", "high"))
        axes[0].errorbar(alpha, place, [place - low, high - place], fmt="o", ms=3, lw=1, color=colour, label=f"$D$ = {depth}")
        known = np.log(place[np.isfinite(place)])
        middle = np.exp((known.mean() if len(known) else np.nan) + power(depth) * (np.log(alpha) - np.log(alpha).mean()))
        axes[0].plot(alpha, middle, lw=1, ls="--", color=colour)
        at = error.sel(depth=depth).isel(alpha=0)
        at = at.isel(temperature=(at.notnull().mean("seed") >= ENOUGH).values)
        spread = at.std("seed", ddof=1) / np.sqrt(at.notnull().sum("seed"))
        axes[1].errorbar(at["temperature"].values, _mean(at).values, spread.values, fmt="o-", ms=3, lw=1, color=colour)
    axes[0].set(xscale="log", yscale="log", xlabel=r"$\alpha$", ylabel="hottest $T$ that fits",
                title=r"lines: $\alpha^{(D-1)/(D+1)}$")  # fmt: skip
    axes[0].legend()
    smallest = int(round(np.log2(alpha[0])))
    axes[1].set(xscale="log", xlabel="$T$", ylabel="test error", title=rf"noise helps ($\alpha = 2^{{{smallest}}}$)")
    return {"edge": figure}


def hot_as_cool(runs):
    """Put the coolest runs in the place of all others: no temperature is better or too hot."""
    return switched_off("temperature", 0.0)(runs)


STUDY = Study(
    name="optimal_temperature",
    question="how do the best and the hottest temperature of SGD move with the initialisation scale, by depth?",
    paper="Sclocchi, Geiger & Wyart, Dissecting the effects of SGD noise in distinct regimes of deep learning, ICML 2023",
    world="one to three hidden layers of 32 units on the parity of 128 of the 8x8 digits, T = eta / B, batch 16, 1,500 steps",
    experiments={"heated": heated},
    scales=SCALES,
    measure=measure,
    draw=draw,
    controls={"alphas shuffled": shuffled("alpha"), "hot as cool": hot_as_cool},
    symbols={"alpha": r"$\alpha$", "temperature": "$T$", "error": "test error", "depth": "$D$"},
    diverging=True,
    claims=(
        Claim("hottest", "data are fitted up to a temperature that moves as alpha^((D - 1) / (D + 1)), D = 1, 2, 3", -0.1, 0.1,
              f"{SOURCE}, section on the feature regime", null="alphas shuffled"),
        Claim("best", "the best temperature moves as alpha^((D - 1) / (D + 1)), D = 1, 2, 3", -0.15, 0.15,
              f"{SOURCE}, section on the feature regime", null="alphas shuffled"),
        Claim("helps", "where features are learned noise helps, at every depth: change of the test error with ln T", -np.inf, 0,
              f"{SOURCE}, abstract (i)", null="hot as cool"),
        Claim("fitted", "the coolest runs fit their data: share", 0.9, 1, "precondition", kind="gate"),
    ),  # fmt: skip
)
