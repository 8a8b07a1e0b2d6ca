"""The multilinear skill model as something to train: skills with power-law frequencies, each the product of two numbers."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxscale.data.world import zipf
from jaxscale.protocol import fresh
from jaxscale.records import record, static


class Params(NamedTuple):
    """Both factors of every skill's strength R_k = a_k b_k."""

    a: jax.Array  # (T,)
    b: jax.Array  # (T,)


@record
class MultilinearSkills:
    """Each example asks for one skill k, with chance p_k ~ k^-(1 + alpha): the answer is S g_k(x), the model's a_k b_k g_k(x),
    with g_k(x) = +-1; half the mean squared error is sum_k p_k (S - a_k b_k)^2 / 2.

    By gradient flow the strengths are those of `theory.multilinear_skills.strength`, with the time learning rate times steps.

    Attributes:
      skills: T. Static.
      batch: examples a step; 0 takes the mean over all examples. Static.
      alpha: exponent of the frequencies. Traced.
      target: S.
      start: R_0, strength of every skill at the start, from a = b.
      learned: strength over S from which on a skill counts as learned.

    References:
      Nam, Fonseca, Lee, Mingard & Louis 2024, arXiv:2404.17563, section 3.
    """

    skills: int = static(default=64)
    batch: int = static(default=0)
    alpha: float = 0.6
    target: float = 1.0
    start: float = 1e-3
    learned: float = 0.5

    units = {
        "loss": ("half the mean squared error over all examples, exact", "squared answer units"),
        "learned": ("skills whose strength is at least `learned` of the target", "skills"),
    }

    def check(self):
        """Raise unless there are skills, and they start below a target that they can reach."""
        if self.skills < 1 or self.batch < 0 or not self.alpha > -1 or not 0 < self.start < self.target:
            raise ValueError(
                f"MultilinearSkills needs skills >= 1, batch >= 0, alpha > -1 and 0 < start < target; got {self.skills}, "
                f"{self.batch}, {self.alpha}, {self.start} and {self.target}."
            )

    def sample(self, key: jax.Array) -> jax.Array:
        """Return (T,) frequencies of the skills; nothing is random."""
        del key
        return zipf(self.skills, 1 + self.alpha)

    def init(self, key: jax.Array, data: jax.Array) -> Params:
        """Return factors that give every skill the strength R_0; `key` goes unused."""
        del key
        root = jnp.full(self.skills, jnp.sqrt(self.start))
        return Params(root, root)

    def loss(self, params: Params, data: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Return half the mean squared error of a batch, or of all examples; g_k(x) = +-1 falls out of the square."""
        share = data
        if self.batch:
            asked = jax.random.categorical(fresh(self, key), jnp.log(data), shape=(self.batch,))
            share = jnp.zeros(self.skills).at[asked].add(1 / self.batch)
        return jnp.sum(share * (self.target - params.a * params.b) ** 2) / 2

    def observe(self, params: Params, data: jax.Array) -> dict[str, jax.Array]:
        """Return the loss over all examples, and how many skills are learned."""
        strength = params.a * params.b
        loss = jnp.sum(data * (self.target - strength) ** 2) / 2
        return {"loss": loss, "learned": jnp.sum(strength >= self.learned * self.target).astype(jnp.float32)}


TINY = MultilinearSkills(skills=4, batch=2)
