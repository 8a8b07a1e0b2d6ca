"""Written by `make stubs` from `_PUBLIC`: what this package hands on, for type checkers and editors."""

from jaxscale.dynamics.batching import Minibatch as Minibatch
from jaxscale.dynamics.batching import sgd as sgd
from jaxscale.dynamics.chain import PopulationChain as PopulationChain
from jaxscale.dynamics.descent import Descent as Descent
from jaxscale.dynamics.descent import Optax as Optax
from jaxscale.dynamics.events import PerceptronEvents as PerceptronEvents
from jaxscale.dynamics.gradients import Noisy as Noisy
from jaxscale.dynamics.gradients import Plain as Plain
from jaxscale.dynamics.gradients import RmsNormalised as RmsNormalised
from jaxscale.dynamics.gradients import Sam as Sam
from jaxscale.dynamics.ising import Ising as Ising
from jaxscale.dynamics.newton import Newton as Newton
from jaxscale.dynamics.ornstein_uhlenbeck import OrnsteinUhlenbeck as OrnsteinUhlenbeck
from jaxscale.dynamics.prompt_transfer import PromptTransfer as PromptTransfer
from jaxscale.dynamics.rebalanced import Rebalanced as Rebalanced
from jaxscale.dynamics.rebalanced import rebalance as rebalance
from jaxscale.dynamics.rules.adamw import AdamW as AdamW
from jaxscale.dynamics.rules.lion import Lion as Lion
from jaxscale.dynamics.rules.momentum import Momentum as Momentum
from jaxscale.dynamics.scaled_gd import ScaledGD as ScaledGD
from jaxscale.dynamics.schedules import Schedule as Schedule
from jaxscale.dynamics.solved import Solved as Solved
from jaxscale.dynamics.tracked import Tracked as Tracked
from jaxscale.dynamics.transferred import Transferred as Transferred
from jaxscale.dynamics.until import Until as Until
from jaxscale.dynamics.until import above as above
from jaxscale.dynamics.until import below as below
from jaxscale.dynamics.until import fitted as fitted
from jaxscale.dynamics.watched import Watched as Watched

__all__ = [
    "Descent",
    "Optax",
    "sgd",
    "Minibatch",
    "Schedule",
    "Plain",
    "Sam",
    "Noisy",
    "RmsNormalised",
    "AdamW",
    "Lion",
    "Momentum",
    "Newton",
    "ScaledGD",
    "Solved",
    "PerceptronEvents",
    "Until",
    "below",
    "above",
    "fitted",
    "Tracked",
    "Watched",
    "Rebalanced",
    "rebalance",
    "Transferred",
    "PromptTransfer",
    "Ising",
    "OrnsteinUhlenbeck",
    "PopulationChain",
]
