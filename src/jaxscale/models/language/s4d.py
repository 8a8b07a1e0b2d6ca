"""S4D: a diagonal state space model per channel, as a long convolution. Complex numbers are kept as pairs of reals.

Shapes in names: B batch, T time, D channels, N modes (one of each conjugate pair).
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.models.language.decoder import dense
from jaxscale.models.language.taps import Sites

INITS = ("lin", "inv", "legs", "real", "random")


class S4D(nn.Module):
    """A mixer y = K * u + D u, K_l = 2 Re sum_n C_n B_n A_n^l; then GELU and a gated map. Its sites per layer are "kernel" and
    "state_out".

    Attributes:
      modes: N / 2 of the paper.
      start: how A begins: "lin", "inv", "legs", "real" or "random".
      bilinear: discretise by the bilinear rule and not by zero-order hold.
      step_range: (smallest, largest) time step, drawn evenly in the logarithm per channel.

    References:
      Gu, Gupta, Goel & Re 2022, arXiv:2206.11893, sections 3 and 4.
    """

    modes: int = 16
    start: str = "lin"
    bilinear: bool = False
    step_range: tuple[float, float] = (1e-3, 1e-1)

    def check_width(self, width: int) -> None:
        """Raise unless the start is known, there are modes, and the time steps are in order."""
        del width
        if self.start not in INITS or self.modes < 1 or not 0 < self.step_range[0] <= self.step_range[1]:
            raise ValueError(
                f"S4D needs a start of {INITS}, modes >= 1 and 0 < smallest <= largest step; got {self.start!r}, {self.modes} "
                f"and {self.step_range}."
            )

    def flops(self, width: int, context: int) -> float:
        """Return the flops of one token forward: two maps, and two transforms of 2 T a channel at the compiler's 8 n log2 n."""
        return 4 * width**2 + 32 * width * np.log2(2 * context)

    @nn.compact
    def __call__(self, x_BTD: jax.Array, sites: Sites, layer: str) -> jax.Array:
        """Return what is added to the stream, (B, T, D)."""
        length, width = x_BTD.shape[1:]
        low, high = np.log(self.step_range)
        log_step_D = self.param("log_step", lambda key: jax.random.uniform(key, (width,), minval=low, maxval=high))
        decay_DN = self.param("log_decay", lambda key: jnp.log(-self._poles(key, width).real))
        turn_DN = self.param("frequency", lambda key: self._poles(key, width).imag)
        c_2DN = self.param("readout_modes", self._readout, width)
        skip_D = self.param("skip", nn.initializers.normal(1.0), (width,))
        a_DN = -jnp.exp(decay_DN) + 1j * turn_DN
        kernel_DT = kernel(a_DN, c_2DN[0] + 1j * c_2DN[1], jnp.exp(log_step_D), length, self.bilinear)
        kernel_DT = sites(f"{layer}/kernel", kernel_DT)
        y_BTD = convolved(x_BTD, kernel_DT) + x_BTD * skip_D[None, None]
        y_BTD = nn.gelu(sites(f"{layer}/state_out", y_BTD))
        return dense(width, "out")(y_BTD) * jax.nn.sigmoid(dense(width, "gate")(y_BTD))

    def _poles(self, key, width):
        """(D, N): the same in every channel but where they are random."""
        return jax.vmap(lambda one: jnp.asarray(initial_poles(self.start, self.modes, one)))(jax.random.split(key, width))

    def _readout(self, key, width):
        """(2, D, N): real and imaginary parts of standard complex normals times the start's B, which C takes up."""
        drawn = jax.random.normal(key, (2, width, self.modes)) * 0.5**0.5
        return drawn * jnp.asarray(input_sizes(self.start, self.modes), drawn.dtype)[None, None]


def initial_poles(start: str, modes: int, key: jax.Array | None = None) -> np.ndarray | jax.Array:
    """Return (modes,) complex A_n at the start; `modes` is half of the state size N. A random start draws them from `key`."""
    n, size = np.arange(modes), 2 * modes
    if start == "lin":
        return -0.5 + 1j * np.pi * n
    if start == "inv":
        return -0.5 + 1j * size / np.pi * (size / (2 * n + 1) - 1)
    if start == "legs":
        return legs_poles(size)
    if start == "real":
        return -(n + 1.0) + 0j
    if start == "random" and key is not None:
        return -0.5 + 1j * jnp.exp(jax.random.normal(key, (modes,)))
    raise ValueError(f"start must be one of {INITS}, 'random' with a key; got {start!r}.")


