"""What each parameter is: input, hidden, readout, vector or of a state space. Rules, transfer and growth share it."""

from typing import Any, NamedTuple

import jax

VECTOR, INPUT, HIDDEN, READOUT, STATE = "vector", "input", "hidden", "readout", "state"
KINDS = (VECTOR, INPUT, HIDDEN, READOUT, STATE)
DECAYED = (INPUT, HIDDEN, READOUT)
# leaves that their names alone tell apart: kind, the axis read, the axis made
NAMED = {
    "log_step": (STATE, None, -1),
    "log_decay": (STATE, None, -2),
    "frequency": (STATE, None, -2),
    "readout_modes": (VECTOR, None, -2),  # beside the poles: no matrix that multiplies a stream
    "recurrent": (HIDDEN, -1, -2),
    "router": (HIDDEN, -2, None),  # of tokens to experts, whose number does not grow
}


class Role(NamedTuple):
    """Say what one tensor of parameters does, its fans, and which of its axes grow with the width."""

    kind: str
    fan_in: int
    fan_out: int
    reads: int | None = None  # the axis as long as the network is wide that is summed over
    makes: int | None = None  # the axis as long as the network is wide that comes out


def roles(params: Any) -> Any:
    """Return a tree like `params` with a `Role` per leaf, from names and shapes.

    Embeddings and positions are inputs (their fan-in does not grow with the width), a "readout" is the readout, poles and
    time steps of S4D are of the state, other matrices (in, out) are hidden, and what has one axis is a vector, as is what reads
    S4D's modes.
    """

    def of(path, leaf):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        last, read_out = name.rpartition("/")[2], name.startswith("readout")
        if last in NAMED and (leaf.ndim > 1 or last == "log_step"):  # a vector of a user's may have such a name
            kind, reads, makes = NAMED[last]
        elif leaf.ndim < 2:
            kind, reads, makes = VECTOR, None, None if read_out else -1
        elif name.startswith(("embed", "positions")):
            kind, reads, makes = INPUT, None, -1
        else:
            kind, reads, makes = (READOUT, -2, None) if read_out else (HIDDEN, -2, -1)
        if kind in (VECTOR, STATE):
            return Role(kind, 1, int(leaf.size), reads, makes)
        fan_in, fan_out = (leaf.shape[other if axis is None else axis] for axis, other in ((reads, -2), (makes, -1)))
        return Role(kind, int(fan_in), int(fan_out), reads, makes)

    return jax.tree_util.tree_map_with_path(of, params)


def shrunk(updates: Any, params: Any, decay: Any) -> Any:
    """Return updates plus `decay` times the parameters, but for poles and time steps of state spaces, which do not decay."""
    return jax.tree.map(lambda u, p, r: u if r.kind == STATE else u + decay * p, updates, params, roles(params))


def by_path(tree: Any) -> dict[str, Any]:
    """Return a tree's leaves as {"layer0_mixer/q/kernel": leaf}; a `Role` is a leaf."""
    leaves = jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda leaf: isinstance(leaf, Role))
    return {jax.tree_util.keystr(path, simple=True, separator="/"): leaf for path, leaf in leaves}


def adam_rates(params: Any, base: int, *, tied: bool = False) -> Any:
    """Return factors of Adam's rate under muP: base / width for hidden matrices, its root for readout kernels, 1 for the rest.

    A matrix whose fan-in is four times the width has four times the base's fan-in at the base, and factor 1 there: all factors
    are relative, and at the base width muP is the standard parametrisation. With the readout's output multiplied by
    sqrt(base / width), its entries must move by 1 / sqrt(width).

    Args:
      params: of a network.
      base: width at which it is the standard parametrisation.
      tied: the embedding reads out too, and keeps its own rate.

    Raises:
      ValueError: no leaf is named as an input, or none as the readout, and both would be taken for hidden layers.

    References:
      Yang & Hu 2022, Tensor programs V, arXiv:2203.03466, table 8.
    """
    tree = roles(params)
    kinds = [role.kind for role in jax.tree.leaves(tree, is_leaf=lambda r: isinstance(r, Role))]
    if INPUT not in kinds or not (READOUT in kinds or tied):
        names = sorted(jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(params))
        raise ValueError(
            f"muP needs to know a network's inputs and its readout by their names, 'embed...' and 'readout...'; this one has "
            f"{names}. Name its modules so."
        )
    factor = {HIDDEN: lambda r: base / min(r.fan_in, r.fan_out), READOUT: lambda r: (base / r.fan_in) ** 0.5}
    return jax.tree.map(lambda r: factor.get(r.kind, lambda r: 1.0)(r), tree, is_leaf=lambda r: isinstance(r, Role))


def check_alike(given: Any, wanted: Any, what: str) -> None:
    """Raise unless two trees of parameters have the same names and shapes.

    Raises:
      ValueError: `what` is wrong and where, the first five differences.
    """
    shapes = [{name: tuple(leaf.shape) for name, leaf in by_path(tree).items()} for tree in (given, wanted)]
    if shapes[0] != shapes[1]:
        differ = sorted({name for name, _ in set(shapes[0].items()) ^ set(shapes[1].items())})
        raise ValueError(f"{what} They differ in {differ[:5]}.")
