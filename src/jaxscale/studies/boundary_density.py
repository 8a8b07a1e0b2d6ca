"""How do the exponents of SGD noise depend on the density of data near the decision boundary?

Perceptrons whose inputs thin out as |x_1|^chi at the boundary, for five chi. Noise must push the weights until less than one
point is expected beyond them, so their powers of P are made of 1 / (1 + chi). A chain of fresh points has the limit.
"""

import numpy as np

from jaxscale.dynamics.chain import PopulationChain
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.events import PerceptronEvents
from jaxscale.dynamics.until import Until, fitted
from jaxscale.models.perceptron import Perceptron
from jaxscale.plot import figures
from jaxscale.plot.style import colours
from jaxscale.simulation import log_times
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import shuffled, untrained
from jaxscale.theory.perceptron import exponents, first_step, stationary_noise, tail_constant, unfitted_fraction

D, LARGEST = 32, 8
SMALLEST = {0.0: 64, 0.5: 64, 1.0: 128, 2.0: 256, 3.0: 256}  # P; thinner margins (small chi) cost more
HOT, FIRST = 100.0, 4000.0  # a temperature and a rate far inside their regimes
COLD = {0.0: 1 / 16, 0.5: 1 / 32, 1.0: 1 / 64, 2.0: 1 / 64, 3.0: 1 / 64}  # temperatures far below T_c


def perceptron(size, chi):
    """Make the margin perceptron of `size` times the smallest P of its chi."""
    points = size * SMALLEST[chi]
    return Perceptron(d=D, alpha=points / D, alpha_max=LARGEST * SMALLEST[chi] / D, chi=chi)


def noise(size, *, chi):
    """Run SGD of single points, hot: the noise-dominated corner."""
    return PerceptronEvents(model=perceptron(size, chi), temperature=HOT, single=True)


def first(size, *, chi):
    """Run full batches at a huge rate: the corner of the first step."""
    points = size * SMALLEST[chi]
    return PerceptronEvents(model=perceptron(size, chi), temperature=FIRST / points, batch=points)


def cold(size, *, chi):
    """Descend far below T_c: the corner of the margin."""
    descent = Descent(model=perceptron(size, chi), learning_rate=COLD[chi] * size * SMALLEST[chi])
    return Until(system=descent, when=fitted, every=4)


def chain(reach, *, chi):
    """Run the two-variable limit of fresh points, with the P at which one point is expected beyond lambda = `reach`."""
    return PopulationChain(d=D, points=reach ** (1 + chi) / tail_constant(chi), chi=chi)


def _scale(chis, sizes, seeds, reaches, draws):
    times, static = log_times(200_000, per_decade=4), {"chi": chis}
    return {
        name: dict(grid={"size": sizes}, static=static, seeds=seeds, times=times) for name in ("noise", "first", "cold")
    } | {"chain": dict(grid={"reach": reaches}, static=static, seeds=draws, times=times)}


CHIS = tuple(SMALLEST)
SCALES = {
    "smoke": _scale((0.0, 3.0), [1, 2, 4], 16, [4.0, 8.0, 16.0], 16),
    "laptop": _scale(CHIS, [1, 2, 4, 8], 192, 2.0 ** np.arange(2, 7), 96),
    "accelerator": _scale(CHIS, [1, 2, 4, 8], 16_384, 2.0 ** np.arange(2, 9), 8192),
}


def final(runs, name, chi):
    """Return an observable at the end, (seed, sizes); NaN where the data were never fitted."""
    last = runs.isel(time=-1).sel(chi=chi)
    values = last[name].where(last["stopped"])
    return values.transpose("seed", ...)


def _on_the_way(chain):
    """Return (seed,) noise across the teacher at the last record at which no run of the largest P has stopped.

    Runs stop when lambda is large, so where they stop the noise is small.
    """
    longest = chain.isel(reach=-1)
    going = ~longest["stopped"].any("seed").values
    return longest["noise"].isel(time=int(np.flatnonzero(going)[-1])).values


def powers(values, part=slice(1, None)):
    """Return (seeds,) powers of P of positive (seed, sizes) values, over a part of the sizes."""
    x = np.log(values[values.dims[1]].values.astype(float))[part]
    return np.polyfit(x, np.log(values.values.T[part]), 1)[0]


