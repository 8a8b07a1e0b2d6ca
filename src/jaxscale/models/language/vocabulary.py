"""Tokens for a decoder that has been trained without them: inside the convex hull of those it has, or as it reads like ones."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp

from jaxscale.models.language.adapt import cross_row, hull_rows
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.taps import Tap


def hull_expanded(key: jax.Array, network: Decoder, params: Any, count: int) -> tuple[Decoder, Any]:
    """Return a decoder with `count` tokens more, embedded and read out inside the hulls of its own. See `adapt.hull_rows`.

    Old tokens' logits do not change, and before training no new one is ever likelier than all of them.

    Args:
      key: consumed.
      network: tied or not.
      params: its parameters.
      count: at least 1.
    """
    key_in, key_out = jax.random.split(key)
    rows = hull_rows(key_in, params["embed"], count)
    reads = hull_rows(key_out, params["readout"]["kernel"].T, count) if _reads_tokens(network) else None
    return _grown(network, params, rows, reads)


def crossed(network: Decoder, params: Any, references: Sequence[Sequence[int]]) -> tuple[Decoder, Any]:
    """Return a decoder with a token more for each group of reference tokens: embedded as what the blocks make of the group's
    mean, see `adapt.cross_row`, and read out by the group's mean.

    Args:
      network: tied or not.
      params: its parameters.
      references: tokens that the new one is like, one group each.

    Raises:
      ValueError: an empty group, or tokens that the network has not.
    """
    known = range(network.vocabulary)
    if not len(references) or any(not len(group) or not all(token in known for token in group) for group in references):
        raise ValueError(
            f"crossed needs groups of tokens of 0..{network.vocabulary - 1}, none of them empty; got "
            f"{[list(group) for group in references]}."
        )

    @jax.jit
    def trunk(embedded_11D):
        taps = {"embed": Tap(mask=1.0, value=embedded_11D)}
        return network.apply({"params": params}, jnp.zeros((1, 1), jnp.int32), taps)[1]["final"]

    groups = [jnp.array(group) for group in references]
    rows = jnp.stack([cross_row(trunk, params["embed"][group]) for group in groups])
    reads = None
    if _reads_tokens(network):
        reads = jnp.stack([jnp.mean(params["readout"]["kernel"][:, group], axis=1) for group in groups])
    return _grown(network, params, rows, reads)


def _reads_tokens(network):
    """Whether there is a readout of its own with a column per token."""
    return not network.tied and network.outputs in (0, network.vocabulary)


def _grown(network, params, rows, reads):
    """New rows of the embedding and, transposed, of the readout at the end of the old."""
    vocabulary = network.vocabulary + len(rows)
    more = dict(params) | {"embed": jnp.concatenate([params["embed"], rows])}
    if reads is not None:
        more["readout"] = {"kernel": jnp.concatenate([params["readout"]["kernel"], reads.T], axis=1)}
    outputs = vocabulary if network.outputs == network.vocabulary else network.outputs
    return network.clone(vocabulary=vocabulary, outputs=outputs), more
