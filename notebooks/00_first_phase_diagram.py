# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A first phase diagram
#
# One page: a learning rule, thousands of runs in one program, a phase diagram with an error band, an exponent with
# intervals. On Colab choose *Runtime > Change runtime type* for a TPU or GPU; the notebook runs on a CPU too.

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("jaxscale") is None:  # Colab's own JAX is kept: jaxscale asks for no newer one
    subprocess.check_call([sys.executable, "-m", "pip", "install", "-q", "jaxscale[plot,data]"])

# %%
import os

import jax
import numpy as np

import jaxscale as js  # before anything else uses JAX: it claims the CPU cores

print(jax.devices())  # no TPU or GPU in the list? The runtime has none, and everything below runs on the CPU.
SMOKE = bool(os.environ.get("JAXSCALE_SMOKE"))  # set by the tests

# %% [markdown]
# ## The experiment
# A perceptron whose data are thin near the decision boundary, trained by SGD until every point is fitted. The event-driven
# rule skips the steps that change nothing, exactly in law, so the noise-dominated corner costs no more than the others.

# %%
from jaxscale.dynamics.events import PerceptronEvents
from jaxscale.models.perceptron import Perceptron


def experiment(batch, learning_rate):
    model = Perceptron(d=32, alpha=8.0, chi=1.0)  # P = alpha d = 256 points
    return PerceptronEvents(model=model, temperature=learning_rate / batch, batch=batch)


grid = {"batch": 2.0 ** np.arange(0, 9, 4 if SMOKE else 1), "learning_rate": 2.0 ** np.arange(2, 12, 3 if SMOKE else 1)}
arguments = dict(grid=grid, seeds=4 if SMOKE else 16, times=js.log_times(100_000, per_decade=4))
print(js.plan(experiment, **arguments))  # what it will take, before anything runs

# %% [markdown]
# ## The sweep
# Every grid point and seed in one compiled program. Give `store=` a folder on a mounted drive and a disconnected session
# goes on where it was: run the cell again.

# %%
store = "/content/drive/MyDrive/jaxscale/first" if os.path.isdir("/content/drive/MyDrive") else "runs/first"
runs = js.sweep(experiment, **arguments, store=None if SMOKE else store)
runs

# %% [markdown]
# ## The diagram
# Censored runs are left out and never averaged as if they had finished. The line is where the solution's norm passes twice
# the value that gradient descent finds, with its 95 % band over seeds.

# %%
from jaxscale.plot import figures

last = runs.isel(time=-1)
norm = last["norm"].where(last["stopped"])
calm = float(norm.isel(batch=-1, learning_rate=0).mean())
onset = js.boundary(norm, along="learning_rate", level=2 * calm, scale="log")
axes = figures.phase_diagram(norm.mean("seed", keep_attrs=True), x="batch", y="learning_rate", band=onset, log_colour=True)
axes.figure

# %% [markdown]
# ## An exponent
# In the noise-dominated corner the norm grows with the temperature.

# %%
from jaxscale.fitting.laws import power

hot = norm.isel(batch=0).rename(learning_rate="temperature").isel(temperature=slice(1, None))
growth = js.fit(power.LAW, hot, x="temperature")
print(growth)

# %% [markdown]
# Next: `01_write_a_model`, or `jaxscale run sgd_noise --scale laptop` for the whole study with its claims.
