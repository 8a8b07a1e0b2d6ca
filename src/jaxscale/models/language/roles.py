"""What each parameter is: input, hidden, readout, vector or of a state space. Rules, transfer and growth share it."""

from typing import Any, NamedTuple

import jax

VECTOR, INPUT, HIDDEN, READOUT, STATE = "vector", "input", "hidden", "readout", "state"
STATE_NAMES = ("log_step", "log_decay", "frequency")
OF_MODES = ("readout_modes", "skip")  # beside them; no matrices that multiply a stream
DECAYED = (INPUT, HIDDEN, READOUT)


class Role(NamedTuple):
    """Of one leaf."""

    kind: str
    fan_in: int
    fan_out: int


def roles(params: Any) -> Any:
    """A tree like `params` with a `Role` per leaf, from names and shapes.

    Embeddings and positions are inputs (their fan-in does not grow with the width), a "readout" is the readout, poles and
    time steps of S4D are of the state, other matrices (in, out) are hidden, and what has one axis is a vector, as is what reads
    S4D's modes.
    """

    def of(path, leaf):
        name = "/".join(str(getattr(k, "key", getattr(k, "name", k))) for k in path)
        last = name.rpartition("/")[2]
        if last in STATE_NAMES:
            return Role(STATE, 1, int(leaf.size))
        if leaf.ndim < 2 or last in OF_MODES:
            return Role(VECTOR, 1, int(leaf.size))
        fan_in, fan_out = int(leaf.shape[-2]), int(leaf.shape[-1])
        if name.startswith(("embed", "positions")):
            return Role(INPUT, fan_in, fan_out)
        return Role(READOUT if name.startswith("readout") else HIDDEN, fan_in, fan_out)

    return jax.tree_util.tree_map_with_path(of, params)


def adam_rates(params: Any, base: int, *, tied: bool = False) -> Any:
    """Factors of Adam's learning rate under muP: base / fan-in for hidden matrices and readout kernels of variance 1 / fan-in.

    With the readout's output multiplied by sqrt(base / width), its entries must move by 1 / sqrt(width): sqrt(base / fan-in).

    Args:
      params: of a network.
      base: width at which it is the standard parametrisation.
      tied: the embedding reads out too, and keeps its own rate.

    Raises:
      ValueError: no leaf is named as an input, or none as the readout, and both would be taken for hidden layers.

    References:
      Yang & Hu 2022, Tensor programs V, arXiv:2203.03466, table 8.
    """
    found = roles(params)
    kinds = [role.kind for role in jax.tree.leaves(found, is_leaf=lambda r: isinstance(r, Role))]
    if INPUT not in kinds or not (READOUT in kinds or tied):
        names = sorted(jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(params))
        raise ValueError(
            f"muP needs to know a network's inputs and its readout by their names, 'embed...' and 'readout...'; this one has "
            f"{names}. Name its modules so."
        )
    factor = {HIDDEN: lambda r: base / r.fan_in, READOUT: lambda r: (base / r.fan_in) ** 0.5}
    return jax.tree.map(lambda r: factor.get(r.kind, lambda r: 1.0)(r), found, is_leaf=lambda r: isinstance(r, Role))
