"""The square-lattice Ising model, simulated: Binder cumulants of all sizes on one curve, at the exact K_c with nu = 1."""

import numpy as np

from jaxscale.dynamics.ising import Ising
from jaxscale.phase.collapsing import collapse
from jaxscale.plot import figures, scaling
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import scrambled, shuffled

CRITICAL = float(np.log(1 + np.sqrt(2)) / 2)
LIMIT = 0.61069  # U at K_c for L to infinity, Kamieniarz & Blote 1993, J. Phys. A 26, 201


def lattice(coupling, *, size, sweeps):
    """Run one lattice; a fifth of the sweeps warm it up."""
    return Ising(size=size, coupling=coupling, warmup=sweeps // 5)


def _scale(sizes, points, sweeps, seeds, width=0.035):
    couplings = CRITICAL + width * np.linspace(-1, 1, points)
    static = {"size": sizes, "sweeps": (sweeps,)}
    return {"lattice": dict(grid={"coupling": couplings}, static=static, seeds=seeds, times=[0, sweeps])}


SCALES = {
    "smoke": _scale((4, 8), 5, 1500, 32, width=0.1),
    "laptop": _scale((12, 16, 24, 32), 9, 6000, 48, width=0.02),
    "accelerator": _scale((16, 32, 64, 128), 17, 200_000, 1024, width=0.01),
}


def binder(runs):
    """Return U = 1 - <m^4> / (3 <m^2>^2) over sweeps and seeds, (size, coupling), and its jackknife error over seeds."""
    last = runs.isel(time=-1, sweeps=0)
    square, fourth = (last[name].transpose("size", "coupling", "seed") for name in ("square", "fourth"))

    def cumulant(square, fourth):
        return 1 - fourth / (3 * square**2)

    n = last.sizes["seed"]
    without = cumulant((square.sum("seed") - square) / (n - 1), (fourth.sum("seed") - fourth) / (n - 1))
    error = np.sqrt((n - 1) * without.var("seed"))
    return cumulant(square.mean("seed"), fourth.mean("seed")).rename("Binder cumulant"), error


def measure(runs):
    """Measure the cumulant at K_c, its change with size on both sides, and collapse the sizes."""
    value, error = binder(runs["lattice"])
    middle, freedom = dict(coupling=value.sizes["coupling"] // 2, size=-1), runs["lattice"].sizes["seed"] - 1

    def grows(at):
        ends = [
            Found(float(value.isel(size=i, coupling=at)), float(error.isel(size=i, coupling=at)), freedom=freedom)
            for i in (-1, 0)
        ]
        return ends[0] - ends[1]

    at = Found(float(value.isel(middle)), float(error.isel(middle)), f"L = {int(value['size'][-1])}", freedom=freedom)
    found = {"at_critical": at / LIMIT, "ordered": grows(-1), "disordered": grows(0)}
    if value.sizes["size"] > 2:
        fit = _collapsed(value, error)
        threshold, nu = (Found.fitted(fit, name) for name in ("threshold", "nu"))
        found |= {"threshold": threshold - CRITICAL, "nu": nu}
    return found


def _collapsed(value, error):
    return collapse(value, size="size", control="coupling", error=error, exponent=0, degree=4, progress=False)


def draw(runs, found):
    """Draw the cumulants of all sizes, and the collapse where there are sizes enough."""
    value, error = binder(runs["lattice"])
    if value.sizes["size"] > 2:
        figure, axes = figures.new_axes(1, 2)
        scaling.collapse_pair(_collapsed(value, error), axes=axes, control="$K$", value="Binder cumulant")
        return {"binder": figure}
    figure, axes = figures.new_axes()
    for i, size in enumerate(value["size"].values):
        row = dict(size=i)
        axes.errorbar(
            value["coupling"], value.isel(row), error.isel(row), fmt="o-", ms=3, color=figures.COLOURS[i], label=f"L = {size}"
        )
    axes.axvline(CRITICAL, color="0.5", ls="--", lw=0.8)
    axes.set_xlabel("K")
    axes.set_ylabel("Binder cumulant")
    axes.legend(fontsize=7, frameon=False)
    return {"binder": figure}


STUDY = Study(
    name="ising_collapse",
    question="do threshold and exponent of the square-lattice Ising model come out of simulation and data collapse?",
    paper="Onsager 1944, Phys. Rev. 65, 117; Binder 1981, Z. Phys. B 43, 119",
    experiments={"lattice": lattice},
    scales=SCALES,
    measure=measure,
    draw=draw,
    quick=True,
    world="Metropolis sweeps of square lattices up to 32 by 32",
    controls={"couplings shuffled": shuffled("coupling"), "sizes shuffled": shuffled("size"), "scrambled": scrambled()},
    symbols={"coupling": "coupling $K$", "size": "$L$"},
    claims=(
        Claim("threshold", "collapse: K_c - ln(1 + sqrt 2) / 2", -0.002, 0.002, "Onsager 1944", null="couplings shuffled"),
        Claim("nu", "collapse: nu = 1", 0.9, 1.1, "Onsager 1944", null="couplings shuffled"),
        Claim("ordered", "above K_c the cumulant grows with size", 1e-3, 1, "Binder 1981", null="sizes shuffled"),
        Claim("disordered", "below K_c it falls with size", -1, -1e-3, "Binder 1981", null="sizes shuffled"),
        Claim("at_critical", "Binder cumulant at K_c over its limit .61069", 0.97, 1.03, "Kamieniarz & Blote 1993",
              kind="derived", null="scrambled"),
    ),  # fmt: skip
)
