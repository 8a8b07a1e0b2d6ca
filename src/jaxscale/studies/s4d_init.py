"""Which start of a diagonal state space model can remember? A delayed bump, fitted by its readout alone, for every start; and
a layer trained to say tokens again some places later.

The imaginary parts matter: evenly spaced or inverse ones span a delay, real ones and random ones do not.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.data.delay import Delay
from jaxscale.dynamics.descent import Descent
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.dynamics.solved import Solved
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.language.s4d import INITS, S4D, initial_poles
from jaxscale.plot import figures
from jaxscale.records import record, static
from jaxscale.study import Claim, Found, Study
from jaxscale.study.controls import shuffled

GOOD, BAD = ("lin", "inv", "legs"), ("real", "random")


class Data(NamedTuple):
    """The basis, and the bump that is fitted with it."""

    basis: jax.Array  # (points, 2 modes), real and imaginary parts of the modes on a grid of times
    bump: jax.Array  # (points,)


@record
class DelayKernel:
    """Fit sum_n c_n exp(a_n t), t in 0..1, by least squares to a bump of width sigma at delay tau.

    Attributes:
      start: of the poles a_n. Static.
      modes: N / 2. Static.
      delay: tau.
      sigma: width of the bump.
      ridge: of the fit.
      points: of the grid. Static.

    References:
      Gu, Gupta, Goel & Re 2022, arXiv:2206.11893, section 4.
    """

    start: str = static()
    modes: int = static(default=32)
    delay: float = 0.3
    sigma: float = 0.02
    ridge: float = 1e-5
    points: int = static(default=512)

    units = {"relative_error": ("norm of what is left over the bump's norm", "1")}

    def check(self):
        """Raise unless the start is known and the bump lies inside."""
        S4D(start=self.start).check_width(1)
        if not 0 < self.delay < 1 or not self.sigma > 0:
            raise ValueError(f"DelayKernel needs 0 < delay < 1 and sigma > 0; got {self.delay} and {self.sigma}.")

    def sample(self, key: jax.Array) -> Data:
        """Compute modes and bump; random starts draw their imaginary parts from `key`."""
        poles = jnp.asarray(initial_poles(self.start, self.modes, key))
        t = jnp.linspace(0.0, 1.0, self.points)
        waves = jnp.exp(poles[None, :] * t[:, None])
        bump = jnp.exp(-((t - self.delay) ** 2) / (2 * self.sigma**2))
        return Data(jnp.concatenate([waves.real, waves.imag], axis=1), bump)

    def solution(self, data: Data) -> jax.Array:
        """Return (2 modes,) coefficients, by singular values: the modes are nearly dependent."""
        u, s, vt = jnp.linalg.svd(data.basis, full_matrices=False)
        return vt.T @ (s / (s**2 + self.ridge * s[0] ** 2) * (u.T @ data.bump))

    def observe(self, w: jax.Array, data: Data) -> dict[str, Any]:
        """Return the share of the bump that is missed."""
        return {"relative_error": jnp.linalg.norm(data.basis @ w - data.bump) / jnp.linalg.norm(data.bump)}


def fitted_bump(delay, sigma, *, start):
    """Solve for the best kernel that one start can make."""
    return Solved(model=DelayKernel(start=start, delay=delay, sigma=sigma))


def trained(delay, *, start, length):
    """Train one layer of 16 channels and states of size 32 by Adam on tokens that are asked for again after the delay."""
    network = Decoder(vocabulary=4, context=length, mixer=S4D(start=start), width=16, depth=1, hidden=0)
    world = Delay(vocabulary=4, context=length, delay=delay)
    return Descent(model=LanguageModel(world=world, network=network, batch=8, evaluation=32), learning_rate=1e-2, rule=AdamW())


def _bump(delays, sigmas, seeds, width):
    grid = {"delay": delays, "sigma": sigmas}
    return dict(grid=grid, static={"start": INITS}, seeds=seeds, times=[0], width=width)


def _trained(delays, starts, length, seeds, last, width):
    static = {"start": starts, "length": (length,)}
    return dict(grid={"delay": delays}, static=static, seeds=seeds, times=[0, last], width=width)


SCALES = {
    "smoke": {
        "bump": _bump([0.3, 0.6], [0.02], 4, 4),
        "trained": _trained([8.0], ("lin", "real"), 64, 2, 200, 2),
    },
    "laptop": {
        "bump": _bump(np.linspace(0.1, 0.9, 9), [0.02, 0.05], 16, 4),
        "trained": _trained([16.0, 32.0, 64.0], INITS, 256, 3, 300, 9),
    },
    "accelerator": {
        "bump": _bump(np.linspace(0.05, 0.95, 37), [0.01, 0.02, 0.05], 256, None),
        "trained": _trained(np.geomspace(16, 512, 6), INITS, 1024, 128, 10_000, None),
    },
}


def measure(runs):
    """Measure the starts' errors, the average over delays at the narrow bump, and how far training gets from each."""
    error = runs["bump"]["relative_error"].isel(time=0, sigma=0).mean("delay").transpose("start", "seed")
    good, bad = (error.sel(start=list(part)).values for part in (GOOD, BAD))
    found = {"ordering": Found.over(bad.min(axis=0) / good.max(axis=0), "best of real and random over worst of the others")}
    for start in error["start"].values:
        of, note = error.sel(start=start), "relative error, average over delays"
        found[str(start)] = Found.over(of, note) if start == "random" else Found.exact(float(of[0]), note)  # the only one drawn
    loss = runs["trained"]["loss"].isel(time=-1, length=0).mean("delay", skipna=False).transpose("start", "seed")
    good, bad = (loss.sel(start=[s for s in part if s in loss["start"]]).values for part in (GOOD, BAD))
    losses = ", ".join(f"{s} {float(row.mean()):.2f}" for s, row in zip(loss["start"].values, loss))
    found["trained"] = Found.over(bad.min(axis=0) - good.max(axis=0), f"worst pair, nats, average over delays; {losses}")
    return found


