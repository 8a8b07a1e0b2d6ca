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
from jaxscale.theory.sensing import one_step_rate, symmetric_limit

RANK, BETA = 3, 0.7
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
        "population": dict(static={"k": ks}, seeds=seeds, times=log_times(last)),
        "sensing": dict(grid={"eta": [0.25]}, static={"m": sizes}, seeds=seeds, times=log_times(last)),
        "asymmetric": dict(
            grid={"alpha": alphas}, static={"k": k_diagram}, seeds=4 * seeds, times=log_times(last, per_decade=40)
        ),
        "one_step": dict(grid={"alpha": [0.01, 0.02, 0.04]}, seeds=seeds, times=np.arange(0, 301, 10)),
        "scaled": dict(grid={"condition": [1.0, 10.0, 100.0]}, seeds=seeds, times=log_times(1000)),
        "plain": dict(grid={"condition": [1.0, 10.0, 100.0]}, seeds=seeds, times=log_times(1000)),
        "small_init": dict(grid={"alpha": [0.1, 0.01, 1e-3, 1e-4][::-1]}, seeds=seeds // 2, times=[0, 1000]),
    }


SMOKE = _scale(4, 1000, (RANK, 4), [0.05, 0.08], (400,), (5,))
SCALES = {
    "smoke": {name: SMOKE[name] for name in ("population", "asymmetric", "one_step")},
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
    return error.isel(time=-1, drop=True).copy(data=np.where(n >= 3, slope, np.nan)).rename("rate").assign_attrs(units="1/step")


def measure(runs):
    """Measure every claim below from the labelled runs."""
    found = {}
    error = runs["population"]["error"]
    surplus = [k for k in error["k"].values if k > RANK]
    last = int(error["time"].values[-1])
    if last >= 20_000:
        constants = error.sel(k=surplus).isel(time=-1) * (2 * 0.1 * last) ** 2
        ratio = np.array([constants.sel(k=k).values / symmetric_limit(k, RANK) for k in surplus])
        worst = np.abs(ratio.mean(1) - 1).argmax()
        found["constant"] = Found(
            ratio.mean(1)[worst],
            ratio.std(1, ddof=1)[worst] / np.sqrt(ratio.shape[1]),
            f"worst of k = {[int(k) for k in surplus]}",
        )
        found["slope"] = _slope(error.sel(k=surplus[1]))
        found["exact_rank"] = Found(float(error.sel(k=RANK).isel(time=-1).max()), note="float32 floor")
    if "sensing" in runs:
        found["sensing_slope"] = _slope(runs["sensing"]["error"].isel(m=-1, eta=0))
    rate = rates(runs["asymmetric"]["error"].sel(k=5))
    law = rate.sel(alpha=rate["alpha"] ** 2 * 50 < 0.35)
    if law.sizes["alpha"] >= 3:
        exponent = fit(power.LAW, law, x="alpha", statistic="log mean")["exponent"]
        found["alpha_exponent"] = Found(-exponent.value, exponent.seeds)
        steps = runs["asymmetric"]["steps"].isel(time=-1).sel(k=5)
        done = runs["asymmetric"]["stopped"].isel(time=-1).sel(k=5)
        median = steps.where(done, np.inf).median("seed")
        best = int(np.argmin(median.values))
        found["interior_optimum"] = Found(
            float(median["alpha"][best] ** 2 * 50), note=f"fastest alpha {float(median['alpha'][best]):.2g}"
        )
        ends = min(float(median[0]), float(median[-1])) / float(median[best])
        found["optimum_depth"] = Found(ends, note="slower end over the optimum, steps")
    one = rates(runs["one_step"]["error"])
    mean, exact = one.mean("seed"), one_step_rate(0.1, BETA)
    found["one_step_rate"] = Found.over(one / exact, "over the exact rate")
    found["one_step_span"] = Found(float(mean.max() / mean.min()), note="max over min along alpha")
    if "scaled" in runs:
        found["scaled_ratio"] = _condition_ratio(runs["scaled"])
        found["plain_ratio"] = _condition_ratio(runs["plain"])
    if "small_init" in runs:
        bias = runs["small_init"]["relative_error"].isel(time=-1)
        found["small_init"] = Found(
            float((bias.mean("seed").diff("alpha") > 0).all()), note="1 if the error grows with alpha throughout"
        )
    return found


def _slope(error):
    """Slope of log L against log T over the last third of the recorded decades, with its error over seeds."""
    tail = error.isel(time=error["time"] >= error["time"][-1] / 10)
    fitted = fit(power.LAW, tail, x="time", statistic="log mean", resamples=100)["exponent"]
    return Found(-fitted.value, fitted.seeds)


def _condition_ratio(runs):
    """Median steps at the largest condition number over those at 1; a censored run counts as the last step."""
    steps = runs["steps"].isel(time=-1).where(runs["stopped"].isel(time=-1), np.inf).median("seed")
    last = float(runs["time"][-1])
    censored = not np.isfinite(steps[-1])
    return Found(float(min(steps[-1], last) / steps[0]), note="a lower limit, censored" if censored else "")


def draw(runs, found):
    """Draw the rate over (alpha, k), the 1/T^2 curves, and rates against alpha."""
    figure, axes = figures.new_axes(1, 3)
    rate = rates(runs["asymmetric"]["error"]).mean("seed").assign_attrs(units="1/step")
    figures.phase_diagram(rate, x="alpha", y="k", axes=axes[0], log="x", log_colour=True, title="F G^T: convergence rate")
    figures.curves(
        runs["population"]["error"].isel(time=slice(1, None)), x="time", hue="k", axes=axes[1], title="X X^T, rank 3, k columns"
    )
    law = rates(runs["asymmetric"]["error"].sel(k=5))
    figures.curves(law.rename("rate, k = 5"), x="alpha", axes=axes[2], title="one step: no dependence on alpha")
    one = rates(runs["one_step"]["error"]).rename("rate, k = 5")
    axes[2].errorbar(
        one["alpha"], one.mean("seed"), one.std("seed"), fmt="s", ms=4, color=figures.COLOURS[1], label="one rebalancing step"
    )
    axes[2].legend(fontsize=7, frameon=False)
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
    claims=(
        Claim("constant", "X X^T, population: L(T) (2 eta T)^2 / (k - r) -> 1", 0.98, 1.02, "derived from their section 3"),
        Claim("slope", "X X^T, population: slope of log L against log T is -2", -2.05, -1.95, f"{SOURCE}, theorem 1"),
        Claim("exact_rank", "X X^T with k = r converges exponentially, to the rounding floor", 0, 1e-10, "classical"),
        Claim("sensing_slope", "X X^T, Gaussian sensing: slope -2", -2.05, -1.85, f"{SOURCE}, theorem 1"),
        Claim("alpha_exponent", "F G^T: rate ~ alpha^2 for alpha^2 n < 0.35", 1.88, 2.12, f"{SOURCE}, theorem 2"),
        Claim(
            "interior_optimum", "F G^T: the fastest alpha^2 n is of order one", 0.3, 2.0, "derived; asked by their reviewers"
        ),
        Claim("optimum_depth", "F G^T: both ends of the alpha range are slower than it", 1.5, np.inf, "derived"),
        Claim("one_step_rate", "one step: rate is -2 ln(1 - eta beta^2)", 0.98, 1.02, f"{SOURCE}, section 5"),
        Claim("one_step_span", "one step: rate does not depend on alpha", 1.0, 1.15, f"{SOURCE}, theorem 3"),
        Claim("scaled_ratio", "ScaledGD: condition number 100 costs no more steps than 1", 0, 2.5, "Xu et al. 2023"),
        Claim("plain_ratio", "plain descent: condition number 100 costs many times more", 5, np.inf, "Xu et al. 2023"),
        Claim(
            "small_init", "underdetermined: the recovery error grows with the scale of the start", 1, 1, "Li, Ma & Zhang 2018"
        ),
    ),
)
