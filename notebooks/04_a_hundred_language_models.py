# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A hundred language models
#
# Small sequence models on sources whose entropy is known, dozens at a time in one program. Excess loss needs no fitted floor,
# and every error bar is over seeds.

# %%
import importlib.util
import subprocess
import sys

if importlib.util.find_spec("jaxscale") is None:
    subprocess.check_call([sys.executable, "-m", "pip", "install", "-q", "jaxscale[plot]"])

# %%
import os

import numpy as np

import jaxscale as js
from jaxscale.data.markov import Markov
from jaxscale.dynamics.rules.adamw import AdamW
from jaxscale.dynamics.schedules import Schedule
from jaxscale.dynamics.descent import Descent
from jaxscale.models.language.attention import Attention
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.language.recurrent import QuasiLstm
from jaxscale.phase.first_passage import time_to
from jaxscale.plot import figures

SMOKE = bool(os.environ.get("JAXSCALE_SMOKE"))
STEPS = 60 if SMOKE else 600

# %% [markdown]
# ## A world, a network, a rule
# A world draws sequences on the device. A network is any flax module. Learning rate, warm-up, decay are traced: sweeping them
# compiles nothing.

# %%
MIXERS = {"attention": Attention(heads=2), "quasi-LSTM": QuasiLstm()}


def experiment(learning_rate, *, mixer):
    world = Markov(vocabulary=16, context=16)
    network = Decoder(vocabulary=16, context=16, mixer=MIXERS[mixer], width=16, depth=1)
    model = LanguageModel(world=world, network=network, batch=16, evaluation=64)
    schedule = Schedule(shape="cosine", steps=float(STEPS), warmup=0.05 * STEPS)
    return Descent(model=model, learning_rate=learning_rate, rule=AdamW(decay=0.01), schedule=schedule)


rates = [1e-3, 1e-2] if SMOKE else 10.0 ** np.arange(-3.5, -0.9, 0.5)
runs = js.sweep(
    experiment,
    grid={"learning_rate": rates},
    static={"mixer": ("attention", "quasi-LSTM")},
    seeds=2 if SMOKE else 8,
    times=np.linspace(0, STEPS, 13).round().astype(int),
    width=2 if SMOKE else 4,
)
print(runs)

# %%
axes = figures.curves(runs["excess"].isel(time=-1), x="learning_rate", hue="mixer")
axes.figure

# %% [markdown]
# ## Which learns first?
# `time_to` gives first-passage times, infinite where a run never gets there: medians respect that.

# %%
steps = time_to(runs["excess"], 0.5, above=False)
print(steps.median("seed"))
