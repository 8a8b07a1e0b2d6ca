"""Adam with decoupled weight decay, coupled to the learning rate or independent of it."""

import jax
import jax.numpy as jnp
import optax

from jaxscale.models.language.tensor_roles import DECAYED, roles
from jaxscale.records import record, static


@record
class AdamW:
    """Update by theta <- theta - rate (Adam + decay theta); with an independent decay, theta - rate Adam - (rate / peak) decay
    theta.

    Attributes:
      b1: decay of the first moment.
      b2: decay of the second moment.
      epsilon: added to the root of the second moment.
      decay: weight decay lambda.
      peak: peak learning rate, by which an independent decay is divided; 0 couples the decay to the rate.
      matrices_only: decay leaves of two or more axes only, and no poles and time steps of state spaces. Static.

    References:
      Loshchilov & Hutter 2019, arXiv:1711.05101; Wortsman et al. 2023, arXiv:2309.14322, section 3.2.2 (independent).
    """

    b1: float = 0.9
    b2: float = 0.95
    epsilon: float = 1e-8
    decay: float = 0.0
    peak: float = 0.0
    matrices_only: bool = static(default=True)

    def check(self):
        """Raise unless the decays of the moments lie in [0, 1), `epsilon` is positive and the weight decay not negative."""
        if not (0 <= self.b1 < 1 and 0 <= self.b2 < 1 and self.epsilon > 0 and self.decay >= 0 and self.peak >= 0):
            raise ValueError(f"AdamW needs 0 <= b1, b2 < 1, epsilon > 0, decay >= 0, peak >= 0; got {self}.")

    def optimizer(self, rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
        """Return the optax transformation at a rate, which may be traced."""
        independent = self.peak > 0
        decay = self.decay / jnp.where(independent, self.peak, 1.0)

        def decayed(updates, params):
            def one(update, leaf, role):
                return update + decay * leaf if role.kind in DECAYED or not self.matrices_only else update

            return jax.tree.map(one, updates, params, roles(params))

        shrink = optax.stateless(decayed)
        return optax.chain(optax.scale_by_adam(self.b1, self.b2, self.epsilon), shrink, optax.scale_by_learning_rate(rate))


RULE = AdamW(decay=0.1)
