"""Do the rates of matrix sensing hold when the matrix is measured? Both parameterisations by Gaussian operators.

`overparameterised_sensing` observes F G^T whole. Here every number comes from m inner products with Gaussian matrices: the
rate's power of alpha, exact rank, a symmetric problem sped up by two factors, and one rebalancing step, whose rate in few
measurements is that of the least seen direction.
"""

import numpy as np

from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rebalanced import Rebalanced
from jaxscale.dynamics.until import Until, below
from jaxscale.models.matrix_sensing import AsymmetricSensing, SymmetricSensing
from jaxscale.models.operators import Gaussian
from jaxscale.phase.first_passage import time_to
from jaxscale.plot import figures
from jaxscale.simulation import log_times
from jaxscale.studies.overparameterised_sensing import FALL, rates
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import shuffled, untrained
from jaxscale.theory.sensing import least_seen, one_step_rate

N1, N2, RANK, K = 24, 16, 2, 4
RATE, BETA, CLOSE = 0.1, 0.9, 1e-8
WAYS = ("X X^T", "F G^T")
SOURCE = "Xiong, Ding & Du 2024"


def factors(alpha, k, m):
    """Make the asymmetric model of a 24 by 16 target of rank 2 with m measurements."""
    return AsymmetricSensing(n1=N1, n2=N2, rank=RANK, k=k, alpha=alpha, operator=Gaussian(m=m))


def surplus(alpha, *, m):
    """Descend on F G^T with twice the columns it needs, until the error is at the end of the window."""
    return Until(system=Descent(model=factors(alpha, K, m), learning_rate=RATE), when=below("error", FALL[1]))


def exact(alpha, *, m):
    """Descend on F G^T with as many columns as the rank."""
    return Until(system=Descent(model=factors(alpha, RANK, m), learning_rate=RATE), when=below("error", FALL[1]))


def one_step(alpha, *, m):
    """Descend on F G^T with surplus columns, rebalanced once near the target."""
    return Rebalanced(system=Descent(model=factors(alpha, K, m), learning_rate=RATE), beta=BETA, after=300)


def both(learning_rate, *, way):
    """Recover one semi-definite target from the same measurements by either parameterisation."""
    one = SymmetricSensing(n=20, rank=RANK, k=K, alpha=0.3, operator=Gaussian(m=800))
    two = AsymmetricSensing(n1=20, n2=20, rank=RANK, k=K, alpha=0.3, operator=Gaussian(m=800))
    return Descent(model=one if way == WAYS[0] else two, learning_rate=learning_rate)


def _scale(ms, alphas, seeds, last):
    dense = np.union1d(np.arange(0, 801, 5), log_times(last, per_decade=40))
    return {
        "surplus": dict(grid={"alpha": alphas}, static={"m": ms}, seeds=seeds, times=dense),
        "exact": dict(grid={"alpha": alphas}, static={"m": ms}, seeds=seeds, times=dense[dense <= 2000]),
        "one_step": dict(grid={"alpha": alphas}, static={"m": ms}, seeds=seeds, times=np.arange(0, 601, 5)),
        "both": dict(grid={"learning_rate": [RATE]}, static={"way": WAYS}, seeds=seeds, times=log_times(last), share=("way",)),
    }


SCALES = {
    "smoke": _scale((400,), [0.08, 0.12], 4, 4000),
    "laptop": _scale((400, 800), [0.05, 0.07, 0.1, 0.14], 8, 20_000),
    "accelerator": _scale((400, 800, 1600, 3200), np.geomspace(0.02, 0.14, 8), 1024, 200_000),
}


def measure(runs):
    """Measure rates and their powers of alpha for every m, and the steps of both parameterisations."""
    sizes = {f"m {int(m)}:": dict(m=m) for m in runs["surplus"]["m"].values}
    rate = {name: rates(runs[name]["error"]).transpose("m", "seed", "alpha") for name in ("surplus", "exact", "one_step")}

    def power(name, at):
        """Power of alpha in the rate, a line for every seed."""
        of = rate[name].sel(at)
        with np.errstate(invalid="ignore", divide="ignore"):  # an error that does not fall has no power
            return Found.over(np.polyfit(np.log(of["alpha"].values), np.log(of.values.T), 1)[0])

    def mean(name, at):
        return Found.over(rate[name].sel(at).mean("alpha", skipna=False))

    steps = time_to(runs["both"]["error"].isel(learning_rate=0), CLOSE, above=False)
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.log(steps.sel(way=WAYS[0]).values / steps.sel(way=WAYS[1]).values)
    median = float(steps.sel(way=WAYS[1]).median())
    return {
        "surplus": Found.every({name: power("surplus", at) for name, at in sizes.items()}, "power of alpha in the rate"),
        "exact": Found.every({name: power("exact", at) for name, at in sizes.items()}, "power of alpha in the rate"),
        "exact_rate": Found.every({name: mean("exact", at) for name, at in sizes.items()}, "rate per step"),
        "one_step": Found.every({name: power("one_step", at) for name, at in sizes.items()}, "power of alpha in the rate"),
        "recovers": Found.every(
            {name: mean("one_step", at).log - mean("exact", at).log for name, at in sizes.items()}, "ln of both rates' ratio"
        ),
        "edge": Found.every({name: mean("one_step", at) / predicted(at["m"]) for name, at in sizes.items()}, "over the edge's"),
        "faster": Found.median(ratio, f"ln of the steps, X X^T over F G^T, which takes {median:.0f}"),
    }  # fmt: skip


