"""Over-parameterisation slows gradient descent in matrix sensing, and how much depends on the parameterisation.

X X^T with more columns than the rank cannot beat L ~ 1/T^2; F G^T converges exponentially at a rate set by the
initialisation, ~ alpha^2; one rebalancing step makes the rate independent of it.
"""

import numpy as np

from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rebalanced import Rebalanced
from jaxscale.dynamics.scaled_gd import ScaledGD
from jaxscale.dynamics.until import Until, below
from jaxscale.fitting.curve_fit import fit
from jaxscale.fitting.laws import power
from jaxscale.models.matrix_sensing import AsymmetricSensing, SymmetricSensing
from jaxscale.models.operators import Gaussian
from jaxscale.plot import figures
from jaxscale.simulation import log_times
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import instead, shuffled, switched_off
from jaxscale.theory.sensing import one_step_rate, symmetric_limit

RANK, BETA = 3, 0.7
LONG = 20_000  # steps, from which on the power law is read off
FALL = (1e-4, 1e-10)  # exponential rates are read off between these: above, other modes; below, float32 rounding


def population(*, k):
    """Descend on the symmetric model in the population limit. k is static: it fixes a shape."""
    return Descent(model=SymmetricSensing(n=50, rank=RANK, k=k, alpha=0.05), learning_rate=0.1)


def sensing(eta, *, m):
    """Descend on the symmetric model with m Gaussian measurements."""
    return Descent(model=SymmetricSensing(n=20, rank=2, k=4, alpha=0.3, operator=Gaussian(m=m)), learning_rate=eta)


def asymmetric(alpha, *, k):
    """Descend on the asymmetric model in the population limit until the loss is at the end of the window."""
    model = AsymmetricSensing(n1=50, n2=50, rank=RANK, k=k, alpha=alpha)
    return Until(system=Descent(model=model, learning_rate=0.1), when=below("error", FALL[1]))


def one_step(alpha):
    """Descend on the asymmetric model, rebalanced once near the target."""
    model = AsymmetricSensing(n1=50, n2=50, rank=RANK, k=5, alpha=alpha)
    return Rebalanced(system=Descent(model=model, learning_rate=0.1), beta=BETA, after=300)


def scaled(condition):
    """Run ScaledGD until 1 % error; what counts is its steps."""
    model = SymmetricSensing(n=30, rank=3, k=6, alpha=1e-3, condition=condition)
    return Until(system=ScaledGD(model=model, learning_rate=0.3, damping=1e-3), when=below("relative_error", 1e-2))


def plain(condition):
    """Run plain descent until 1 % error; what counts is its steps."""
    model = SymmetricSensing(n=30, rank=3, k=6, alpha=1e-3, condition=condition)
    return Until(system=Descent(model=model, learning_rate=0.3), when=below("relative_error", 1e-2))


def small_init(alpha):
    """Descend with fewer measurements than unknowns and k = n: what is found depends on the scale of the start alone."""
    model = SymmetricSensing(n=30, rank=2, k=30, alpha=alpha, operator=Gaussian(m=300))
    return Descent(model=model, learning_rate=0.2)


EXPERIMENTS = {
    "population": population, "sensing": sensing, "asymmetric": asymmetric, "one_step": one_step,
    "scaled": scaled, "plain": plain, "small_init": small_init,
}  # fmt: skip

ALPHAS = np.array([0.02, 0.03, 0.05, 0.08, 0.1, 0.14, 0.2, 0.3, 0.5])