def input_sizes(start: str, modes: int) -> np.ndarray:
    """Return (modes,) |B_n| at the start: 1, and for S4D-LegS that of HiPPO's input in the eigenvectors of the normal part,
    halved.

    Its phases change nothing, since those of C are random. The half is what makes the normal part alone HiPPO's limit.
    """
    return legs_modes(2 * modes)[1] if start == "legs" else np.ones(modes)


def legs_poles(size: int) -> np.ndarray:
    """Return (size / 2,) eigenvalues of the normal part of HiPPO-LegS with positive imaginary part, small to large."""
    return legs_modes(size)[0]


def legs_modes(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return ((size / 2,) poles, (size / 2,) sizes of half the input) of the normal part of HiPPO-LegS, in its eigenvectors."""
    n = np.arange(size)
    root = np.sqrt(2 * n + 1)
    hippo = -np.where(n[:, None] > n[None, :], root[:, None] * root[None, :], 0) - np.diag(n + 1.0)
    p = np.sqrt(n + 0.5)
    turning = hippo + p[:, None] * p[None, :] + 0.5 * np.eye(size)  # antisymmetric: -i times it is Hermitian
    values, vectors = np.linalg.eigh(-1j * turning)
    upper = values > 0
    return -0.5 + 1j * values[upper], np.abs(vectors[:, upper].conj().T @ root) / 2


def discrete(a_DN: jax.Array, step_D: jax.Array, bilinear: bool) -> tuple[jax.Array, jax.Array]:
    """Return (D, N) A and B of the recurrence x_t = A x_{t-1} + B u_t, for B = 1 in continuous time."""
    scaled = a_DN * step_D[:, None]
    if bilinear:
        return (1 + scaled / 2) / (1 - scaled / 2), step_D[:, None] / (1 - scaled / 2)
    return jnp.exp(scaled), jnp.expm1(scaled) / a_DN


def kernel(a_DN: jax.Array, c_DN: jax.Array, step_D: jax.Array, length: int, bilinear: bool = False) -> jax.Array:
    """Return the convolution's kernel, (D, T) real, by a Vandermonde product."""
    _, b = discrete(a_DN, step_D, bilinear)
    scaled = a_DN * step_D[:, None]
    log_a = jnp.log1p(scaled / 2) - jnp.log1p(-scaled / 2) if bilinear else scaled  # the log of A loses A's last digits
    powers_DNT = jnp.exp(log_a[:, :, None] * jnp.arange(length)[None, None])
    return 2 * jnp.einsum("dn,dnt->dt", c_DN * b, powers_DNT).real


def convolved(x_BTD: jax.Array, kernel_DT: jax.Array) -> jax.Array:
    """Return the causal convolution of inputs and kernel along time, by FFT of twice the length."""
    length = x_BTD.shape[1]
    both = jnp.fft.rfft(x_BTD, 2 * length, axis=1) * jnp.fft.rfft(kernel_DT.T, 2 * length, axis=0)[None]
    return jnp.fft.irfft(both, 2 * length, axis=1)[:, :length].astype(x_BTD.dtype)


def recurrent(x_BTD: jax.Array, a_DN: jax.Array, c_DN: jax.Array, step_D: jax.Array, bilinear: bool = False) -> jax.Array:
    """Return the same map as `convolved`, computed step by step: what the convolution must equal."""
    a, b = discrete(a_DN, step_D, bilinear)

    def step(state_BDN, u_BD):
        state_BDN = a[None] * state_BDN + b[None] * u_BD[:, :, None]
        return state_BDN, 2 * jnp.sum(c_DN[None] * state_BDN, axis=-1).real

    start = jnp.zeros((x_BTD.shape[0], *a_DN.shape), a_DN.dtype)
    return jnp.swapaxes(jax.lax.scan(step, start, jnp.swapaxes(x_BTD, 0, 1))[1], 0, 1)
