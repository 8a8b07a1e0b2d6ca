"""A causal decoder: embedding, `depth` blocks of a mixer and a perceptron, readout. The mixer is what architectures differ in.

Shapes in names: B batch, T context, D width, H heads, K head width, F hidden width of the perceptron, V vocabulary.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxscale.models.language.experts import ExpertPerceptron
from jaxscale.models.language.taps import Sites, Taps

POSITIONS = ("rope", "learned", "none")


class Decoder(nn.Module):
    """A pre-norm residual stack. `apply(params, tokens, taps)` gives (logits, {site: activation}).

    Sites: "embed", per layer i "layer{i}/mixer" and "layer{i}/mlp" (what is added to the residual stream), "layer{i}/out" (the
    stream after the block), "final" and "logits"; and what the mixer names, e.g. "layer{i}/pattern".

    Attributes:
      vocabulary: V.
      context: longest T.
      mixer: a Linen module called as mixer(x_BTD, sites, "layer{i}"); a template, cloned for every layer.
      width: D.
      depth: blocks.
      hidden: F over D; 0 leaves the perceptrons out.
      learned_positions: add a learned embedding of the position; mixers may know positions by themselves.
      tied: read out by the embedding's transpose, over sqrt(D).
      mup: maximal-update parametrisation: readout times base / width. Learning rates by role are the rule's business.
      base: width that muP's rates and readout are relative to.
      outputs: size of the readout; the vocabulary if 0.
      experts: perceptrons of each block that a router chooses among; 0 for one without a router.
      top: of them that each token goes to; with one, its gate is 1 whatever the router says, which then learns nothing.

    References:
      Radford et al. 2019 (pre-norm decoder). Yang & Hu 2022, arXiv:2203.03466, table 8 (muP).
    """

    vocabulary: int
    context: int
    mixer: Any
    width: int = 32
    depth: int = 2
    hidden: int = 4
    learned_positions: bool = False
    tied: bool = False
    mup: bool = False
    base: int = 32
    outputs: int = 0
    experts: int = 0
    top: int = 2

    def check(self) -> None:
        """Raise, before anything is traced, unless sizes, experts, muP and mixer agree."""
        if self.vocabulary < 2 or self.context < 1 or self.width < 1 or self.depth < 0:
            raise ValueError(
                f"Decoder needs vocabulary >= 2, context >= 1, width >= 1, depth >= 0; got {self.vocabulary}, {self.context}, "
                f"{self.width}, {self.depth}."
            )
        if self.experts and not (self.hidden and 1 <= self.top <= self.experts):
            raise ValueError(
                f"Decoder.experts are perceptrons: they need hidden >= 1 and 1 <= top <= experts; got experts={self.experts}, "
                f"top={self.top}, hidden={self.hidden}."
            )
        if self.experts and self.mup:
            raise ValueError(
                f"muP of a router is not known here; use Decoder(mup=False) or experts=0. Got experts={self.experts}, mup=True."
            )
        if self.tied and self.outputs not in (0, self.vocabulary):
            raise ValueError(f"Decoder.tied reads out over the vocabulary of {self.vocabulary}; got outputs={self.outputs}.")
        if getattr(self.mixer, "mup", self.mup) != self.mup:
            raise ValueError(
                f"muP is of the whole network: Decoder has mup={self.mup} and its {type(self.mixer).__name__} "
                f"mup={self.mixer.mup}; give both the same."
            )
        if self.mup and getattr(self.mixer, "base", self.base) != self.base:
            raise ValueError(
                f"muP has one base width: Decoder has base={self.base} and its {type(self.mixer).__name__} "
                f"base={self.mixer.base}; give both the same."
            )
        if hasattr(self.mixer, "check_width"):
            self.mixer.check_width(self.width)

    @nn.compact
    def __call__(self, tokens: jax.Array, taps: Taps | None = None) -> tuple[jax.Array, dict[str, jax.Array]]:
        """Return (B, T, V) logits of (B, T) tokens, and every site."""
        if tokens.shape[1] > self.context:
            raise ValueError(
                f"the sequences have {tokens.shape[1]} tokens and Decoder.context is {self.context}; make it as long as them."
            )
        sites = Sites(taps)
        embedding = self.param("embed", nn.initializers.normal(1.0), (self.vocabulary, self.width))
        x_BTD = embedding[tokens]
        if self.learned_positions:
            positions = self.param("positions", nn.initializers.normal(0.1), (self.context, self.width))
            x_BTD = x_BTD + positions[None, : tokens.shape[1]]
        x_BTD = sites("embed", x_BTD)
        for i in range(self.depth):
            layer = f"layer{i}"
            mixer = self.mixer.clone(parent=self, name=f"{layer}_mixer")
            x_BTD = x_BTD + sites(f"{layer}/mixer", mixer(norm(f"{layer}_norm1")(x_BTD), sites, layer))
            if self.hidden:
                x_BTD = x_BTD + sites(f"{layer}/mlp", self._perceptron(norm(f"{layer}_norm2")(x_BTD), layer))
            x_BTD = sites(f"{layer}/out", x_BTD)
        x_BTD = sites("final", norm("final_norm")(x_BTD))
        if self.tied:
            logits_BTV = x_BTD @ embedding.T / self.width**0.5
        else:
            logits_BTV = readout(self.outputs or self.vocabulary, zero=self.mup)(x_BTD)
        if self.mup:
            logits_BTV = logits_BTV * (self.base / self.width) ** 0.5  # 1 / width in all: the weights have variance 1 / width
        logits_BTV = sites("logits", logits_BTV)
        sites.check()
        return logits_BTV, sites.seen

    def _perceptron(self, x_BTD, layer):
        if self.experts:
            return ExpertPerceptron(self.experts, self.top, self.hidden * self.width, name=f"{layer}_experts")(x_BTD)
        h_BTF = nn.gelu(dense(self.hidden * self.width, f"{layer}_up")(x_BTD))
        return dense(self.width, f"{layer}_down")(h_BTF)


def norm(name: str) -> nn.Module:
    """Make a layer norm without biases."""
    return nn.LayerNorm(use_bias=False, name=name)


def dense(size: int, name: str) -> nn.Module:
    """Make a linear map without bias, its weights of variance 1 / fan-in."""
    return nn.Dense(size, use_bias=False, kernel_init=nn.initializers.variance_scaling(1.0, "fan_in", "normal"), name=name)


def readout(size: int, *, zero: bool) -> nn.Module:
    """Make the last map. It is zero at the start under muP, where what a random one adds would fall off with the width."""
    start = nn.initializers.zeros if zero else nn.initializers.variance_scaling(1.0, "fan_in", "normal")
    return nn.Dense(size, use_bias=False, kernel_init=start, name="readout")


def causal(length: int) -> jax.Array:
    """Return (T, T) bool: which places (second axis) each place may look at."""
    return jnp.tril(jnp.ones((length, length), bool))
