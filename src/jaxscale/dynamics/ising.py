"""The Ising model on a square lattice, by heat bath on a checkerboard: the transition whose answers are all known."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxscale.records import record, static


class State(NamedTuple):
    """The spins, and sums over the sweeps since the warm-up."""

    spins: jax.Array  # (L, L) int8, +1 or -1
    sweeps: jax.Array  # (), int, sweeps so far
    square: jax.Array  # (), sum of m^2 over the sweeps kept
    fourth: jax.Array  # (), sum of m^4


@record
class Ising:
    """A lattice of L x L spins with periodic boundaries at coupling K = J / kT; one step is one sweep. K_c = ln(1 + sqrt 2) /
    2, nu = 1.

    Attributes:
      size: L, even. Static.
      coupling: K.
      warmup: sweeps left out of the averages. Traced.

    References:
      Onsager 1944, Phys. Rev. 65, 117. Binder 1981, Z. Phys. B 43, 119.
    """

    size: int = static()
    coupling: float
    warmup: int = 100

    units = {
        "magnetisation": ("mean spin", "1"),
        "square": ("average of the squared magnetisation over the sweeps after the warm-up", "1"),
        "fourth": ("average of its fourth power", "1"),
    }

    def check(self):
        """Raise unless the lattice is even, since a checkerboard has two colours."""
        if self.size < 2 or self.size % 2:
            raise ValueError(f"Ising.size must be even and at least 2; got {self.size}.")

    def sample(self, key: jax.Array) -> tuple[()]:
        """Draw nothing: no disorder is frozen."""
        del key
        return ()

    def init(self, key: jax.Array, data: tuple[()]) -> State:
        """Return all spins up: near the transition that relaxes faster than a random start, which must grow domains first."""
        del key, data
        zero = jnp.array(0.0)
        return State(jnp.ones((self.size, self.size), jnp.int8), jnp.array(0, jnp.int32), zero, zero)

    def step(self, key: jax.Array, state: State, data: tuple[()]) -> State:
        """Make one sweep: draw all black sites given the white ones, then all white sites. Consumes `key`."""
        rows, columns = jnp.indices((self.size, self.size))
        colour = (rows + columns) % 2
        draws = jax.random.bits(key, (self.size, self.size), jnp.uint16)  # each site is drawn for once a sweep

        def half(spins, which):
            field = jnp.sum(jnp.stack([jnp.roll(spins, by, axis) for by in (1, -1) for axis in (0, 1)]), axis=0)
            up = jax.nn.sigmoid(2 * self.coupling * field.astype(jnp.float32))
            new = jnp.where(draws < up * 2**16, 1, -1).astype(jnp.int8)
            return jnp.where(colour == which, new, spins)

        spins = half(half(state.spins, 0), 1)
        counts = state.sweeps >= self.warmup
        square = jnp.mean(spins.astype(jnp.float32)) ** 2
        return State(
            spins, state.sweeps + 1, state.square + jnp.where(counts, square, 0), state.fourth + jnp.where(counts, square**2, 0)
        )

    def observe(self, state: State, data: tuple[()]) -> dict[str, jax.Array]:
        """Return the magnetisation now, and averages of its powers so far."""
        sweeps = jnp.maximum(state.sweeps - self.warmup, 1)
        return {
            "magnetisation": jnp.mean(state.spins.astype(jnp.float32)),
            "square": state.square / sweeps,
            "fourth": state.fourth / sweeps,
        }


TINY = Ising(size=4, coupling=0.4, warmup=1)
