"""When does SGD noise change what is learned? The (B, eta) plane of the perceptron.

Three regimes: gradient descent (v set by the margin), noise-dominated (v ~ T), first-step-dominated (v ~ eta). Their
boundaries are a critical temperature T_c and a critical batch B*, and both move with the number of points P.
"""


import jax.numpy as jnp
import numpy as np

from jaxscale.dynamics.chain import PopulationChain
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.events import PerceptronEvents
from jaxscale.dynamics.until import Until, fitted
from jaxscale.fitting.curve_fit import fit
from jaxscale.fitting.laws import power
from jaxscale.models.perceptron import Perceptron
from jaxscale.phase.boundaries import boundary
from jaxscale.plot import figures
from jaxscale.simulation import log_times
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import shuffled
from jaxscale.theory.perceptron import exponents, first_step_norm

D = 32
PLANE_POINTS = 512
MAX_POINTS = 1024
SMALLEST, SIZES = {0: 128, 1: 256}, [1, 2, 4, 8]  # P of the corners; thinner margins (chi = 0) cost more
NOISE_RATE, FIRST_RATE = 200.0, 4000.0  # deep inside their regimes
COLD = {0: 1 / 16, 1: 1 / 64}  # temperatures far below T_c, at rates whose first step is far below the plateau
NOISE, FIRST_STEP = 0, 1  # two corners, as values of a traced axis: one program serves both


def perceptron(points, most, chi):
    """Make the margin perceptron with `points` of at most `most` rows."""
    return Perceptron(d=D, alpha=points / D, alpha_max=most / D, chi=float(chi))


def plane(batch, learning_rate, *, chi):
    """Run SGD at one cell of the (B, eta) plane."""
    return PerceptronEvents(model=perceptron(PLANE_POINTS, PLANE_POINTS, chi), temperature=learning_rate / batch, batch=batch)


def scaling(points, *, chi):
    """Run SGD in the noise-dominated corner, B = 1 at T = 100: how the solution moves with P."""
    return PerceptronEvents(model=perceptron(points, MAX_POINTS, chi), temperature=100.0, single=True)


def corners(size, corner, *, chi):
    """Run SGD in two corners of the plane, noise-dominated and dominated by the first step, at `size` times the smallest P."""
    points = size * SMALLEST[chi]
    batch = jnp.where(corner == NOISE, 1, points)
    eta = jnp.where(corner == NOISE, NOISE_RATE, FIRST_RATE)
    model = perceptron(points, SIZES[-1] * SMALLEST[chi], chi)
    return PerceptronEvents(model=model, temperature=eta / batch, batch=batch)


def plateau(size, *, chi):
    """Run the third corner: full-batch descent at a temperature far below T_c, on the data of the other two."""
    points = size * SMALLEST[chi]
    descent = Descent(model=perceptron(points, SIZES[-1] * SMALLEST[chi], chi), learning_rate=COLD[chi] * points)
    return Until(system=descent, when=fitted, every=4)


def chain(points):
    """Run the two-variable population limit."""
    return PopulationChain(d=128, points=points, chi=1)


EXPERIMENTS = {"plane": plane, "scaling": scaling, "corners": corners, "plateau": plateau, "chain": chain}

BATCHES, RATES, WIDE = 2.0 ** np.arange(10), 2.0 ** np.arange(3, 13), 2.0 ** np.arange(-2, 13)
DENSE = [64, 128, 181, 256, 362, 512, 724, MAX_POINTS]
CORNERS, BOTH = [NOISE, FIRST_STEP], {"chi": (0, 1)}
LONG = log_times(200_000, per_decade=4)
SCALES = {
    "smoke": {
        "plane": dict(grid={"batch": BATCHES[::3], "learning_rate": RATES[::3]}, static=BOTH, seeds=4, times=LONG),
        "scaling": dict(grid={"points": [256, 512, MAX_POINTS]}, static=BOTH, seeds=8, times=LONG),
        "chain": dict(grid={"points": [128.0, 512.0, 2048.0]}, seeds=8, times=LONG),
    },
    "laptop": {  # the demo
        "plane": dict(grid={"batch": BATCHES, "learning_rate": RATES}, static=BOTH, seeds=4, times=LONG),
        "scaling": dict(grid={"points": DENSE}, static=BOTH, seeds=48, times=LONG),
        "corners": dict(grid={"size": SIZES, "corner": CORNERS}, static=BOTH, seeds=48, times=LONG, share="corner"),
        "plateau": dict(grid={"size": SIZES}, static=BOTH, seeds=48, times=LONG),
        "chain": dict(grid={"points": 2.0 ** np.arange(7, 13)}, seeds=32, times=LONG),
    },
    "accelerator": {
        "plane": dict(grid={"batch": BATCHES, "learning_rate": WIDE}, static=BOTH, seeds=256, times=LONG),
        "scaling": dict(grid={"points": DENSE}, static=BOTH, seeds=4096, times=LONG),
        "corners": dict(grid={"size": SIZES, "corner": CORNERS}, static=BOTH, seeds=1024, times=LONG, share="corner"),
        "plateau": dict(grid={"size": SIZES}, static=BOTH, seeds=1024, times=LONG),
        "chain": dict(grid={"points": 2.0 ** np.arange(7, 17)}, seeds=4096, times=LONG),
    },
}  # fmt: skip


