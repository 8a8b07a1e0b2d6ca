"""What each parameter is: input, hidden, readout or vector, with its fan-in and fan-out. Rules and growth share it."""

from typing import Any, NamedTuple

import jax

VECTOR, INPUT, HIDDEN, READOUT = "vector", "input", "hidden", "readout"


class Role(NamedTuple):
    """Of one leaf."""

    kind: str
    fan_in: int
    fan_out: int


def roles(params: Any) -> Any:
    """A tree like `params` with a `Role` per leaf, from names and shapes.

    Embeddings and positions are inputs (their fan-in does not grow with the width), a "readout" is the readout, other matrices
    (in, out) are hidden, and what has one axis is a vector.
    """

    def of(path, leaf):
        name = "/".join(str(getattr(k, "key", getattr(k, "name", k))) for k in path)
        if leaf.ndim < 2:
            return Role(VECTOR, 1, int(leaf.size))
        fan_in, fan_out = int(leaf.shape[-2]), int(leaf.shape[-1])
        if name.startswith(("embed", "positions")):
            return Role(INPUT, fan_in, fan_out)
        return Role(READOUT if name.startswith("readout") else HIDDEN, fan_in, fan_out)

    return jax.tree_util.tree_map_with_path(of, params)


def adam_rates(params: Any, base: int) -> Any:
    """Factors of Adam's learning rate under muP: base / fan-in for hidden matrices and readout kernels of variance 1 / fan-in.

    With the readout's output multiplied by sqrt(base / width), its entries must move by 1 / sqrt(width): sqrt(base / fan-in).

    References:
      Yang & Hu 2022, Tensor programs V, arXiv:2203.03466, table 8.
    """
    factor = {VECTOR: lambda r: 1.0, INPUT: lambda r: 1.0, HIDDEN: lambda r: base / r.fan_in}
    factor[READOUT] = lambda r: (base / r.fan_in) ** 0.5
    return jax.tree.map(lambda r: factor[r.kind](r), roles(params), is_leaf=lambda r: isinstance(r, Role))