def _scale(seeds, last, ks, alphas, sizes, k_diagram):
    return {
        "population": dict(static={"k": ks}, seeds=seeds, times=np.union1d(np.arange(0, 401, 10), log_times(last))),
        "sensing": dict(grid={"eta": [0.25]}, static={"m": sizes}, seeds=seeds, times=log_times(last)),
        "asymmetric": dict(
            grid={"alpha": alphas}, static={"k": k_diagram}, seeds=4 * seeds, times=log_times(last, per_decade=40)
        ),
        "one_step": dict(grid={"alpha": [0.01, 0.02, 0.04]}, seeds=seeds, times=np.arange(0, 301, 10)),
        "scaled": dict(grid={"condition": [1.0, 10.0, 100.0]}, seeds=seeds, times=log_times(1000)),
        "plain": dict(grid={"condition": [1.0, 10.0, 100.0]}, seeds=seeds, times=log_times(1000)),
        "small_init": dict(grid={"alpha": [0.1, 0.01, 1e-3, 1e-4][::-1]}, seeds=seeds // 2, times=[0, 1000]),
    }


SMOKE = _scale(4, 1000, (RANK, 4), [0.05, 0.065, 0.08], (400,), (5,))
SCALES = {
    "smoke": {name: arguments for name, arguments in SMOKE.items() if name != "sensing"},
    "laptop": _scale(8, 20_000, (RANK, 4, 5, 10), ALPHAS, (400,), (RANK, 4, 5, 8)),
    "accelerator": _scale(1024, 200_000, tuple(range(3, 13)), np.geomspace(0.01, 1, 32), (400, 1600), tuple(range(3, 13))),
}


def rates(error):
    """Return the decay rate per step of each seed's loss, read off between `FALL`; NaN where it never gets there.

    Args:
      error: DataArray (..., time).
    """
    values, times = np.asarray(error.values, np.float64), error["time"].values
    inside = (values < FALL[0]) & (values > FALL[1])
    w = inside.astype(float)
    n = w.sum(-1)
    log = np.log(np.where(inside, values, 1.0))
    with np.errstate(invalid="ignore", divide="ignore"):
        t = times - ((w * times).sum(-1) / n)[..., None]
        slope = -(w * t * log).sum(-1) / (w * t**2).sum(-1)
    made = error.isel(time=-1, drop=True).copy(data=np.where(n >= 3, slope, np.nan))
    return made.rename("rate").assign_attrs(units="1/step", symbol="rate")


def measure(runs):
    """Measure every claim below from the labelled runs."""
    error = runs["population"]["error"]
    surplus, last = [int(k) for k in error["k"].values if k > RANK], int(error["time"].values[-1])
    exact = rates(error.sel(k=RANK)).values
    found = {"exact_rank": _fastest(exact, "slowest seed, per step, X X^T with k = r")}
    late = error.sel(k=surplus).isel(time=-1) * (2 * 0.1 * last) ** 2
    over = {f"k {k}:": late.sel(k=k).values / symmetric_limit(k, RANK) for k in surplus}
    fastest = {k: _fastest(v, "") for k, v in over.items()}
    found["lower_bound"] = Found.every(fastest, "L (2 eta T)^2 / (k - r) of the fastest seed")
    if last >= LONG:
        found["constant"] = Found.every({k: Found.over(v) for k, v in over.items()}, "mean over seeds of the same")
        found["slope"] = Found.every({f"k {k}:": _slope(error.sel(k=k)) for k in surplus}, "slope of log L against log T")
    if "sensing" in runs:
        found["sensing_slope"] = _slope(runs["sensing"]["error"].isel(m=-1, eta=0))
    rate = rates(runs["asymmetric"]["error"].sel(k=5))
    law = rate.where(rate > 0).sel(alpha=rate["alpha"] ** 2 * 50 < 0.35)
    found["alpha_exponent"] = Found.fitted(
        lambda: fit(power.LAW, law, x="alpha", statistic="log mean", progress=False), "exponent", times=-1.0
    )
    if rate.sizes["alpha"] > 3:
        found |= _optimum(runs["asymmetric"].sel(k=5))
    one = rates(runs["one_step"]["error"]).transpose("seed", "alpha")
    found["one_step_rate"] = Found.over((one / one_step_rate(0.1, BETA)).mean("alpha"), "over the exact rate")
    log_rate = np.log(one.where(one > 0)).values.T  # an error that grows has no power
    slope = np.polyfit(np.log(one["alpha"].values), log_rate, 1)[0]
    found["one_step_power"] = Found.over(slope, "power of alpha in the rate")
    if "scaled" in runs:
        found |= {f"{name}_ratio": _condition_ratio(runs[name]) for name in ("scaled", "plain")}
    if "small_init" in runs:
        bias = runs["small_init"]["relative_error"].isel(time=-1)
        found["small_init"] = Found.fitted(
            lambda: fit(power.LAW, bias, x="alpha", statistic="log mean", progress=False), "exponent",
            "power of the scale of the start in the recovery error", times=-1.0,
        )  # fmt: skip
    return found


def _fastest(values, note):
    """The least over seeds: that it is reached by every seed of so many is known without resampling."""
    return Found.exact(float(np.min(values)) if np.isfinite(values).all() else np.nan, note)


def _optimum(runs):
    """Where along alpha the fewest steps are needed, and how many more its ends need, medians over seeds."""
    steps = runs["steps"].isel(time=-1).where(runs["stopped"].isel(time=-1), np.inf).transpose("alpha", "seed").values
    best = int(np.argmin(np.median(steps, axis=1)))
    scale = runs["alpha"].values ** 2 * 50
    low, high = float(scale[max(best - 1, 0)]), float(scale[min(best + 1, len(scale) - 1)])
    ends = {"small:": Found.median(steps[0] / steps[best]), "large:": Found.median(steps[-1] / steps[best])}
    return {
        "interior_optimum": Found(scale[best], note="alpha^2 n, between its neighbours on the grid", low=low, high=high),
        "optimum_depth": Found.every(ends, "steps at both ends of the range over those at the optimum, median"),
    }


def _slope(error):
    """Slope of log L against log T over the last decade."""
    tail = error.isel(time=error["time"] >= error["time"][-1] / 10)
    log = np.log(tail.transpose("time", "seed").values.astype(float))
    return Found.over(np.polyfit(np.log(tail["time"].values), log, 1)[0])


def _condition_ratio(runs):
    """Steps at the largest condition number over those at 1; a censored run takes for ever."""
    steps = runs["steps"].isel(time=-1).where(runs["stopped"].isel(time=-1), np.inf).transpose("condition", "seed").values
    return Found.median(steps[-1] / np.median(steps[0]), "median steps at condition 100 over those at 1")


def falling(runs):
    """Let the one-step method's errors fall faster the larger alpha is: t becomes t alpha / alpha_max."""
    data = runs["one_step"]
    parts = [
        data["error"].sel(alpha=a).interp(time=data["time"] * float(a / data["alpha"].max())).assign_coords(time=data["time"])
        for a in data["alpha"].values
    ]
    error = np.stack([part.transpose("seed", "time").values for part in parts])
    return {**runs, "one_step": data.assign(error=(("alpha", "seed", "time"), error))}


def draw(runs, found):
    """Draw the rate over (alpha, k), the 1/T^2 curves, and rates against alpha."""
    figure, axes = figures.new_axes(1, 3)
    rate = rates(runs["asymmetric"]["error"]).mean("seed", keep_attrs=True)
    figures.phase_diagram(rate, x="alpha", y="k", axes=axes[0], log="x", log_colour=True, title="$F G^T$: rate")
    loss = runs["population"]["error"].isel(time=slice(1, None))
    figures.curves(loss, x="time", hue="k", axes=axes[1], title="$X X^T$, rank 3, $k$ columns")
    late = np.geomspace(100, float(loss["time"][-1]), 50)
    for k in loss["k"].values[1:]:
        axes[1].plot(late, symmetric_limit(int(k), RANK) / (2 * 0.1 * late) ** 2, color="0.3", lw=0.7, ls="--")
    axes[1].set_ylim(bottom=FALL[1])
    law = rates(runs["asymmetric"]["error"].sel(k=5)).rename("rate per step")
    figures.curves(law, x="alpha", axes=axes[2], title="$k = 5$", label="$F G^T$")
    one = rates(runs["one_step"]["error"]).rename("rate per step")
    figures.curves(one, x="alpha", axes=axes[2], colour=1, label="one rebalancing step")
    axes[2].axhline(one_step_rate(0.1, BETA), color=figures.COLOURS[1], ls="--", lw=0.8)
    at = law["alpha"].values[:4]
    axes[2].plot(at, float(law.mean("seed")[0]) * (at / at[0]) ** 2, color="0.3", ls="--", lw=0.7, label=r"$\propto \alpha^2$")
    axes[2].legend()
    return {"rates": figure}


SOURCE = "Xiong, Ding & Du 2024"
STUDY = Study(
    name="overparameterised_sensing",
    question="how fast does gradient descent recover a low-rank matrix with more columns than the rank?",
    paper="Xiong, Ding & Du, How over-parameterization slows down gradient descent in matrix sensing, ICLR 2024",
    experiments=EXPERIMENTS,
    scales=SCALES,
    measure=measure,
    draw=draw,
    quick=True,
    world="targets of rank 3 and side 50, eta .1, observed whole; X X^T also by 400 Gaussian measurements at side 20",
    controls={
        "alphas shuffled": shuffled("alpha"), "one alpha": switched_off("alpha", 1.0), "exact rank": switched_off("k", RANK),
        "time shuffled": shuffled("time"), "exchanged": instead({"scaled": "plain", "plain": "scaled"}), "falling": falling,
    },
    symbols={
        "alpha": r"initialisation $\alpha$", "k": "columns $k$", "error": "$L$", "rate": "rate", "time": "step $T$",
        "condition": r"$\kappa$",
    },
    claims=(
        Claim("lower_bound", "X X^T with k > r: L is at least of order 1 / T^2, in every seed: over (k - r) / (2 eta T)^2", 0.5,
              np.inf, "abstract; theorem 1", null="exact rank"),
        Claim("exact_rank", "X X^T with k = r converges exponentially in every seed: rate per step", 0.01, np.inf, "abstract",
              null="time shuffled"),
        Claim("alpha_exponent", "F G^T with k > r: exponentially at a rate ~ alpha^2, for alpha^2 n < .35", 1.88, 2.12,
              "abstract; theorem 2", null="alphas shuffled"),
        Claim("one_step_power", "one modified step: the rate does not depend on alpha: power", -0.1, 0.1,
              "abstract; theorem 3", null="falling"),
        Claim("slope", "X X^T, population: L ~ T^-2, at every k > r", -2.05, -1.95, "theorem 1", null="time shuffled"),
        Claim("sensing_slope", "X X^T, near-isotropic measurements: L ~ T^-2", -2.05, -1.85, "theorem 1", null="time shuffled"),
        Claim("constant", "X X^T, population: L (2 eta T)^2 / (k - r) -> 1, at every k > r", 0.98, 1.02,
              "derived from their section 3", kind="derived", null="exact rank"),
        Claim("one_step_rate", "one step: the rate is -2 ln(1 - eta beta^2)", 0.98, 1.02, "derived from their section 5",
              kind="derived", null="time shuffled"),
        Claim("interior_optimum", "F G^T: the fastest alpha^2 n is of order one", 0.3, 2.0, "asked by their reviewers",
              kind="derived", null="one alpha"),
        Claim("optimum_depth", "F G^T: both ends of the alpha range are slower than it", 1.5, np.inf, "derived",
              kind="derived", null="one alpha"),
        Claim("scaled_ratio", "ScaledGD: condition number 100 costs hardly more steps than 1", 0, 2.5, "Xu et al. 2023",
              kind="derived", null="exchanged"),
        Claim("plain_ratio", "plain descent: condition number 100 costs many times more", 5, np.inf, "Xu et al. 2023",
              kind="derived", null="exchanged"),
        Claim("small_init", "underdetermined: the recovery error falls with the scale of the start, as a power", 0.1, 2,
              "Li, Ma & Zhang 2018; Stoeger & Soltanolkotabi 2021", kind="derived", null="alphas shuffled"),
    ),  # fmt: skip
)
