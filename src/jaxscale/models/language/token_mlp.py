"""A perceptron on token sequences of fixed length: the small network of parity, hierarchy and grokking worlds."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxscale.models.language.decoder import dense, readout
from jaxscale.models.language.taps import Sites, Taps

ACTIVATIONS = {"relu": jax.nn.relu, "square": jnp.square}


class TokenMlp(nn.Module):
    """A perceptron on one-hot tokens of every place: `depth` hidden layers, logits of one answer, (B, T) to (B, 1, outputs).

    The first layer gathers a row per token, the same map as a matrix on one-hot inputs. Sites: "layer{i}", "logits".

    Attributes:
      vocabulary: V.
      context: T, exactly.
      width: of the hidden layers.
      depth: number of hidden layers.
      outputs: number of answers; the vocabulary if 0.
      activation: "relu" or "square".
      mup: maximal-update parametrisation, relative to `base`.
      base: width at which it is the standard parametrisation.
      scale: of the weights at the start; below one learns features more.
    """

    vocabulary: int
    context: int
    width: int = 64
    depth: int = 1
    outputs: int = 0
    activation: str = "relu"
    mup: bool = False
    base: int = 64
    scale: float = 1.0

    def check(self) -> None:
        """Raise unless the activation is known and there is a layer."""
        if self.activation not in ACTIVATIONS or self.depth < 1:
            raise ValueError(
                f"TokenMlp.activation must be in {sorted(ACTIVATIONS)} and depth >= 1; got {self.activation!r}, {self.depth}."
            )

    @nn.compact
    def __call__(self, tokens: jax.Array, taps: Taps | None = None) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Return (B, 1, outputs) logits of (B, T) tokens, and every site."""
        if tokens.shape[1] != self.context:
            raise ValueError(f"TokenMlp reads sequences of {self.context} tokens; got {tokens.shape[1]}.")
        sites, act = Sites(taps), ACTIVATIONS[self.activation]
        spread = nn.initializers.normal(self.scale / self.context**0.5)
        table_TVF = self.param("embed", spread, (self.context, self.vocabulary, self.width))
        x_BF = jnp.sum(table_TVF[jnp.arange(self.context)[None, :], tokens], axis=1)
        x_BF = sites("layer0", act(x_BF))
        for i in range(1, self.depth):
            x_BF = sites(f"layer{i}", act(dense(self.width, f"hidden{i}")(x_BF) * self.scale))
        logits_BV = readout(self.outputs or self.vocabulary, zero=self.mup)(x_BF) * self.scale
        if self.mup:
            logits_BV = logits_BV * (self.base / self.width) ** 0.5
        logits_BV = sites("logits", logits_BV)
        sites.check()
        return logits_BV[:, None, :], sites.seen
