# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # From a laptop to a pod
#
# One sweep, first here, then in parts, then on workers, with the same bits each time.

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("jaxscale") is None:  # Colab's own JAX is kept: jaxscale asks for no newer one
    subprocess.run([sys.executable, "-m", "pip", "install", "-q", "jaxscale"], check=True)

# %%
import os
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np

import jaxscale as js
from jaxscale import Until, fitted, sgd
from jaxscale.models.perceptron import Perceptron
from jaxscale.engine.audit.verification import verify
from jaxscale.engine.listeners import OnCells
from jaxscale.engine.audit.growth import top_up

SMALL = "JAXSCALE_SMOKE" in os.environ  # the tests run it small
folder = tempfile.mkdtemp()


def experiment(alpha, temperature):
    return Until(sgd(Perceptron(d=16, alpha=alpha, alpha_max=4.0), temperature=temperature), when=fitted)


sweep = dict(
    grid={"alpha": [1.0, 2.0, 4.0], "temperature": np.geomspace(1, 64, 3)},
    seeds=16 if SMALL else 512,
    times=js.log_times(3_000 if SMALL else 40_000),
    width=16,
)

# %% [markdown]
# ## The plan
# What will be compiled, how much memory a run takes, and the longest it can last.

# %%
print(js.plan(experiment, **sweep))

# %% [markdown]
# ## Here
# Stopped runs leave and the others close ranks: `useful_share` is what the paid steps were worth.

# %%
runs = js.sweep(experiment, **sweep, store=f"{folder}/here")
print({name: runs.attrs[name] for name in ("compile_seconds", "run_seconds", "useful_share", "width")})

# %% [markdown]
# ## In parts
# Each part could be a job of an array on another machine that sees the folder. The last one to finish has everything.

# %%
for i in range(3):
    parts = js.sweep(experiment, **sweep, store=f"{folder}/parts", part=(i, 3), progress=False)
print("the same bits:", parts.equals(runs))

# %% [markdown]
# ## On workers
# Anything that submits futures. On a cluster it is a Dask client, whose workers may be killed at any moment.

# %%
with ThreadPoolExecutor(2) as executor:
    farmed = js.sweep(experiment, **sweep, store=f"{folder}/farmed", executor=executor, progress=False)
print("the same bits:", farmed.equals(runs))

# %% [markdown]
# ## More seeds later, and doubt
# Only the new seeds run; finished runs are handed to a function as they come. Then every file is hashed again, and some runs
# are made again and compared bit for bit.

# %%
finished = []
more = top_up(experiment, f"{folder}/here", seeds=2 * sweep["seeds"], listeners=[OnCells(finished.append)])
print(more.attrs["runs_computed"], "new runs;", "old ones unchanged:", more.isel(seed=slice(sweep["seeds"])).equals(runs))
print(verify(f"{folder}/here", experiment))

# %% [markdown]
# ## A million seeds
# Moments over seeds are taken on the devices as runs are recorded; storage is that of the cells.

# %%
moments = js.sweep(experiment, **(sweep | {"seeds": 200 if SMALL else 10_000}), reduce="quantiles", progress=False)
last = moments.isel(time=-1, alpha=-1)
for temperature in last["temperature"].values:
    here = last.sel(temperature=temperature)
    mean, std = (float(here["norm"].sel(statistic=name)) for name in ("mean", "std"))
    median = float(here["norm_quantile"].sel(quantile=0.5))
    print(f"T={temperature:.3g}: norm {mean:.3g}, spread {std:.2g}, median {median:.3g}")

# %% [markdown]
# ## One run, step by step
# The same bits again, now with every step observed.

# %%
cell = {"alpha": 4.0, "temperature": 8.0, "seed": 3}
steps = js.replay(experiment, runs, cell, times=range(200))
print(steps["norm"].values[:8])

# %% [markdown]
# ## A pod that is not there
# With `pip install 'jaxscale[tpu]'`, the TPU's own compiler says what fits, without a TPU:
#
# ```
# jaxscale plan sgd_noise --topology v5e:16x16
# ```
#
# On the pod itself, call `jax.distributed.initialize()` after `import jaxscale`, and run the same sweep in every process.