def predicted(m):
    """Return the one-step rate of the least seen direction in m measurements."""
    return one_step_rate(RATE, BETA, seen=least_seen(K * N2, int(m)))


def exchanged(runs):
    """Exchange the two parameterisations."""
    data = runs["both"]
    return {**runs, "both": data.isel(way=[1, 0]).assign_coords(way=data["way"])}


def measured_whole(runs):
    """Let the one-step method's time run as if the matrix were observed whole, and faster with larger starts."""
    data = runs["one_step"]
    slower = data["alpha"] / float(data["alpha"].max())
    parts = [
        data["error"].sel(alpha=a).interp(time=data["time"] * float(slower.sel(alpha=a)) ** 2).assign_coords(time=data["time"])
        for a in data["alpha"].values
    ]
    error = np.stack([part.transpose("m", "seed", "time").values for part in parts])
    return {**runs, "one_step": data.assign(error=(("alpha", "m", "seed", "time"), error))}


def draw(runs, found):
    """Draw both parameterisations on the same problem, and the three rates against alpha with the predicted one."""
    figure, axes = figures.new_axes(1, 2)
    two = runs["both"]["error"].isel(learning_rate=0, time=slice(1, None)).rename("squared error")
    figures.curves(two, x="time", hue="way", statistic="log mean", axes=axes[0], title="one target, the same measurements")
    axes[0].set_ylim(1e-12, None)
    m = runs["surplus"]["m"].values[-1]
    for i, (name, label) in enumerate((("surplus", "$k = 2r$"), ("exact", "$k = r$"), ("one_step", "$k = 2r$, one step"))):
        of = rates(runs[name]["error"].sel(m=m)).rename("rate per step")
        figures.curves(of, x="alpha", axes=axes[1], colour=i, label=label, title=f"$F G^T$, $m$ = {int(m)}")
    axes[1].axhline(predicted(m), color=figures.COLOURS[2], ls="--", lw=0.8)
    return {"rates": figure}


STUDY = Study(
    name="measured_sensing",
    question="do the rates of matrix sensing hold with near-isotropic measurements, for both parameterisations?",
    paper="Xiong, Ding & Du, How over-parameterization slows down gradient descent in matrix sensing, ICLR 2024",
    world="rank-2 targets of sides 24 and 16 (or 20) seen by 400 and 800 Gaussian measurements, eta .1",
    experiments={"surplus": surplus, "exact": exact, "one_step": one_step, "both": both},
    scales=SCALES,
    measure=measure,
    draw=draw,
    controls={
        "alphas shuffled": shuffled("alpha"), "exchanged": exchanged, "time shuffled": shuffled("time"),
        "untrained": untrained, "faster with alpha": measured_whole,
    },
    symbols={"alpha": r"initialisation $\alpha$", "time": "step $T$", "way": "way"},
    claims=(
        Claim("faster", "two factors speed the symmetric problem up from 1 / T^2 to linear: ln of the steps to 1e-8",
              np.log(5), np.inf, "abstract", null="exchanged"),
        Claim("surplus", "F G^T, k > r: the rate is exp(-Omega(alpha^2 T)): power of alpha", 1.5, 2.5, "abstract; theorem 2",
              null="alphas shuffled"),
        Claim("exact", "F G^T, k = r: the rate does not depend on the scale of the start: power", -0.1, 0.1, "abstract",
              null="time shuffled"),
        Claim("exact_rate", "and every seed converges exponentially: rate per step", 0.01, 1, "abstract", null="untrained"),
        Claim("one_step", "one modified step: a rate independent of alpha: power", -0.1, 0.1, "abstract; theorem 3",
              null="faster with alpha"),
        Claim("recovers", "which recovers that of exact parameterisation: ln of the ratio", -0.8, 0.8, "abstract",
              null="time shuffled"),
        Claim("edge", "with m measurements it is that of the least seen direction, of weight (1 - sqrt(k n2 / m))^2",
              0.75, 1.33, "derived: theory.sensing.least_seen", kind="derived", null="time shuffled"),
    ),  # fmt: skip
)
