"""What a world is: a source of token sequences, drawn on the device inside the scan.

A world is a `@record` with
  vocabulary, context: int                    plain numbers, known before tracing
  sample(key) -> frozen                       its frozen disorder: tables, facts, grammars; `()` for none
  example(key, frozen) -> Example             one sequence
and, where it is known, `entropy_floor(frozen) -> ()`: the least mean loss in nats that any predictor can reach; and
`answers: int` where fewer than `vocabulary` tokens are ever asked for.
There is no base class: anything with these will do.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp


class Example(NamedTuple):
    """One sequence, or a batch of them with a leading axis B."""

    tokens: jax.Array  # (T,) int32, what is read
    targets: jax.Array  # (T,) int32, what should be predicted at each place
    weight: jax.Array  # (T,) float32, how much each place counts in the loss


def next_token(sequence: jax.Array) -> Example:
    """Predict each token of (T + 1,) from those before it."""
    tokens, targets = sequence[:-1].astype(jnp.int32), sequence[1:].astype(jnp.int32)
    return Example(tokens, targets, jnp.ones(tokens.shape))


def last_only(tokens: jax.Array, target: jax.Array) -> Example:
    """Predict one thing at the last of (T,) tokens."""
    length = tokens.shape[0]
    end = jnp.arange(length) == length - 1
    return Example(tokens.astype(jnp.int32), jnp.where(end, target, 0).astype(jnp.int32), end.astype(jnp.float32))


def batch(world: Any, key: jax.Array, frozen: Any, size: int) -> Example:
    """`size` fresh sequences, stacked along a leading axis."""
    return jax.vmap(lambda one: world.example(one, frozen))(jax.random.split(key, size))


def numbered(world: Any, key: jax.Array, frozen: Any, index: jax.Array) -> Example:
    """The sequences with these numbers of an endless list that `key` fixes: a training set of any size that is never stored."""
    return jax.vmap(lambda i: world.example(jax.random.fold_in(key, i), frozen))(index)


def zipf(count: int, exponent: jax.Array | float = 1.0) -> jax.Array:
    """(count,) probabilities ~ rank^-exponent."""
    weight = jnp.arange(1, count + 1, dtype=jnp.float32) ** -exponent
    return weight / jnp.sum(weight)