def final(runs, name):
    """Return an observable at the last step, NaN where the run is censored: it never counts as finished."""
    last = runs.isel(time=-1)
    return last[name].where(last["stopped"])


def measure(runs):
    """Measure every claim below from the labelled runs."""
    found = _plane(runs["plane"])
    if "scaling" in runs:
        for chi in (0, 1):
            grown = final(runs["scaling"], "lambda").sel(chi=chi, points=slice(256, None))
            found[f"lambda_{chi}"] = _exponent(grown, "upper half of P") / exponents(chi)["lambda"]
    grown = final(runs["chain"], "lambda")
    found["chain"] = _exponent(grown.sel(points=slice(512, None)) if grown.sizes["points"] > 3 else grown)
    if "corners" in runs:
        found |= _corners(final(runs["corners"], "norm"), final(runs["plateau"], "norm"))
    return found


def _exponent(data, note="", x="points", statistic="mean"):
    """Growth exponent of a statistic over seeds."""
    return Found.fitted(lambda: fit(power.LAW, data, x=x, statistic=statistic, progress=False), "exponent", note, times=-1.0)


def _plane(runs):
    found = {}
    norm = final(runs, "norm")
    for chi in (int(c) for c in norm["chi"].values):
        cells = norm.sel(chi=chi)
        found[f"finished_{chi}"] = Found.share(int(cells.notnull().sum()), cells.size, "runs that fitted their data")
        corner = cells.isel(batch=-1, learning_rate=-1) / cells["learning_rate"][-1]
        if int(cells["batch"][-1]) >= PLANE_POINTS:
            exact = first_step_norm(D, PLANE_POINTS, chi)
            found[f"first_step_{chi}"] = Found.over(corner / exact, "over exact")
        small = cells.sel(batch=slice(None, 16)).transpose("seed", "batch", "learning_rate")
        ratio = small["learning_rate"].values / small["batch"].values[:, None]
        found[f"collapse_{chi}"] = Found.jackknife(
            lambda norms, ratio=ratio: _spread_on_temperature(norms.mean(0), ratio), small.values,
            note="rms spread of ln |v| over B <= 16 at equal T",
        )  # fmt: skip
    return found


def _spread_on_temperature(mean, ratio):
    """Root mean square deviation of ln |v| from its average over all (B, eta) with the same T."""
    log, temperature = np.log(mean), np.log2(ratio)
    groups = [log[np.isclose(temperature, t)] for t in np.unique(temperature.round())]
    deviations = [group - group.mean() for group in groups if len(group) > 1]
    return float(np.sqrt(np.mean(np.concatenate(deviations) ** 2)))


def _corners(norm, calm):
    """Exponents in P of T_c = plateau / (|v| / T) and B* = (|v| / T) / (|v| / eta), each ratio taken on the same data."""
    found = {}
    for chi in (0, 1):
        large = {"chi": chi, "size": SIZES[1:]}  # exponents approach their limits slowly, as that of lambda does
        noise, first = (norm.sel(large, drop=True).sel(corner=corner, drop=True) for corner in (NOISE, FIRST_STEP))
        ratio = {"statistic": "log mean", "x": "size"}
        found[f"critical_temperature_{chi}"] = _exponent(calm.sel(large, drop=True) / noise, "against the largest P", **ratio)
        batch = _exponent(noise / first, "over 1 / (1 + chi), largest P", **ratio)
        found[f"critical_batch_{chi}"] = batch / (1 / (1 + chi))
    return found


