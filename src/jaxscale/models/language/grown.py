"""Growing a trained decoder whole: wider, deeper, into experts. Each returns the new network and its parameters.

What is done to a leaf follows from its role: the axis it reads, shared among copies, and the axis it makes, copied.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.models.language.attention import base_head
from jaxscale.models.language.decoder import Decoder
from jaxscale.models.language.grow import deepen, identity_block, stages, upcycle
from jaxscale.models.language.tensor_roles import READOUT, Role, by_path, roles


def widened(network: Decoder, params: Any, times: int, *, how: str = "fpi") -> tuple[Decoder, Any]:
    """Return a decoder `times` as wide: every unit, and every head whole, copied `times` times, what reads them divided by it.

    All units are copied equally often, so that layer norms stay what they are; head widths stay, so that scores do.

    Args:
      network: of any mixer, not tied: one matrix cannot both copy and share.
      params: its parameters.
      times: at least 1.
      how: "fpi", which computes what was computed; or "aki", which fills hidden matrices' new units from the layer above
        (the last one's from its own), so that copies do not move together.

    Raises:
      ValueError: tied, times < 1, another way.
      TypeError: parameters of another network, or a mixer with a leaf whose axes are not known.

    References:
      Chen et al. 2021, bert2BERT, arXiv:2110.07143, section 3.2 (FPI, AKI).
    """
    if network.tied or times < 1 or how not in ("fpi", "aki"):
        raise ValueError(
            f"widened needs tied=False, times >= 1 and how='fpi' or 'aki'; got tied={network.tied}, {times} and {how!r}."
        )
    _check(network, params)
    mixer = network.mixer
    if hasattr(mixer, "heads"):
        kept = {"base_head": base_head(mixer)} if hasattr(mixer, "base_head") else {}
        mixer = mixer.clone(heads=mixer.heads * times, **kept)
    wide = network.clone(width=network.width * times, mixer=mixer)
    above = _one_layer_up(params, network.depth) if how == "aki" else params

    def one(role, leaf, other):
        if not leaf.ndim:
            return leaf
        shared, next_one = (_shared(x, role, times) for x in (leaf, other if role.reads is not None else leaf))
        if role.makes is not None:
            shared = jnp.concatenate([shared, *[next_one] * (times - 1)], axis=role.makes)
        return shared * times**0.5 if network.mup and role.kind == READOUT else shared

    grown = jax.tree.map(one, roles(params), params, above, is_leaf=lambda leaf: isinstance(leaf, Role))
    if unlike := _unlike(wide, grown):
        raise TypeError(
            f"widened does not know which axes of '{unlike}' of this {type(network.mixer).__name__} are as long as the network "
            "is wide; see NAMED in jaxscale.models.language.tensor_roles."
        )
    return wide, grown


def widened_moments(network: Decoder, first: Any, second: Any, times: int) -> tuple[Any, Any]:
    """Return Adam's moments of a decoder grown by FPI: a copy's gradient is its original's over `times`, the square over
    times^2.

    Args:
      network: before it grew.
      first: first moments, a tree like the parameters.
      second: second moments.
      times: as for `widened`.

    Returns:
      The two of the grown decoder.
    """

    def moments(tree, power):
        def one(role, leaf):
            for axis in (role.reads, role.makes):
                leaf = leaf if axis is None else jnp.concatenate([leaf] * times, axis=axis)
            less = times**0.5 if network.mup and role.kind == READOUT else times if role.makes is not None else 1
            return leaf / less**power

        return jax.tree.map(one, roles(tree), tree, is_leaf=lambda leaf: isinstance(leaf, Role))

    return moments(first, 1), moments(second, 2)


def deepened(network: Decoder, params: Any, depth: int, *, how: str = "stack", quiet: bool = False) -> tuple[Decoder, Any]:
    """Return a decoder of `depth` blocks, a multiple of those it has: 1 2 1 2 ("stack") or 1 1 2 2 ("interpolate").

    Args:
      network: what has grown.
      params: its parameters.
      depth: blocks after.
      how: see `grow.deepen`.
      quiet: the copies' output projections are zero, so that the deeper decoder computes what was computed.

    References:
      Gong et al. 2019, Efficient training of BERT by progressively stacking; Zhang et al. 2024, AquilaMoE, arXiv:2408.06567.
    """
    if not depth >= network.depth >= 1:
        raise ValueError(f"deepened needs at least the {network.depth} blocks there are, and one of them; got depth={depth}.")
    order = deepen(range(network.depth), depth, how=how)
    _check(network, params)
    if quiet and (loud := [name for name in params if name.endswith("_mixer") and "out" not in params[name]]):
        raise ValueError(
            f"quiet blocks need a mixer whose last module is called 'out'; '{loud[0]}' has {sorted(params[loud[0]])}."
        )
    return _rebuilt(network, params, order, quiet)


def staged(network: Decoder, params: Any, depths: Sequence[int]) -> tuple[Decoder, Any]:
    """Return a descendant of a decoder whose blocks are stages: block i is repeated `depths[i]` times. See `grow.stages`.

    Raises:
      ValueError: no depth of at least 1 for each block.
    """
    order = stages(range(network.depth), depths)
    _check(network, params)
    return _rebuilt(network, params, order, False)


def _rebuilt(network, params, order, quiet):
    """A decoder of the blocks `order`; quiet ones that come again add nothing."""
    grown = {name: leaf for name, leaf in params.items() if not name.startswith("layer")}
    for new, old in enumerate(order):
        block = {f"layer{new}{name.removeprefix(f'layer{old}')}": leaf for name, leaf in params.items() if _of(name, old)}
        again = old in order[:new]
        grown |= identity_block(block, ("out", "down", f"layer{new}_down")) if quiet and again else block
    return network.clone(depth=len(order)), grown


def upcycled(key: jax.Array, network: Decoder, params: Any, experts: int, *, top: int = 2) -> tuple[Decoder, Any]:
    """Return a decoder that computes the same with mixtures for perceptrons: copies of what they were, and random routers.

    Raises:
      ValueError: no perceptrons, or experts already; top not in 1..experts.
    """
    if not network.hidden or network.experts:
        raise ValueError(
            f"upcycled turns perceptrons into experts; this decoder has hidden={network.hidden}, experts={network.experts}."
        )
    _check(network, params)
    grown = dict(params)
    for i, one in enumerate(jax.random.split(key, network.depth)):
        up, down = (grown.pop(f"layer{i}_{name}")["kernel"] for name in ("up", "down"))
        mixture = upcycle(one, up, down, experts, top=top)
        grown[f"layer{i}_experts"] = {name: getattr(mixture, name) for name in ("up", "down", "router")}
    return network.clone(experts=experts, top=top), grown


def _check(network, params):
    """The parameters are the network's."""
    if unlike := _unlike(network, params):
        raise TypeError(
            f"these parameters are not those of this {type(network.mixer).__name__} decoder of width {network.width} and depth "
            f"{network.depth}: they differ in '{unlike}'."
        )


def _unlike(network, params):
    """The first path at which parameters differ in shape from the network's, or "" where there is none."""
    wanted = by_path(jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 1), jnp.int32))["params"])
    given = by_path(params)
    shapes = [{path: leaf.shape for path, leaf in tree.items()} for tree in (wanted, given)]
    return min((path for path, _ in shapes[0].items() ^ shapes[1].items()), default="")


def _shared(leaf, role, times):
    """The leaf, with the axis that it reads copied and shared."""
    return leaf if role.reads is None else jnp.concatenate([leaf] * times, axis=role.reads) / times


def _one_layer_up(params, depth):
    """Every layer's parameters replaced by those of the one above, but for the last's."""
    above = np.minimum(np.arange(depth) + 1, depth - 1)
    moved = {
        f"layer{i}{name.removeprefix(f'layer{j}')}": leaf
        for i, j in enumerate(above)
        for name, leaf in params.items()
        if _of(name, j)
    }
    return params | moved


def _of(name, layer):
    return name.startswith(f"layer{layer}_")
