"""Multitask sparse parity: many independent skills with power-law frequencies, each a parity of its own bits."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.data.world import Example, last_only, zipf
from jaxscale.records import record, static


def disjoint_subsets(tasks: int, k: int, bits: int) -> tuple[tuple[int, ...], ...]:
    """Give the first k bits to task 0, the next k to task 1, and so on.

    Raises:
      ValueError: there are not enough bits.
    """
    if tasks * k > bits:
        raise ValueError(
            f"{tasks} disjoint subsets of {k} bits need {tasks * k} bits; got {bits}. Raise bits, or pass subsets=."
        )
    return tuple(tuple(range(i * k, (i + 1) * k)) for i in range(tasks))


@record
class SparseParity:
    """Tokens: the task, then n bits; predict the parity of the task's k bits at the end. Task i has p_i ~ i^-(1 + alpha).

    The vocabulary holds the bits 0 and 1, then the tasks.

    Attributes:
      tasks: T. Static.
      bits: n. Static.
      k: bits a task. Static.
      alpha: exponent of the frequencies, p_i ~ i^-(1 + alpha). Traced.
      subsets: of each task; the disjoint ones if empty. Overlapping subsets share features, which changes exponents; equal
        ones are refused. Static.

    References:
      Michaud et al. 2023, The quantization model of neural scaling, arXiv:2303.13506.
    """

    tasks: int = static(default=16)
    bits: int = static(default=32)
    k: int = static(default=2)
    alpha: float = 0.4
    subsets: Any = static(default=())

    def check(self):
        """Raise unless there are bits for every task and all tasks have different subsets of them."""
        if self.tasks < 1 or self.k < 1 or self.bits < 1:
            raise ValueError(f"SparseParity needs tasks, bits and k of at least 1; got {self.tasks}, {self.bits} and {self.k}.")
        chosen = self.subsets or disjoint_subsets(self.tasks, self.k, self.bits)
        if len(chosen) != self.tasks or any(len(set(s)) != self.k or not all(0 <= b < self.bits for b in s) for s in chosen):
            raise ValueError(
                f"SparseParity.subsets must be {self.tasks} sets of {self.k} bits below {self.bits}; got {chosen}."
            )
        first: dict[Any, int] = {}
        for i, bits in enumerate(tuple(sorted(s)) for s in chosen):
            if first.setdefault(bits, i) < i:
                raise ValueError(
                    f"SparseParity.subsets gives tasks {first[bits]} and {i} the same bits {bits}: they are one skill with a "
                    "larger frequency. Leave subsets out for disjoint ones."
                )
        if not self.alpha > -1:
            raise ValueError(f"SparseParity.alpha must exceed -1; got {self.alpha}.")

    @property
    def vocabulary(self) -> int:
        """Count the two values of a bit and the tasks."""
        return 2 + self.tasks

    answers = 2

    @property
    def context(self) -> int:
        """Count the task token and the bits."""
        return 1 + self.bits

    def _subsets(self):
        return np.array(self.subsets or disjoint_subsets(self.tasks, self.k, self.bits))

    def frequencies(self) -> jax.Array:
        """Return (T,) p_i, how often each task comes."""
        return zipf(self.tasks, 1 + self.alpha)

    def sample(self, key: jax.Array) -> tuple[()]:
        """Draw nothing: no disorder is frozen."""
        del key
        return ()

    def example(self, key: jax.Array, frozen: tuple[()]) -> Example:
        """Draw a task by its frequency, and fresh bits."""
        key_task, key_bits = jax.random.split(key)
        task = jax.random.categorical(key_task, jnp.log(self.frequencies()))
        return self.of_task(key_bits, task)

    def of_task(self, key: jax.Array, task: jax.Array) -> Example:
        """Draw fresh bits for a given task. Consumes `key`."""
        words = jax.random.bits(key, (-(-self.bits // 32),))  # 32 bits a draw
        bits = (words[:, None] >> jnp.arange(32, dtype=jnp.uint32)[None, :]) & 1
        bits = bits.reshape(-1)[: self.bits].astype(jnp.int32)
        parity = jnp.sum(bits[jnp.asarray(self._subsets())[task]]) % 2
        return last_only(jnp.concatenate([(2 + task)[None].astype(jnp.int32), bits]), parity)

    def entropy_floor(self, frozen: tuple[()]) -> jax.Array:
        """Return 0: task and bits determine the parity."""
        return jnp.array(0.0)


TINY = SparseParity(tasks=3, bits=8)
