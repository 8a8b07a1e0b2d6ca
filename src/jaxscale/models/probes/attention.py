"""What attention heads do: look one token back, or at what followed the last occurrence of the present token."""

import jax.numpy as jnp

from jaxscale.shapes import Array, Float, Int


def previous_token(pattern_BHTS: Float[Array, "B H T T"]) -> Float[Array, " H"]:
    """Return (H,) mean attention to the token before, over all places but the first."""
    return jnp.mean(jnp.diagonal(pattern_BHTS, offset=-1, axis1=-2, axis2=-1), axis=(0, 2))


def induction(
    pattern_BHTS: Float[Array, "B H T T"], tokens_BT: Int[Array, "B T"], *, places: str = "asked"
) -> Float[Array, " H"]:
    """Return (H,) attention to tokens that followed an earlier occurrence of the present one.

    Args:
      pattern_BHTS: attention of the place T to the place S.
      tokens_BT: what stands at the places.
      places: "asked" averages over the places whose token has occurred before, and leaves a place's attention to itself out:
        1 for a perfect head. "all" averages over every place, itself included: the "mul" score of the usual head detector,
        which cannot reach 1 on a text whose tokens are new to it.

    References:
      Olsson et al. 2022, In-context learning and induction heads, arXiv:2209.11895.
    """
    same = tokens_BT[:, :, None] == tokens_BT[:, None, :]  # (B, T, S)
    followed = jnp.pad(same, ((0, 0), (0, 0), (1, 0)))[:, :, :-1]  # s follows an equal token
    earlier = jnp.tril(jnp.ones(same.shape[1:], bool))  # and stands no later than here
    if places not in ("asked", "all"):
        raise ValueError(f"places must be 'asked' or 'all'; got {places!r}.")
    hit = followed & earlier[None]
    if places == "all":
        return jnp.mean(jnp.sum(pattern_BHTS * hit[:, None], axis=-1), axis=(0, 2))
    hit = hit & ~jnp.eye(same.shape[-1], dtype=bool)[None]
    asked = jnp.any(hit, axis=-1)
    score = jnp.sum(pattern_BHTS * hit[:, None], axis=-1)
    return jnp.sum(score * asked[:, None], axis=(0, 2)) / jnp.maximum(jnp.sum(asked), 1)
