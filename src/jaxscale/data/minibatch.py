"""Random minibatches without replacement, drawn exactly and without sorting.

`jax.random.permutation` sorts all P rows to deliver B of them, and that sort dominates the step of a small model.
Floyd's algorithm needs B draws; the threshold needs a few passes over P numbers and takes a traced B.
"""

import jax
import jax.numpy as jnp

from jaxscale.shapes import Array, Bool, Int, Key

FLOYD_LIMIT = 64  # its B^2 comparisons stay below one sort of a few hundred rows up to about here


def draw_rows(key: Key[Array, ""], batch: int, size: Int[Array, ""] | int, capacity: int) -> Int[Array, " {batch}"]:
    """Draw the indices of a uniformly random `batch`-subset of range(`size`).

    Args:
      key: consumed.
      batch: B, static. `size` must be at least B.
      size: P, may be traced.
      capacity: static upper limit of `size`.

    Returns:
      (batch,) int32, distinct, in no useful order.

    References:
      Bentley & Floyd, A sample of brilliance, Commun. ACM 30, 754 (1987).
    """
    if batch > FLOYD_LIMIT:
        scores = jax.random.uniform(key, (capacity,))
        scores = jnp.where(jnp.arange(capacity) < size, scores, 2.0)
        return jax.lax.top_k(-scores, batch)[1].astype(jnp.int32)
    if batch == 1:
        return jax.random.randint(key, (1,), 0, size)
    tops = size - batch + jnp.arange(batch, dtype=jnp.int32)  # j of Floyd's loop: P-B .. P-1
    draws = jax.random.randint(key, (batch,), 0, tops + 1)
    earlier = jnp.arange(batch)[None, :] < jnp.arange(batch)[:, None]

    # Floyd's loop takes draw i unless an earlier pick has it, then top i. Picks depend on earlier picks only, so repeating
    # the rule for all at once settles pick i after i rounds at the latest, and all of them in two or three: collisions are rare
    def settle(state):
        chosen, _ = state
        taken = jnp.any((chosen[None, :] == draws[:, None]) & earlier, axis=1)
        again = jnp.where(taken, tops, draws)
        return again, jnp.any(again != chosen)

    return jax.lax.while_loop(lambda state: state[1], settle, (draws, jnp.array(True)))[0]


def draw_mask(key: Key[Array, ""], batch: Int[Array, ""] | int, allowed: Bool[Array, " n"]) -> Bool[Array, " n"]:
    """Draw a uniformly random `batch`-subset of the allowed rows, as a mask. `batch` may be traced.

    The subset is the rows whose random score lies below the `batch`-th smallest. That score is found by bisecting the
    integers: each pass is one comparison and one count, which beats a sort under vmap.

    Args:
      key: consumed.
      batch: B, at most the number of allowed rows; 0 gives an empty mask.
      allowed: (n,) bool.

    Returns:
      (n,) bool with `batch` rows set. Two equal scores at the threshold (chance n 2^-31) are broken towards more rows.
    """
    scores = jax.random.bits(key, allowed.shape) >> 1
    scores = jnp.where(allowed, scores, jnp.uint32(2**31))

    def unfinished(bounds):
        low, high, _ = bounds
        return high - low > 1

    def halve(bounds):
        low, high, _ = bounds  # count(score < low) < batch <= count(score < high)
        middle = low + (high - low) // 2
        count = jnp.sum(scores < middle, dtype=jnp.int32)
        low, high = jnp.where(count < batch, middle, low), jnp.where(count < batch, high, middle)
        done = count == batch  # an exact hit ends the search at once
        return jnp.where(done, middle - 1, low), jnp.where(done, middle, high), done

    _, high, _ = jax.lax.while_loop(unfinished, halve, (jnp.uint32(0), jnp.uint32(2**31), jnp.array(False)))
    return (scores < high) & (batch > 0)
