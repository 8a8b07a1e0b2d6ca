"""Recurrent mixers: the quasi-LSTM, a diagonal linear recurrence run in parallel; and the ReLU network with a rank to choose.

Shapes in names: B batch, T time, D width.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxscale.models.language.decoder import dense
from jaxscale.models.language.taps import Sites


class QuasiLstm(nn.Module):
    """A mixer c_t = f_t c_{t-1} + i_t z_t, h_t = o_t tanh(c_t), with gates of the input alone. Its sites per layer are "cell"
    and "hidden".

    References:
      Bradbury et al. 2016, arXiv:1611.01576; Stanic et al. 2023, arXiv:2309.11197 (Languini Kitchen's qLSTM).
    """

    def flops(self, width: int, context: int) -> float:
        """Return the flops of one token forward: five maps; the recurrence is element by element."""
        del context
        return 10 * width**2

    @nn.compact
    def __call__(self, x_BTD: jax.Array, sites: Sites, layer: str) -> jax.Array:
        """Return what is added to the stream, (B, T, D)."""
        width = x_BTD.shape[-1]
        forget, write, new, read = (dense(width, name)(x_BTD) for name in ("forget", "write", "new", "read"))
        keep = jax.nn.sigmoid(forget + 1)
        cell_BTD = sites(f"{layer}/cell", recurrence(keep, jax.nn.sigmoid(write) * jnp.tanh(new)))
        hidden_BTD = sites(f"{layer}/hidden", jax.nn.sigmoid(read) * jnp.tanh(cell_BTD))
        return dense(width, "out")(hidden_BTD)


def recurrence(keep_BTD: jax.Array, new_BTD: jax.Array) -> jax.Array:
    """Return c_t = keep_t c_{t-1} + new_t from c = 0, along axis 1, by a parallel prefix."""

    def join(left, right):
        (a, b), (c, d) = left, right
        return a * c, b * c + d

    return jax.lax.associative_scan(join, (keep_BTD, new_BTD), axis=1)[1]


class ReluRnn(nn.Module):
    """A mixer h_t = relu(W h_{t-1} + U x_t), W = gain N(0, 1/D) cut to a rank at the start and rescaled to its norm.

    Attributes:
      rank: of W at the start; 0 for full.
      gain: of W.

    References:
      Liu et al. 2024, arXiv:2310.08513 (low-rank starts learn richly, high-rank ones lazily).
    """

    rank: int = 0
    gain: float = 1.25

    def check_width(self, width: int) -> None:
        """Raise unless the matrix can have the rank."""
        if not 0 <= self.rank <= width:
            raise ValueError(f"ReluRnn.rank must lie in 0..{width}, the width; got {self.rank}. 0 is full rank.")

    def flops(self, width: int, context: int) -> float:
        """Return the flops of one token forward: three maps, the recurrent one among them."""
        del context
        return 6 * width**2

    @nn.compact
    def __call__(self, x_BTD: jax.Array, sites: Sites, layer: str) -> jax.Array:
        """Return what is added to the stream, (B, T, D)."""
        width = x_BTD.shape[-1]
        w_DD = self.param("recurrent", lambda key: low_rank(key, width, self.rank, self.gain))
        u_BTD = dense(width, "input")(x_BTD)

        def step(h_BD, u_BD):
            h_BD = jax.nn.relu(h_BD @ w_DD.T + u_BD)
            return h_BD, h_BD

        _, h_TBD = jax.lax.scan(step, jnp.zeros_like(u_BTD[:, 0]), jnp.swapaxes(u_BTD, 0, 1))
        return dense(width, "out")(sites(f"{layer}/hidden", jnp.swapaxes(h_TBD, 0, 1)))


def low_rank(key: jax.Array, size: int, rank: int, gain: float) -> jax.Array:
    """Draw gain N(0, 1/size), (size, size), cut to its `rank` largest singular values at the same norm; 0 keeps all."""
    w = gain * jax.random.normal(key, (size, size)) / size**0.5
    if not rank:
        return w
    u, s, vt = jnp.linalg.svd(w)
    cut = (u[:, :rank] * s[None, :rank]) @ vt[:rank]
    return cut * jnp.linalg.norm(w) / jnp.linalg.norm(cut)