def measure(runs):
    """Measure, for every chi, powers of P in the three corners and in the chain, and levels that are known exactly."""
    chis = [float(chi) for chi in runs["noise"]["chi"].values]
    found: dict[str, dict[str, Found]] = {}

    def add(name, chi, values, over=1.0):
        found.setdefault(name, {})[f"chi {chi:g}:"] = Found.over(np.asarray(values)) / over

    for chi in chis:
        hot = {name: final(runs["noise"], name, chi) for name in ("lambda", "norm", "error", "training_time")}
        far, calm = final(runs["first"], "norm", chi), final(runs["cold"], "norm", chi)
        theory = exponents(chi)
        add("lambda", chi, powers(hot["lambda"]), theory["lambda"])
        add("time", chi, powers(hot["training_time"]), theory["time"])
        add("error", chi, powers(hot["error"]), -1.0)
        add("critical_batch", chi, powers(hot["norm"]) - powers(far), theory["critical_batch"])
        add("critical_temperature", chi, powers(calm) - powers(hot["norm"]))
        drift = powers(hot["lambda"], slice(-2, None)) - powers(hot["lambda"], slice(0, 2))
        add("drift", chi, drift, theory["lambda"])
        add("chain", chi, powers(final(runs["chain"], "lambda", chi), slice(-3, None)))
        add("stationary", chi, _on_the_way(runs["chain"].sel(chi=chi)), stationary_noise(D, chi))
        signal, across = (final(runs["first"], name, chi).isel(size=-1).values for name in ("signal", "noise"))
        add("first_signal", chi, signal / FIRST, first_step(D, chi))
        exact = np.asarray(unfitted_fraction(signal / across, chi))
        add("first_error", chi, final(runs["first"], "error", chi).isel(size=-1).values / exact)
    made = {name: Found.every(parts, NOTES[name]) for name, parts in found.items()}
    made["density"] = _against(found["lambda"], chis)
    counts = [final(runs[name], "norm", chi) for name in ("noise", "first", "cold") for chi in chis]
    made["finished"] = Found.share(sum(int(c.notnull().sum()) for c in counts), sum(c.size for c in counts), "runs that fitted")
    return made


NOTES = {
    "lambda": "exponent of lambda over 1 / (1 + chi), without the smallest P",
    "time": "exponent of t* over 1 + 2 / (1 + chi), without the smallest P",
    "error": "power of 1 / P of the test error in the corner of noise",
    "critical_batch": "exponent of B* over 1 / (1 + chi)",
    "critical_temperature": "exponent of T_c / kappa",
    "drift": "exponent of lambda over 1 / (1 + chi), at the two largest P less at the two smallest",
    "chain": "exponent of lambda in P^(1 / (1 + chi)), largest P",
    "stationary": "noise across the teacher over its stationary level",
    "first_signal": "signal after the first step over eta E|x_1| / sqrt(d)",
    "first_error": "test error over the closed form",
}


def _against(parts, chis):
    """Slope of the exponents of lambda against 1 / (1 + chi)."""
    x = [1 / (1 + chi) for chi in chis]
    exponents_found = [part / (1 + chi) for part, chi in zip(parts.values(), chis)]
    return Found.slope(x, exponents_found, "slope of the exponents against 1 / (1 + chi)")


