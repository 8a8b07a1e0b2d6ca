"""In-context linear regression by one layer of linear attention, whose optimum is one preconditioned step of descent."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxscale.protocol import fresh
from jaxscale.records import record, static


class Prompt(NamedTuple):
    """A batch of prompts, each with a task of its own."""

    inputs: jax.Array  # (B, N, d)
    labels: jax.Array  # (B, N)
    query: jax.Array  # (B, d)
    answer: jax.Array  # (B,)


@record
class InContextRegression:
    """Learn linear regression in context: prompts (x_i, w . x_i), i = 1 .. N, and a query x; x and w are standard normal, w new
    for every prompt.

    The layer predicts x^T V (1/N) sum_i y_i K x_i: the product of two matrices, as value and key-query weights enter attention.
    At the optimum V K = Gamma^-1, Gamma = (1 + 1/N) 1 + (d / N) 1, and the risk is d (d + 1) / (N + d + 1).

    Attributes:
      d: input dimension. Static.
      length: N. Static.
      batch: prompts a step. Static.
      evaluation: prompts behind the recorded risk. Static.
      scale: of both matrices at the start; 0 is a saddle.

    References:
      Zhang, Frei & Bartlett 2023, arXiv:2306.09927, theorem 4.1; von Oswald et al. 2023, arXiv:2212.07677.
    """

    d: int = static(default=5)
    length: int = static(default=10)
    batch: int = static(default=64)
    evaluation: int = static(default=4096)
    scale: float = 0.3

    units = {
        "loss": ("mean squared error on fresh prompts", "squared label units"),
        "risk": ("its expectation over all prompts, exact", "squared label units"),
        "off_diagonal": ("root mean square of the off-diagonal entries of V K over its diagonal", "1"),
    }

    def check(self):
        """Raise unless there are inputs, a prompt, and a start off the saddle."""
        if self.d < 1 or self.length < 1 or not self.scale > 0:
            raise ValueError(
                f"InContextRegression needs d, length >= 1 and scale > 0 (0 is a saddle); "
                f"got {self.d}, {self.length}, {self.scale}."
            )

    def sample(self, key: jax.Array) -> jax.Array:
        """Return the key of the evaluation prompts; nothing else is frozen."""
        return key

    def init(self, key: jax.Array, data: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Draw V and K, (d, d) each: a small multiple of the identity plus smaller noise. Consumes `key`."""
        noise = 0.1 * self.scale * jax.random.normal(key, (2, self.d, self.d))
        return self.scale * jnp.eye(self.d) + noise[0], self.scale * jnp.eye(self.d) + noise[1]

    def prompts(self, key: jax.Array, count: int) -> Prompt:
        """Draw `count` fresh prompts, each with a task of its own. Consumes `key`."""
        key_task, key_inputs, key_query = jax.random.split(key, 3)
        task = jax.random.normal(key_task, (count, self.d))
        inputs = jax.random.normal(key_inputs, (count, self.length, self.d))
        query = jax.random.normal(key_query, (count, self.d))
        return Prompt(inputs, jnp.einsum("bnd,bd->bn", inputs, task), query, jnp.sum(query * task, axis=1))

    def predict(self, params: tuple[jax.Array, jax.Array], prompt: Prompt) -> jax.Array:
        """Return (B,) predictions of the queries' labels."""
        value, key = params
        moment = jnp.einsum("bn,bnd->bd", prompt.labels, prompt.inputs) / self.length
        return jnp.einsum("bd,de,be->b", prompt.query, value @ key, moment)

    def loss(self, params: tuple[jax.Array, jax.Array], data: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Return half the mean squared error on fresh prompts."""
        prompt = self.prompts(fresh(self, key), self.batch)
        return jnp.mean((self.predict(params, prompt) - prompt.answer) ** 2) / 2

    def risk(self, matrix: jax.Array) -> jax.Array:
        """Return E (x . w - x^T M C w)^2 for a matrix M, exact; C = (1/N) sum x_i x_i^T is the prompt's covariance.

        E C = 1 and E C C^T = (1 + (d + 1) / N) 1, so the risk is d - 2 tr M + (1 + (d + 1) / N) |M|^2.
        """
        return self.d - 2 * jnp.trace(matrix) + (1 + (self.d + 1) / self.length) * jnp.sum(matrix**2)

    def optimum(self) -> float:
        """Return the least risk, d (d + 1) / (N + d + 1)."""
        return self.d * (self.d + 1) / (self.length + self.d + 1)

    def observe(self, params: tuple[jax.Array, jax.Array], data: jax.Array) -> dict[str, jax.Array]:
        """Return the error on the evaluation prompts, the exact risk, and how diagonal V K is."""
        prompt, matrix = self.prompts(data, self.evaluation), params[0] @ params[1]
        diagonal = jnp.mean(jnp.diagonal(matrix))
        off = matrix - jnp.diag(jnp.diagonal(matrix))
        return {
            "loss": jnp.mean((self.predict(params, prompt) - prompt.answer) ** 2),
            "risk": self.risk(matrix),
            "off_diagonal": jnp.sqrt(jnp.sum(off**2) / max(self.d * (self.d - 1), 1)) / jnp.abs(diagonal),
        }


TINY = InContextRegression(d=2, length=3, batch=4, evaluation=8)
