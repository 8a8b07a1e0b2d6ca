"""Causal softmax attention: rotary or no positions, with or without query-key norm; and linear attention.

Shapes in names: B batch, T query, S key, D width, H heads, K head width.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxscale.models.language.decoder import causal, dense
from jaxscale.models.language.taps import Sites


class Attention(nn.Module):
    """Multi-head softmax attention. Its sites per layer are "q", "k", "v", "scores" (before the softmax), "pattern" and "heads"
    (per head).

    Attributes:
      heads: H; must divide the width.
      rope: rotary positions (an even head width).
      qk_norm: layer norm of queries and keys without learned scale, so that |q k| / sqrt(K) <= sqrt(K) exactly.
      mup: scores over K and not sqrt(K), and the same at the width `base`.
      base: width at which muP is the standard parametrisation; the network's.
      base_head: K at the base width; base / heads if 0. A network that grows by heads keeps it.

    References:
      Vaswani et al. 2017. Su et al. 2021, arXiv:2104.09864 (rotary). Dehghani et al. 2023, arXiv:2302.05442 (qk-norm).
    """

    heads: int = 4
    rope: bool = True
    qk_norm: bool = False
    mup: bool = False
    base: int = 32
    base_head: float = 0.0

    def check_width(self, width: int) -> None:
        """Raise unless the heads divide the width, into pairs where positions are rotated."""
        _check_heads("Attention", self.heads, width)
        if self.rope and (width // self.heads) % 2:
            raise ValueError(
                f"rotary positions turn pairs, so the head width must be even; got {width} / {self.heads} heads = "
                f"{width // self.heads}. Choose other heads, or rope=False with Decoder(learned_positions=True)."
            )

    def flops(self, width: int, context: int) -> float:
        """Return the flops of one token forward: four maps, and scores and sum over the whole context."""
        return 8 * width**2 + 4 * width * context

    @nn.compact
    def __call__(self, x_BTD: jax.Array, sites: Sites, layer: str) -> jax.Array:
        """Return what is added to the stream, (B, T, D)."""
        length, width = x_BTD.shape[1:]
        size = width // self.heads

        def split(name):
            y = dense(width, name)(x_BTD)
            return y.reshape(*y.shape[:2], self.heads, size)

        q_BTHK, k_BTHK, v_BTHK = (split(name) for name in ("q", "k", "v"))
        if self.qk_norm:
            q_BTHK, k_BTHK = (_normalised(y) for y in (q_BTHK, k_BTHK))
        if self.rope:
            q_BTHK, k_BTHK = (rotated(y) for y in (q_BTHK, k_BTHK))
        q_BTHK, k_BTHK, v_BTHK = (sites(f"{layer}/{name}", y) for name, y in (("q", q_BTHK), ("k", k_BTHK), ("v", v_BTHK)))
        scores_BHTS = jnp.einsum("bthk,bshk->bhts", q_BTHK, k_BTHK)
        scores_BHTS = scores_BHTS / score_scale(size, base_head(self) if self.mup else 0.0)
        scores_BHTS = sites(f"{layer}/scores", scores_BHTS)
        scores_BHTS = jnp.where(causal(length)[None, None], scores_BHTS, -1e30)
        pattern_BHTS = sites(f"{layer}/pattern", jax.nn.softmax(scores_BHTS, axis=-1))
        z_BTHK = sites(f"{layer}/heads", jnp.einsum("bhts,bshk->bthk", pattern_BHTS, v_BTHK))
        return dense(width, "out")(z_BTHK.reshape(*x_BTD.shape))


class LinearAttention(nn.Module):
    """Attention without softmax, y_t = sum_{s <= t} (q_t . k_s) v_s / t: a fast weight matrix that learns in context.

    Attributes:
      heads: H; must divide the width.
      mup: products over K and not sqrt(K), and the same at the width `base`.
      base: width at which muP is the standard parametrisation; the network's.
      base_head: K at the base width; base / heads if 0. A network that grows by heads keeps it.

    References:
      Katharopoulos et al. 2020, arXiv:2006.16236. von Oswald et al. 2023, arXiv:2212.07677.
    """

    heads: int = 1
    mup: bool = False
    base: int = 32
    base_head: float = 0.0

    def check_width(self, width: int) -> None:
        """Raise unless the heads divide the width."""
        _check_heads("LinearAttention", self.heads, width)

    def flops(self, width: int, context: int) -> float:
        """Return the flops of one token forward: four maps, and scores and sum over the whole context."""
        return 8 * width**2 + 4 * width * context

    @nn.compact
    def __call__(self, x_BTD: jax.Array, sites: Sites, layer: str) -> jax.Array:
        """Return what is added to the stream, (B, T, D)."""
        length, width = x_BTD.shape[1:]
        size = width // self.heads
        q, k, v = (
            sites(f"{layer}/{name}", dense(width, name)(x_BTD).reshape(*x_BTD.shape[:2], self.heads, size)) for name in "qkv"
        )
        scores_BHTS = jnp.einsum("bthk,bshk->bhts", q, k) / score_scale(size, base_head(self) if self.mup else 0.0)
        share_T = 1 / jnp.arange(1, length + 1)
        pattern_BHTS = jnp.where(causal(length)[None, None], scores_BHTS, 0) * share_T[None, None, :, None]
        pattern_BHTS = sites(f"{layer}/pattern", pattern_BHTS)
        z_BTHK = sites(f"{layer}/heads", jnp.einsum("bhts,bshk->bthk", pattern_BHTS, v))
        return dense(width, "out")(z_BTHK.reshape(*x_BTD.shape))


def base_head(mixer: Any) -> float:
    """Return the size of a head at the base width of muP."""
    return mixer.base_head or mixer.base / mixer.heads


def score_scale(size: int, base: float) -> float:
    """Return what scores are divided by: sqrt(K), or under muP K over the root of what K is at the base width."""
    return size / base**0.5 if base else size**0.5


def _check_heads(name, heads, width):
    if heads < 1 or width % heads:
        fitting = [h for h in range(1, width + 1) if width % h == 0]
        raise ValueError(f"{name}.heads must divide the width {width}; got {heads}. Choose from {fitting}.")


def _normalised(x):
    """Layer norm over the last axis without learned scale: norm sqrt(K) exactly, up to the epsilon that keeps 0 finite."""
    x = x - jnp.mean(x, axis=-1, keepdims=True)
    return x / jnp.sqrt(jnp.mean(x**2, axis=-1, keepdims=True) + 1e-6)


def rotated(x_BTHK: jax.Array, base: float = 10_000.0) -> jax.Array:
    """Rotate queries or keys by their positions: pair j of position t is turned by t base^(-2 j / K)."""
    length, size = x_BTHK.shape[1], x_BTHK.shape[-1]
    angle_TK = jnp.arange(length)[:, None] * base ** (-jnp.arange(0, size, 2) / size)[None, :]
    cos, sin = (f(angle_TK)[None, :, None, :] for f in (jnp.cos, jnp.sin))
    even, odd = x_BTHK[..., 0::2], x_BTHK[..., 1::2]
    return jnp.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1).reshape(x_BTHK.shape)