def draw(runs, found):
    """Draw the (B, eta) planes with the onset of noise and the exact lines, the exponents, and the digits."""
    plane = final(runs["plane"], "norm")
    chis = [int(c) for c in plane["chi"].values]
    figure, axes = figures.new_axes(1, len(chis) + 1)
    for panel, chi in zip(axes, chis):
        cells = plane.sel(chi=chi)
        calm = float(cells.isel(learning_rate=0, batch=-1).mean())
        onset = boundary(cells, along="learning_rate", level=2 * calm, scale="log")
        mean = cells.mean("seed", keep_attrs=True)
        title = rf"perceptron, $\chi$ = {chi}, $P$ = {PLANE_POINTS}"
        figures.phase_diagram(mean, x="batch", y="learning_rate", band=onset, axes=panel, log_colour=True, title=title)
    if "scaling" in runs:
        data = final(runs["scaling"], "lambda").sel(points=slice(256, None))
        fits = [fit(power.LAW, data.sel(chi=chi), x="points", progress=False) for chi in (0, 1)]
        figures.curves(data, x="points", hue="chi", fits=fits, axes=axes[-1], title="noise-dominated corner")
        axes[-1].set_ylim(top=5 * axes[-1].get_ylim()[1])  # room for the legend
    else:
        figures.curves(final(runs["chain"], "lambda"), x="points", axes=axes[-1], title="population chain")
    return {"plane": figure}


IMAGES, PERCEPTRON = "Sclocchi, Geiger & Wyart 2023", "Sclocchi & Wyart 2024"


def _claims():
    for chi in (0, 1):
        spread = 1 - 0.04 * (1 + chi), 1 + 0.04 * (1 + chi)
        yield Claim(f"collapse_{chi}", f"chi = {chi}: |v| depends on eta / B alone for B <= 16", 0, 0.15,
                    f"{PERCEPTRON}, abstract", null="batches shuffled")  # fmt: skip
        yield Claim(f"lambda_{chi}", f"chi = {chi}: lambda ~ P^(1 / (1 + chi)): exponent over this", *spread,
                    f"{PERCEPTRON}, scaling argument; {IMAGES}, abstract, density near the boundary",
                    null="points shuffled")  # fmt: skip
        yield Claim(f"critical_batch_{chi}", f"chi = {chi}: B* ~ P^(1 / (1 + chi)): exponent over this", 0.8, 1.05,
                    f"{PERCEPTRON}, abstract", null="points shuffled")  # fmt: skip
        yield Claim(f"critical_temperature_{chi}", f"chi = {chi}: T_c / kappa does not depend on P: exponent", -0.12, 0.12,
                    "derived", kind="derived", null="noise cold")  # fmt: skip
        yield Claim(f"first_step_{chi}", f"chi = {chi}: the large-batch, large-rate corner is the first step alone", 0.97, 1.03,
                    "derived, exact", kind="derived", null="batches shuffled")  # fmt: skip
    yield Claim("chain", "population chain, chi = 1: lambda ~ P^0.5", 0.48, 0.52, f"{PERCEPTRON}, scaling argument",
                kind="derived", null="points shuffled")  # fmt: skip


def noise_cold(runs):
    """Let the noise grow with the data: the noise-dominated corner's norms rise by another power of P."""
    if "corners" not in runs:
        return runs
    data = runs["corners"]
    return {**runs, "corners": data.assign(norm=data["norm"] * data["size"] ** 0.5)}


STUDY = Study(
    name="sgd_noise",
    question="where in the (batch, learning rate) plane does SGD noise change what is learned, and how does that move with P?",
    paper="Sclocchi, Geiger & Wyart, ICML 2023, arXiv:2301.13703; Sclocchi & Wyart, PNAS 2024, arXiv:2309.10688",
    experiments=EXPERIMENTS,
    scales=SCALES,
    measure=measure,
    draw=draw,
    world="perceptrons of 32 inputs and up to 1,024 points, and the population chain",
    controls={
        "points shuffled": shuffled("points", "size"), "batches shuffled": shuffled("batch", "learning_rate"),
        "noise cold": noise_cold,
    },
    symbols={
        "batch": "batch $B$", "learning_rate": r"$\eta$", "points": "$P$", "norm": "$|v|$", "chi": r"$\chi$",
        "lambda": r"$\lambda$",
    },
    diverging=True,
    claims=tuple(_claims()),
)
