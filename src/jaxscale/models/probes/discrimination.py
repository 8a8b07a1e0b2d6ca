"""The generalised discrimination value: how well classes are separated in a hidden layer, without a classifier."""

import jax
import jax.numpy as jnp

from jaxscale.shapes import Array, Float, Int, Key


def gdv(
    points: Float[Array, "n d"], labels: Int[Array, " n"], classes: int, *, normalised: bool = False
) -> Float[Array, ""]:
    """Return the discrimination value: 0 without structure, negative where points of a class lie together.

    z-scored per dimension and halved; D^-1/2 [mean over classes of the mean distance within, less mean over pairs of classes of
    the mean distance between, both over distinct pairs].

    Args:
      points: (n, d).
      labels: (n,) int; every class must occur twice at least. Points labelled below 0 count in the z-scores only.
      classes: number of classes L, static.
      normalised: divide by sqrt(L / (2 (L - 1))), the value of L collapsed equidistant classes, so that values with different
        numbers of classes compare; -1 is then perfect.

    References:
      Schilling et al. 2021, Neural Networks 139, 278.
    """
    return _separation(_distances(points), labels, classes, normalised)


def shuffled_gdv(
    key: Key[Array, ""], points: Float[Array, "n d"], labels: Int[Array, " n"], classes: int, *, draws: int = 64,
    normalised: bool = False,
) -> Float[Array, ""]:  # fmt: skip
    """Return the mean of `gdv` over `draws` random permutations of the labels, which is 0 in expectation: what it is judged by.

    Args:
      key: of the permutations.
      points: (n, d).
      labels: as for `gdv`.
      classes: static.
      draws: static.
      normalised: as for `gdv`.
    """
    distance = _distances(points)

    def one(key):
        return _separation(distance, jax.random.permutation(key, labels), classes, normalised)

    return jnp.mean(jax.lax.map(one, jax.random.split(key, draws)))


def _distances(points):
    """(n, n) Euclidean distances of z-scored and halved points, over sqrt(d)."""
    centred = points - jnp.mean(points, axis=0, keepdims=True)
    z = 0.5 * centred / jnp.maximum(jnp.std(points, axis=0, keepdims=True), 1e-12)
    square = jnp.sum(z**2, axis=1)
    distance = jnp.sqrt(jnp.maximum(square[:, None] + square[None, :] - 2 * z @ z.T, 0))
    return distance * (1 - jnp.eye(points.shape[0])) / points.shape[1] ** 0.5  # rounding puts a point away from itself


def _separation(distance, labels, classes, normalised):
    """Mean over classes of the mean distance within, less mean over pairs of classes of that between."""
    member = jax.nn.one_hot(labels, classes)  # (n, L)
    count = jnp.sum(member, axis=0)
    total = member.T @ distance @ member  # (L, L) sums over pairs of points
    within = jnp.mean(jnp.diagonal(total) / (count * (count - 1)))
    mean = total / (count[:, None] * count[None, :])
    value = within - (jnp.sum(mean) - jnp.trace(mean)) / (classes * (classes - 1))
    return value / (classes / (2 * (classes - 1))) ** 0.5 if normalised else value