def draw(runs, found):
    """Draw lambda against P, the exponents against 1 / (1 + chi), and the noise across the teacher in the chain."""
    last = runs["noise"].isel(time=-1)
    figure, axes = figures.new_axes(1, 3)
    shown = last["lambda"].where(last["stopped"])
    figures.curves(shown, x="size", hue="chi", axes=axes[0], log="xy", title="noise-dominated corner")
    axes[0].set_xlabel("$P$ over the smallest")
    chis = last["chi"].values.astype(float)
    x = 1 / (1 + chis)
    for name, label in (("lambda", "full simulation"), ("chain", "fresh points")):
        parts = found[name].parts.values()
        y, half = (np.array([getattr(part, of) for part in parts]) * x for of in ("value", "spread"))
        axes[1].errorbar(x, y, 1.96 * half, fmt="o", ms=3, lw=1, capsize=2, label=label)
    axes[1].plot([0, 1], [0, 1], color="0.4", lw=1, label=r"$1 / (1 + \chi)$")
    axes[1].set(xlabel=r"$1 / (1 + \chi)$", ylabel=r"exponent of $\lambda$ in $P$", title="set by the density")
    axes[1].legend()
    longest = runs["chain"].isel(reach=-1)
    for chi, colour in zip(chis, colours(chis)):
        one = longest.sel(chi=chi)
        going = ~one["stopped"].any("seed").values & (one["time"].values > 0)
        level = one["noise"].mean("seed").values[going] / stationary_noise(D, chi)
        axes[2].plot(one["time"].values[going], level, lw=1, color=colour)
    axes[2].axhline(1, color="0.4", lw=0.8, ls="--")
    axes[2].set(xscale="log", xlabel="updates", ylabel=r"$|v_\perp|$ over its stationary level", title="chain of fresh points")
    return {"density": figure}


def dense(runs):
    """Take the runs of one chi for every other: the density has no effect."""
    made = {}
    for name, data in runs.items():
        same = data.isel(chi=[0] * data.sizes["chi"]).assign_coords(chi=data["chi"])
        made[name] = shuffled("seed")({name: same})[name]  # the noise of independent runs
    return made


PAPER, FIRST_PAPER = "Sclocchi & Wyart 2024", "Sclocchi, Geiger & Wyart 2023"

STUDY = Study(
    name="boundary_density",
    question="how do the exponents of SGD noise depend on the density of data near the decision boundary?",
    paper="Sclocchi, Geiger & Wyart, ICML 2023, arXiv:2301.13703; Sclocchi & Wyart, PNAS 2024, arXiv:2309.10688",
    world="perceptrons of 32 inputs with density |x_1|^chi at the boundary, up to 512 (chi = 0) or 2,048 points; the chain",
    experiments={"noise": noise, "first": first, "cold": cold, "chain": chain},
    scales=SCALES,
    measure=measure,
    draw=draw,
    controls={"points shuffled": shuffled("size", "reach"), "one density": dense, "untrained": untrained},
    symbols={
        "chi": r"$\chi$", "reach": r"$(CP)^{1 / (1 + \chi)}$", "size": "size", "lambda": r"$\lambda$", "noise": r"$|v_\perp|$",
    },
    claims=(
        Claim("density", "exponents depend on the density near the boundary: lambda's against 1 / (1 + chi), slope", 0.85, 1.15,
              f"{FIRST_PAPER}, abstract", null="one density"),
        Claim("lambda", "lambda ~ P^(1 / (1 + chi)), every chi: exponent over this", 0.8, 1.2,
              f"{PAPER}, scaling argument", null="points shuffled"),
        Claim("critical_batch", "B* ~ P^(1 / (1 + chi)), every chi: exponent over this", 0.7, 1.1, f"{PAPER}, abstract",
              null="points shuffled"),
        Claim("time", "t* ~ T P^b with b = 1 + 2 / (1 + chi), every chi: exponent over this", 0.72, 1.02,
              f"{FIRST_PAPER}, abstract; {PAPER}", null="points shuffled"),
        Claim("critical_temperature", "T_c / kappa of the perceptron does not depend on P, every chi: exponent", -0.15, 0.15,
              "derived", kind="derived", null="one density"),
        Claim("error", "the test error of the corner of noise falls as 1 / P: power", 0.8, 1.2, "derived", kind="derived",
              null="points shuffled"),
        Claim("chain", "the chain: lambda ~ P^(1 / (1 + chi)), every chi: exponent over this", 0.96, 1.04,
              f"{PAPER}, scaling argument", kind="derived", null="points shuffled"),
        Claim("stationary", "the chain: noise across the teacher is stationary, at its closed form: ratio", 0.95, 1.05,
              f"{PAPER}, scaling argument", kind="derived", null="untrained"),
        Claim("first_signal", "large batches and rates: the signal is that of the first step: ratio", 0.97, 1.05,
              "derived, exact", kind="derived", null="untrained"),
        Claim("finished", "all three corners fit their data: share", 0.95, 1, "precondition", kind="gate"),
    ),  # fmt: skip
)
