"""A rule: descent along the sign of the gradient."""

import jax
import jax.numpy as jnp
import optax

from jaxscale import record


@record
class SignDescent:
    """theta <- theta - rate (sign(g) + decay theta).

    Attributes:
      decay: weight decay.
    """

    decay: float = 0.0

    def optimizer(self, rate):
        """Return the optax transformation at a rate, a number or a function of the step."""
        signs = optax.stateless(lambda grads, _: jax.tree.map(jnp.sign, grads))
        return optax.chain(signs, optax.add_decayed_weights(self.decay), optax.scale_by_learning_rate(rate))


RULE = SignDescent(decay=0.1)
