# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Interventions
#
# Clamp, scale, ablate or read any activation, during training or afterwards. Masks are traced: an intervention is a lane of the
# sweep, beside the lanes that nobody touched.

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
import numpy as np

import jaxscale as js
from jaxscale.data.relabel import Relabelling
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.dynamics.descent import Descent
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.language.taps import Tap
from jaxscale.plot import figures

SMOKE = bool(os.environ.get("JAXSCALE_SMOKE"))

# %% [markdown]
# ## Sites
# A tap has a mask, a value, a scale and a gradient factor. Names are offered when one is wrong.

# %%
world = Relabelling(classes=16, labels=4)
network = Decoder(vocabulary=world.vocabulary, context=5, mixer=Attention(heads=2), width=16, hidden=0)
model = LanguageModel(world=world, network=network, batch=16, evaluation=64)
data = model.sample(jax.random.key(0))
params = model.init(jax.random.key(1), data)
logits, sites = model.apply(params, data.test.tokens)
print(sorted(sites))
silent, _ = model.apply(params, data.test.tokens, {"layer1/mixer": Tap(scale=0.0)})
print("ablating a layer moves the logits by", float(jnp.abs(silent - logits).max()))
try:
    model.apply(params, data.test.tokens, {"layer7/pattern": Tap()})
except ValueError as error:
    print(error)

# %% [markdown]
# ## A clamp through training
# A head of the first layer is held on the previous token, with a strength that is an axis. (Singh et al. 2024; the study
# `induction_head` does this at size.)

# %%
back = jnp.eye(5, k=-1).at[0, 0].set(1.0)
first = jnp.array([1.0, 0.0])[:, None, None]


def experiment(strength):
    taps = {"layer0/pattern": Tap(mask=strength * first, value=back)}
    tapped = LanguageModel(world=world, network=network, batch=16, evaluation=128, taps=taps)
    return Descent(model=tapped, learning_rate=1e-3, rule=AdamW())


runs = js.sweep(
    experiment, grid={"strength": [0.0, 0.5, 1.0]}, seeds=2 if SMOKE else 6, times=np.arange(0, 41 if SMOKE else 1001, 20),
    width=3, share="strength",
)  # fmt: skip
axes = figures.curves((1 - runs["error"]).rename("accuracy").isel(time=slice(1, None)), x="time", hue="strength", log="")
axes.figure
