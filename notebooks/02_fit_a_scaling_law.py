# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Fit a scaling law
#
# To a table of somebody's runs, and to a sweep of your own: the same call, the same self-tests.

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("jaxscale") is None:
    subprocess.check_call([sys.executable, "-m", "pip", "install", "-q", "jaxscale[plot]"])

# %%
import os
from pathlib import Path

import numpy as np

import jaxscale as js
from jaxscale.fitting.comparison import compare
from jaxscale.fitting.laws import chinchilla, power, power_floor
from jaxscale.fitting.profiles import profile
from jaxscale.plot.fits import fit_page

SMOKE = bool(os.environ.get("JAXSCALE_SMOKE"))

# %% [markdown]
# ## A published table
# The compute and tokens at which models of nine sizes are optimal, by approach 1 of Hoffmann et al. 2022 (arXiv:2203.15556,
# table 3). The paper says that the size grows as compute to the .50: the sign is the law's, which is written for decay.

# %%
published = {
    "parameters": [4e8, 1e9, 1e10, 6.7e10, 1.75e11, 2.8e11, 5.2e11, 1e12, 1e13],
    "flops": [1.92e19, 1.21e20, 1.23e22, 5.76e23, 3.85e24, 9.90e24, 3.43e25, 1.27e26, 1.30e28],
}
print(js.fit(power, published, x="flops", y="parameters"))

# %% [markdown]
# ## A table of runs
# Columns `params`, `tokens`, `loss`. Without a file of your own the notebook draws runs from a known surface, with the
# heavy-tailed residuals that digitised losses have: you can see whether the truth lies in the intervals.

# %%
table = Path("runs.csv")
truth = {"A": 480.0, "B": 2100.0, "E": 1.82, "alpha": 0.348, "beta": 0.366}
if not table.exists():
    rng = np.random.default_rng(0)
    n, c = np.exp(rng.uniform(np.log(6e7), np.log(1.6e10), 240)), np.exp(rng.uniform(np.log(1e19), np.log(3e21), 240))
    loss = chinchilla.shape(n, c / 6 / n, **truth) * np.exp(0.004 * rng.standard_t(4, 240))
    rows = "\n".join(f"{a},{b},{y}" for a, b, y in zip(n, c / 6 / n, loss))
    table.write_text("params,tokens,loss\n" + rows)

# %%
found = js.fit(chinchilla, table, x={"N": "params", "D": "tokens"}, y="loss", huber=1e-3, resamples=100 if SMOKE else 4000)
print(found)

# %%
for name, estimate in found.optimum(5.76e23).items():  # Gopher's budget
    print(f"{name} {estimate}   95 % [{estimate.low:.3g}, {estimate.high:.3g}]")

# %% [markdown]
# Amplitudes are skewed: read their intervals, not value plus or minus error. What a paper has to say of a fit:

# %%
print(found.checklist())

# %%
profiles = {name: profile(found, name) for name in (["alpha"] if SMOKE else found.law.params)}
fit_page(found, profiles)

# %% [markdown]
# ## A sweep
# The norm a perceptron needs grows with the load. Seeds are resampled, and weigh each point by what they say of it.

# %%
from jaxscale import Until, fitted, sgd
from jaxscale.models.perceptron import Perceptron


def experiment(alpha, *, d):
    return Until(sgd(Perceptron(d=d, alpha=alpha), temperature=32.0), when=fitted)


runs = js.sweep(
    experiment,
    grid={"alpha": [0.5, 0.71, 1, 1.41, 2, 2.83, 4]},
    static={"d": (8,)},
    seeds=8 if SMOKE else 64,
    times=js.log_times(2_000 if SMOKE else 20_000),
)
last = runs.isel(time=-1, d=0)
norm = last["norm"].where(last["stopped"])
growth = js.fit(power, norm, x="alpha")
print(growth)

# %% [markdown]
# Is there a floor? The law that predicts the largest scales from the others comes first.

# %%
print(compare([power, power_floor], 1 / norm, x="alpha"))
