"""What a world is: a source of token sequences, drawn on the device inside the scan.

A world is a `@record` with
  vocabulary, context: int                    plain numbers, known before tracing
  sample(key) -> frozen                       its frozen disorder: tables, facts, grammars; `()` for none
  example(key, frozen) -> Example             one sequence
and, where it is known, `entropy_floor(frozen) -> ()`: the least mean loss in nats that any predictor can reach; and
`answers: int` where fewer than `vocabulary` tokens are ever asked for. What is held out is `unseen(key, frozen) -> Example`, or
`held_out(frozen)`, a batch of them; without either it is more of `example`.
There is no base class: anything with these will do, and `check_world` says whether it does.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.records import check


class Example(NamedTuple):
    """One sequence, or a batch of them with a leading axis B."""

    tokens: jax.Array  # (T,) int32, what is read
    targets: jax.Array  # (T,) int32, what should be predicted at each place
    weight: jax.Array  # (T,) float32, how much each place counts in the loss


def next_token(sequence: jax.Array) -> Example:
    """Ask for each token of the (T + 1,) sequence from those before it."""
    tokens, targets = sequence[:-1].astype(jnp.int32), sequence[1:].astype(jnp.int32)
    return Example(tokens, targets, jnp.ones(tokens.shape))


def last_only(tokens: jax.Array, target: jax.Array) -> Example:
    """Ask for one thing, at the last of (T,) tokens."""
    length = tokens.shape[0]
    end = jnp.arange(length) == length - 1
    return Example(tokens.astype(jnp.int32), jnp.where(end, target, 0).astype(jnp.int32), end.astype(jnp.float32))


def batch(world: Any, key: jax.Array, frozen: Any, size: int) -> Example:
    """Draw `size` fresh sequences, stacked along a leading axis."""
    return jax.vmap(lambda one: world.example(one, frozen))(jax.random.split(key, size))


def numbered(world: Any, key: jax.Array, frozen: Any, index: jax.Array) -> Example:
    """Draw the sequences with these numbers of an endless list that `key` fixes: a training set that is never stored."""
    return jax.vmap(lambda i: world.example(jax.random.fold_in(key, i), frozen))(index)


def zipf(count: int, exponent: jax.Array | float = 1.0) -> jax.Array:
    """Return (count,) probabilities ~ rank^-exponent."""
    weight = jnp.arange(1, count + 1, dtype=jnp.float32) ** -exponent
    return weight / jnp.sum(weight)


def check_shapes(world: Any, seen: Any) -> None:
    """Raise unless a batch of sequences has the form that a world promises; works on tracers.

    Raises:
      TypeError: no `Example`, tokens or targets that are not whole numbers, or weights that are not real ones.
      ValueError: other lengths than the world's context.
    """
    name = type(world).__name__
    if not isinstance(seen, Example):
        raise TypeError(
            f"{name}.example must give an Example(tokens, targets, weight); got {type(seen).__name__}. Make it with "
            "next_token(sequence) or last_only(tokens, target) of jaxscale.data.world."
        )
    shapes = {field: jnp.shape(value) for field, value in seen._asdict().items()}
    if any(len(shape) != 2 or shape[1] != world.context for shape in shapes.values()):
        one = {field: shape[1:] for field, shape in shapes.items()}
        raise ValueError(f"{name}.example must give shapes (context={world.context},); got {one}.")
    for field in ("tokens", "targets"):
        if not jnp.issubdtype(kind := getattr(seen, field).dtype, jnp.integer):
            raise TypeError(f"{name}.example must give whole numbers as {field}; got {kind}. Convert with astype(jnp.int32).")
    if not jnp.issubdtype(kind := seen.weight.dtype, jnp.floating):
        raise TypeError(f"{name}.example must give real numbers as weight; got {kind}. Convert with astype(jnp.float32).")


def check_world(world: Any, *, key: int = 0, count: int = 64) -> None:
    """Raise unless `world` keeps the contract, on `count` sequences of each kind that it gives.

    Shapes are the context's, tokens and what is asked for lie in their ranges, weights are not negative nor all zero, equal
    keys give equal sequences and others do not, and the floor is no higher than the loss of an even guess.

    Raises:
      AssertionError, TypeError, ValueError: naming the broken promise.
    """
    check(world)
    name, answers = type(world).__name__, getattr(world, "answers", world.vocabulary)
    key_world, *keys = jax.random.split(jax.random.key(key), 3)
    frozen = jax.jit(world.sample)(key_world)
    for part in ("example", "unseen"):
        if draw := getattr(world, part, None):
            many = jax.jit(jax.vmap(lambda one, draw=draw: draw(one, frozen)))
            first, again, other = (many(jax.random.split(keys[i], count)) for i in (0, 0, 1))
            _check_ranges(world, part, first)
            assert all(map(np.array_equal, first, again)), f"{name}.{part} must give the same sequence for the same key."
            assert not np.array_equal(first.tokens, other.tokens), f"{name}.{part} gives the same sequences for every key."
    for part in ("held_out", "training"):
        if table := getattr(world, part, None):
            _check_ranges(world, part, jax.jit(table)(frozen))
    if hasattr(world, "entropy_floor"):
        floor = float(jax.jit(world.entropy_floor)(frozen))
        assert 0 <= floor <= np.log(answers) + 1e-5, (
            f"{name}.entropy_floor must lie in 0..log {answers} = {np.log(answers):.4g} nats; got {floor:.4g}."
        )


def _check_ranges(world, part, seen):
    check_shapes(world, seen)
    name, answers = f"{type(world).__name__}.{part}", getattr(world, "answers", world.vocabulary)
    tokens, weight = np.asarray(seen.tokens), np.asarray(seen.weight)
    asked = np.asarray(seen.targets)[weight > 0]
    assert np.all((tokens >= 0) & (tokens < world.vocabulary)), (
        f"{name} gives tokens from {tokens.min()} to {tokens.max()}; they must be in 0..{world.vocabulary - 1}, its vocabulary."
    )
    assert np.all(np.isfinite(weight) & (weight >= 0)) and asked.size, f"{name} must give weights >= 0, not all of them 0."
    assert np.all((asked >= 0) & (asked < answers)), (
        f"{name} asks for {asked.min()} to {asked.max()}; it must lie in 0..{answers - 1}, the world's answers or vocabulary."
    )
