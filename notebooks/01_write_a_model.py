# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Write a model
#
# A model is four functions of ONE run: `sample` the frozen disorder, `init` the parameters, the `loss`, and what to
# `observe`. Batches of seeds, devices and chunks belong to the sweep.

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("jaxscale") is None:
    subprocess.check_call([sys.executable, "-m", "pip", "install", "-q", "jaxscale[plot]"])

# %%
import os

import jax
import jax.numpy as jnp

import jaxscale as js

print(jax.devices())
SMOKE = bool(os.environ.get("JAXSCALE_SMOKE"))

# %% [markdown]
# ## Linear regression
# Plain fields are traced and cost nothing to sweep. `static()` fields fix a shape and cost one compile per value.


# %%
@js.record
class Regression:
    """Learn a random direction from `samples` noisy linear measurements.

    Attributes:
      d: input dimension. Static.
      samples: measurements. Static.
      noise: standard deviation of the measurement noise.
    """

    d: int = js.static()
    samples: int = js.static()
    noise: float = 0.5

    def sample(self, key):
        key_x, key_w, key_noise = jax.random.split(key, 3)
        x = jax.random.normal(key_x, (self.samples, self.d)) / jnp.sqrt(self.d)
        teacher = jax.random.normal(key_w, (self.d,))
        return x, x @ teacher + self.noise * jax.random.normal(key_noise, (self.samples,)), teacher

    def init(self, key, data):
        return jnp.zeros(self.d)

    def loss(self, w, data, key):
        x, y, _ = data
        return jnp.mean((x @ w - y) ** 2) / 2

    def observe(self, w, data):
        return {"loss": self.loss(w, data, None), "error": jnp.mean((w - data[2]) ** 2)}


# %% [markdown]
# ## Check it
# The same contract tests that the package runs on its own models: pure, traced once, vmap equals a loop, finite gradients.

# %%
js.check_model(Regression(d=4, samples=8))

# %% [markdown]
# ## Sweep it
# The test error after long training peaks where measurements and unknowns are equal in number: double descent.

# %%
d = 16


def experiment(noise, *, samples):
    return js.Descent(model=Regression(d=d, samples=samples, noise=noise), learning_rate=0.15 * samples)


samples = (8, 16, 32) if SMOKE else (4, 8, 12, 16, 20, 24, 32, 64)
runs = js.sweep(
    experiment,
    grid={"noise": [0.1, 0.5]},
    static={"samples": samples},
    seeds=4 if SMOKE else 64,
    times=js.log_times(100 if SMOKE else 3000),
)

# %%
from jaxscale.plot import figures

last = runs["error"].isel(time=-1)
axes = figures.curves(last, x="samples", hue="noise", title="test error after long training: a peak at samples = d")
axes.axvline(d, ls=":", lw=1)
axes.figure

# %% [markdown]
# A traced value in a static field is refused on the spot, with the remedy:

# %%
try:
    js.sweep(lambda samples: js.Descent(Regression(d=d, samples=samples), learning_rate=1), grid={"samples": [8]}, times=[10])
except TypeError as error:
    print(error)
