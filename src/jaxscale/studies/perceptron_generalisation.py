"""How well does a perceptron generalise from P = alpha d examples of a teacher? Measured beside the theory's curves.

One step of descent from almost nothing is the Hebb rule; many more come close to the student of the largest margin. Both are
recorded in one sweep, and held against the curves of infinite size: Hebb's, that of a random student that fits the examples
(Gibbs), and the best that any rule can do (Bayes).
"""

import jax.numpy as jnp
import numpy as np

from jaxscale.dynamics.descent import Descent
from jaxscale.fitting.curve_fit import fit
from jaxscale.fitting.laws import power
from jaxscale.models.perceptron import TeacherStudent
from jaxscale.plot import figures
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import shuffled, switched_off, untrained
from jaxscale.theory import perceptron as theory

LOADS = 2.0 ** np.arange(-1, 4)
LARGE = 100  # inputs, from which on sizes are held against the theory of infinite size; below, of order 1 / d beside it
FAR = 4.0  # loads from here on are held against the laws of large loads


def learning(alpha, *, d):
    """Descend on the full-batch logistic loss."""
    return Descent(model=TeacherStudent(d=d, alpha=alpha, alpha_max=16.0), learning_rate=20.0 * d**0.5)


def _scale(sizes, seeds, last):
    return {"learning": dict(grid={"alpha": [*LOADS, 16.0]}, static={"d": sizes}, seeds=seeds, times=[0, 1, last])}


SCALES = {
    "smoke": _scale((40,), 32, 300),
    "laptop": _scale((50, 100), 64, 2000),
    "accelerator": _scale((100, 400), 1024, 20_000),
}


def curves(runs):
    """Return (hebb, trained) errors over alpha, d, seed."""
    error = runs["learning"]["error"]
    return error.isel(time=1), error.isel(time=-1)


def over(curve, line):
    """Return the error over a line of the theory, at every load."""
    alpha = curve["alpha"].values
    exact = np.asarray(line(jnp.asarray(alpha)))
    parts = {f"{a:g}:": Found.over(curve.sel(alpha=a).values / e) for a, e in zip(alpha, exact)}
    return Found.every(parts, "error over theory, by load")


def exponent(curve):
    """Return the power with which the error falls as the load grows."""
    return Found.fitted(
        lambda: fit(power.LAW, curve.rename("error"), x="alpha", statistic="mean", progress=False), "exponent",
        f"alpha >= {FAR:g}",
    )  # fmt: skip


def measure(runs):
    """Compare errors with the theory's, and fit both exponents at large loads."""
    hebb, trained = (curve.isel(d=-1) for curve in curves(runs))
    far = slice(FAR, None)
    found = {
        "over_gibbs": over(trained.sel(alpha=far), theory.gibbs_error),
        "over_bayes": over(trained.sel(alpha=far), theory.bayes_error),
        "hebb_exponent": exponent(hebb.sel(alpha=far)),
    }
    if hebb["d"].item() >= LARGE:
        found["hebb"] = over(hebb, theory.hebb_error)
        found["trained_exponent"] = exponent(trained.sel(alpha=far))
    return found


def draw(runs, found):
    """Draw the measured errors, and the three curves."""
    figure, axes = figures.new_axes(1, 1)
    fine = np.geomspace(LOADS[0], 16, 100)
    for i, (curve, name) in enumerate(zip(curves(runs), ("one step", "trained"))):
        figures.curves(curve.isel(d=-1).rename("generalisation error"), x="alpha", axes=axes, colour=i, label=name)
    for line, name, style in (
        (theory.hebb_error, "Hebb", "-"), (theory.gibbs_error, "Gibbs", "--"), (theory.bayes_error, "Bayes", ":"),
    ):  # fmt: skip
        axes.plot(fine, np.asarray(line(jnp.asarray(fine))), color="0.3", ls=style, lw=1, label=name)
    axes.legend()
    return {"errors": figure}


STUDY = Study(
    name="perceptron_generalisation",
    question="does a perceptron's learning curve follow the statistical mechanics of infinite size?",
    paper="Vallet 1989, Europhys. Lett. 8, 747; Seung, Sompolinsky & Tishby 1992, Phys. Rev. A 45, 6056; Opper & Haussler 1991",
    experiments={"learning": learning},
    scales=SCALES,
    measure=measure,
    draw=draw,
    quick=True,
    world="perceptrons of 100 inputs taught by a perceptron, up to 16 examples an input",
    controls={"untrained": untrained, "loads shuffled": shuffled("alpha"), "told more": switched_off("alpha", 16.0)},
    symbols={"alpha": r"load $\alpha = P/N$"},
    claims=(
        Claim("hebb", "one step from nothing is Hebb's rule: error over theory, at every load", 0.97, 1.03, "Vallet 1989",
              null="loads shuffled"),
        Claim("over_bayes", "no student is better than Bayes: error over the bound, at every load", 0.97, np.inf,
              "Opper & Haussler 1991", null="told more"),
        Claim("over_gibbs", "a trained student is better than a random one that fits: error over Gibbs'", 0, 1.0,
              "Seung et al. 1992, section V", null="untrained"),
        Claim("hebb_exponent", "Hebb's error falls as alpha^(-1/2)", 0.4, 0.6, "Vallet 1989", null="untrained"),
        Claim("trained_exponent", "that of a trained student as 1 / alpha", 0.85, 1.15, "Seung et al. 1992", null="untrained"),
    ),  # fmt: skip
)
