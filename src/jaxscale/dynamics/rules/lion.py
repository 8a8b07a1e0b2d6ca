"""Lion: the sign of an interpolated momentum."""

import optax

from jaxscale.models.language.tensor_roles import shrunk
from jaxscale.records import record


@record
class Lion:
    """Update by theta <- theta - rate (sign(b1 m + (1 - b1) g) + decay theta), where m <- b2 m + (1 - b2) g.

    Attributes:
      b1: interpolation of the update.
      b2: decay of the momentum.
      decay: weight decay, of all but poles and time steps of state spaces.

    References:
      Chen et al. 2023, Symbolic discovery of optimization algorithms, arXiv:2302.06675.
    """

    b1: float = 0.9
    b2: float = 0.99
    decay: float = 0.0

    def check(self):
        """Raise unless both decays lie in [0, 1) and the weight decay is not negative."""
        if not (0 <= self.b1 < 1 and 0 <= self.b2 < 1 and self.decay >= 0):
            raise ValueError(f"Lion needs 0 <= b1, b2 < 1 and decay >= 0; got {self.b1}, {self.b2}, {self.decay}.")

    def optimizer(self, rate: optax.ScalarOrSchedule) -> optax.GradientTransformation:
        """Return the optax transformation at a rate, which may be traced."""
        decay = optax.stateless(lambda updates, params: shrunk(updates, params, self.decay))
        return optax.chain(optax.scale_by_lion(self.b1, self.b2), decay, optax.scale_by_learning_rate(rate))


RULE = Lion(decay=0.1)