def draw(runs, found):
    """Draw errors against the delay."""
    error = runs["bump"]["relative_error"].isel(time=0, sigma=0)
    figure, axes = figures.new_axes()
    figures.curves(error, x="delay", hue="start", axes=axes, log="y", title=f"bump of width {float(error['sigma']):.2f}")
    loss = runs["trained"]["loss"].isel(time=-1, length=0)
    after, axes = figures.new_axes()
    figures.curves(loss, x="delay", hue="start", axes=axes, log="x", title="after training")
    return {"bump": figure, "trained": after}


STUDY = Study(
    name="s4d_init",
    question="which start of a diagonal state space model spans a delay?",
    paper="Gu, Gupta, Goel & Re 2022, On the parameterization and initialization of diagonal SSMs, arXiv:2206.11893",
    experiments={"bump": fitted_bump, "trained": trained},
    scales=SCALES,
    measure=measure,
    draw=draw,
    world="kernels of 32 pairs of modes fitted to a bump, and one layer of width 16 that says tokens again",
    controls={"starts exchanged": shuffled("start")},
    symbols={"delay": r"delay $\tau$"},
    claims=(
        Claim("ordering", "the start is critical: errors of real and random over those of lin, inv and legs", 3, np.inf,
              "abstract; section 4 and table 5", null="starts exchanged"),
        Claim("lin", "S4D-Lin spans the delay: relative error", 0, 0.15, "their section 4", null="starts exchanged"),
        Claim("real", "S4D-Real does not", 0.4, 1.05, "their section 4", null="starts exchanged"),
        Claim("trained", "and after training on delayed tokens lin, inv and legs are still ahead, nats", 0.3, np.inf,
              "their table 5", null="starts exchanged"),
    ),  # fmt: skip
)
