"""How things move. One file, one rule of motion, or one wrapper around any of them.

A system is a record with `sample`, `init`, `step` and `observe` (see `jaxscale.protocol`). `Descent` makes one of a model;
`Until`, `Tracked`, `Watched`, `Rebalanced` and `Transferred` wrap one; `Ising`, `OrnsteinUhlenbeck` and `PopulationChain` are
systems by themselves. `rules` has the updates that `Descent` takes beside those of optax.
"""

from jaxscale.lazy import lazily

_PUBLIC = {
    "Descent": "jaxscale.dynamics.descent",
    "Optax": "jaxscale.dynamics.descent",
    "sgd": "jaxscale.dynamics.batching",
    "Minibatch": "jaxscale.dynamics.batching",
    "Schedule": "jaxscale.dynamics.schedules",
    "Plain": "jaxscale.dynamics.gradients",
    "Sam": "jaxscale.dynamics.gradients",
    "Noisy": "jaxscale.dynamics.gradients",
    "RmsNormalised": "jaxscale.dynamics.gradients",
    "AdamW": "jaxscale.dynamics.rules.adamw",
    "Lion": "jaxscale.dynamics.rules.lion",
    "Momentum": "jaxscale.dynamics.rules.momentum",
    "Newton": "jaxscale.dynamics.newton",
    "ScaledGD": "jaxscale.dynamics.scaled_gd",
    "Solved": "jaxscale.dynamics.solved",
    "PerceptronEvents": "jaxscale.dynamics.events",
    "Until": "jaxscale.dynamics.until",
    "below": "jaxscale.dynamics.until",
    "above": "jaxscale.dynamics.until",
    "fitted": "jaxscale.dynamics.until",
    "Tracked": "jaxscale.dynamics.tracked",
    "Watched": "jaxscale.dynamics.watched",
    "Rebalanced": "jaxscale.dynamics.rebalanced",
    "rebalance": "jaxscale.dynamics.rebalanced",
    "Transferred": "jaxscale.dynamics.transferred",
    "PromptTransfer": "jaxscale.dynamics.prompt_transfer",
    "Ising": "jaxscale.dynamics.ising",
    "OrnsteinUhlenbeck": "jaxscale.dynamics.ornstein_uhlenbeck",
    "PopulationChain": "jaxscale.dynamics.chain",
}

__all__ = list(_PUBLIC)
__getattr__, __dir__ = lazily(__name__, _PUBLIC)
