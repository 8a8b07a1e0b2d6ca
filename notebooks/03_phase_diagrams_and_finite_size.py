# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Phase diagrams and finite size
#
# A threshold that moves with the size is not a threshold yet. Three sizes of a perceptron, the share of runs that fit their
# examples, and what they say together.

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("jaxscale") is None:
    subprocess.check_call([sys.executable, "-m", "pip", "install", "-q", "jaxscale[plot,report]"])

# %%
import os

import numpy as np
import xarray

import jaxscale as js
from jaxscale.phase.collapsing import collapse
from jaxscale.phase.collapse_quality import gaussian_process
from jaxscale.phase.success import success_boundary
from jaxscale.phase.transitions import transition
from jaxscale.plot import scaling
from jaxscale.theory import cover

SMOKE = bool(os.environ.get("JAXSCALE_SMOKE"))

# %% [markdown]
# ## Cover's function: the answer is known
# Can random labels of P points in N dimensions be realised by a perceptron? The probability is exact; a seed is one labelling.

# %%
sizes, alpha = np.array([64, 128, 256]) if SMOKE else np.array([64, 128, 256, 512]), np.arange(1.625, 2.38, 0.0625)
probability = np.array([cover.separable(np.round(alpha * n), n) for n in sizes])
seeds = np.random.default_rng(0).random((*probability.shape, 100 if SMOKE else 400)) < probability[..., None]
runs = xarray.DataArray(seeds.astype(float), {"N": sizes.astype(float), "alpha": alpha}, ("N", "alpha", "seed"), "separable")

# %%
found = collapse(runs, size="N", control="alpha", exponent=0, degree=6)
print(found)
print(
    gaussian_process(
        found.size,
        found.control,
        found.value,
        found.error,
        start={name: found[name].value for name in ("threshold", "nu", "exponent")},
        fixed=True,
    )
)
scaling.collapse_pair(found, control="alpha", value="separable")[0].figure

# %% [markdown]
# The boundary of each size, with its band:

# %%
print(success_boundary(runs.sum("seed"), runs.count("seed"), along="alpha").to_dataframe())

# %% [markdown]
# ## A sweep of our own
# The norm of a perceptron at the end of noisy SGD: which kind of transition is it from calm to noisy?

# %%
from jaxscale import Until, fitted, sgd
from jaxscale.models.perceptron import Perceptron


def experiment(temperature, *, d):
    return Until(sgd(Perceptron(d=d, alpha=2.0), temperature=temperature), when=fitted)


made = js.sweep(
    experiment,
    grid={"temperature": np.geomspace(0.5, 64, 5 if SMOKE else 9)},
    static={"d": (8, 16)},
    seeds=32 if SMOKE else 128,
    times=js.log_times(2_000 if SMOKE else 20_000),
)
last = made.isel(time=-1)
kind = transition(last["norm"].where(last["stopped"]), size="d", control="temperature")
print(kind)
scaling.binder(kind).figure

# %% [markdown]
# ## Runs where the boundary is
# Which noise lets a perceptron fit within 300 steps? A grid of 21 x 29 cells would spend most of its runs where that is plain.
# `refine` asks for runs by what they can tell of the boundary, a round at a time, all rounds by one compiled program.

# %%
from jaxscale.phase.adaptive import refine
from jaxscale.plot import figures


def within_300(alpha, temperature):
    return Until(sgd(Perceptron(d=16, alpha=alpha, alpha_max=3.0), temperature=temperature), when=fitted)


found = refine(
    within_300,
    axes={"alpha": np.linspace(0.5, 3, 21), "temperature": np.geomspace(0.5, 64, 29)},
    log=("temperature",),
    observable="stopped",
    level=0.5,
    times=[0, 300],
    budget=256 if SMOKE else 2048,
)
seen = found.summary()
print(f"{int(seen['count'].sum())} runs in {int((seen['count'] > 0).sum())} of {seen['count'].size} cells")
print(found.boundary().to_dataframe())

# %%
figures.phase_diagram(seen["mean"].rename("share that fit"), x="alpha", y="temperature", band=found.boundary(), log="y").figure
