"""A mixture of perceptrons: each token goes to the experts that a router likes best for it.

Shapes in names: B batch, T context, D width, E experts, F hidden width of each.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxscale.records import record, static


@record
class Experts:
    """A mixture of perceptrons: each token goes to the `top` experts that its router likes best, gates summing to one.

    Attributes:
      up: (E, D, F).
      down: (E, F, D).
      router: (D, E).
      top: static.

    References:
      Komatsuzaki et al. 2023, Sparse upcycling, arXiv:2212.05055; Zhang et al. 2024, AquilaMoE, arXiv:2408.06567.
    """

    up: Any
    down: Any
    router: Any
    top: int = static(default=2)

    def __call__(self, x: jax.Array) -> jax.Array:
        """Return (n, D) outputs of (n, D) inputs; all experts are computed, which is cheapest while they are small."""
        scores = x @ self.router
        best, which = jax.lax.top_k(scores, self.top)
        gates = jnp.sum(jax.nn.softmax(best, axis=-1)[..., None] * jax.nn.one_hot(which, scores.shape[-1]), axis=-2)
        hidden = jax.nn.gelu(jnp.einsum("nd,edf->nef", x, self.up))
        return jnp.einsum("nef,efd,ne->nd", hidden, self.down, gates)


class ExpertPerceptron(nn.Module):
    """The perceptron of a decoder's block, as a mixture of experts.

    Attributes:
      experts: E.
      top: experts that each token goes to.
      hidden: F.
    """

    experts: int
    top: int
    hidden: int

    @nn.compact
    def __call__(self, x_BTD: jax.Array) -> jax.Array:
        """Return what is added to the stream, (B, T, D)."""
        width = x_BTD.shape[-1]
        fan_in = nn.initializers.variance_scaling(1.0, "fan_in", "normal", batch_axis=(0,))
        up_EDF = self.param("up", fan_in, (self.experts, width, self.hidden))
        down_EFD = self.param("down", fan_in, (self.experts, self.hidden, width))
        router_DE = self.param("router", nn.initializers.normal(0.02), (width, self.experts))
        mixture = Experts(up=up_EDF, down=down_EFD, router=router_DE, top=self.top)
        return mixture(x_BTD.reshape(-1, width)).reshape(x_BTD.shape)
