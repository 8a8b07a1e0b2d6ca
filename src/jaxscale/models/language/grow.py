"""Growing kernels and layers: wider, deeper, into experts; and making large ones from little. `grown` does so to decoders."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.models.language.experts import Experts
from jaxscale.records import record, static


def unit_map(old: int, new: int, *, even: bool = True, root: int = 0) -> np.ndarray:
    """Return (new,) numbers: which old unit each new one copies; the first `old` copy themselves.

    Args:
      old: width before.
      new: width after.
      even: copy all equally often where that is possible, which layer norms need to stay what they are; else at random.
      root: seed of the random choice.

    Raises:
      ValueError: new < old.
    """
    if new < old:
        raise ValueError(f"a network is grown to at least its width; got {old} to {new}.")
    more = np.arange(new - old) % old if even else np.random.default_rng(root).integers(0, old, new - old)
    return np.concatenate([np.arange(old), more])


def fpi(before: jax.Array, after: jax.Array, units: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """Grow a hidden layer and preserve its function: copy units, and share what follows among the copies.

    Args:
      before: (in, h) kernel into the layer.
      after: (h, out) kernel out of it.
      units: from `unit_map`.

    Returns:
      (in, h') and (h', out); the network computes what it did.

    References:
      Chen, Goodfellow & Shlens 2015, Net2Net, arXiv:1511.05641; Chen et al. 2021, bert2BERT, arXiv:2110.07143 (FPI, AKI).
    """
    count = np.bincount(units, minlength=before.shape[1])
    return before[:, units], after[units] / count[units][:, None]


def aki(before: jax.Array, above: jax.Array, after: jax.Array, units: np.ndarray) -> tuple[jax.Array, jax.Array]:
    """Grow a hidden layer by advanced knowledge initialisation: new units come from the layer above, which breaks the symmetry
    of copies.

    Args:
      before: (in, h) kernel into the layer.
      above: (in, h) kernel of the same place one layer above.
      after: (h, out) kernel out of the layer.
      units: from `unit_map`.

    Returns:
      As for `fpi`; the function is not preserved.
    """
    old = before.shape[1]
    _, out = fpi(before, after, units)
    return jnp.concatenate([before, above[:, units[old:]]], axis=1), out


def grown_moments(first: Any, second: Any, units: np.ndarray, *, after: bool) -> tuple[Any, Any]:
    """Return Adam's moments of a kernel grown by `fpi`: gradients of shared rows shrink by their count, their squares by its
    square.

    Args:
      first: first moment of the kernel.
      second: second moment.
      units: from `unit_map`.
      after: the kernel out of the layer, and not into it.
    """
    if after:  # each copy's row gets the whole gradient of the old row
        return first[units], second[units]
    count = np.bincount(units)[units][None, :]
    return first[:, units] / count, second[:, units] / count**2


def deepen(layers: Sequence[Any], depth: int, *, how: str = "stack") -> list[Any]:
    """Return parameters of `depth` layers from fewer: 1 2 1 2 ("stack") or 1 1 2 2 ("interpolate").

    Raises:
      ValueError: a depth that is no multiple, or another way.
    """
    if how not in ("stack", "interpolate") or depth % len(layers):
        raise ValueError(
            f"deepen needs a multiple of the {len(layers)} layers, and how='stack' or 'interpolate'; got {depth}, {how!r}."
        )
    times = depth // len(layers)
    return list(layers) * times if how == "stack" else [layer for layer in layers for _ in range(times)]


def identity_block(block: Any, outputs: Sequence[str]) -> Any:
    """Return a block that adds nothing: its output projections, named by the last module of their paths, are zero."""

    def one(path, leaf):
        names = [str(k.key) for k in path]
        return jnp.zeros_like(leaf) if any(name in outputs for name in names) else leaf

    return jax.tree_util.tree_map_with_path(one, block)


def upcycle(key: jax.Array, up: jax.Array, down: jax.Array, experts: int, *, top: int = 2) -> Experts:
    """Return experts that all copy a dense perceptron, with a random router: the same function, since gates sum to one."""
    if not 1 <= top <= experts:
        raise ValueError(f"upcycle sends each token to 1 <= top <= {experts} experts; got {top}.")
    router = 0.02 * jax.random.normal(key, (up.shape[0], experts))
    return Experts(up=jnp.tile(up[None], (experts, 1, 1)), down=jnp.tile(down[None], (experts, 1, 1)), router=router, top=top)


def stages(shared: Sequence[Any], depths: Sequence[int]) -> list[Any]:
    """Share weights by stage (learngenes): repeat each stage's one layer to the depth that a descendant gives it.

    References:
      Xia et al. 2024, Exploring learngene via stage-wise weight sharing, arXiv:2404.16897.
    """
    if len(shared) != len(depths) or min(depths, default=0) < 1:
        raise ValueError(f"stages needs a depth of at least 1 for each of the {len(shared)} stages; got {list(depths)}.")
    return [layer for layer, depth in zip(shared, depths) for _ in range(depth)]


@record
class HyperNetwork:
    """A maker of kernels of any shape up to (most, most) from a code of the layer: two factors of rank r, cut to shape.

    Attributes:
      trunk: (code, 2 r r).
      lift: (r, most).
      rank: r. Static.

    References:
      Zhou, Knyazev, Jolicoeur-Martineau & Fu 2024, LoGAH, arXiv:2405.16287.
    """

    trunk: Any
    lift: Any
    rank: int = static()

    def __call__(self, code: jax.Array, shape: tuple[int, int]) -> jax.Array:
        """Return a kernel of `shape`, of rank r at most. With a random network and c normals as code, entries off the diagonal
        have the variance (1 + 2 / c) (1 + (r - 1) / pi^2) / fan-in.
        """
        if max(shape) > self.lift.shape[1]:
            raise ValueError(f"this hyper-network makes kernels up to {self.lift.shape[1]} wide; got shape {shape}.")
        left, right = jax.nn.relu(code @ self.trunk).reshape(2, self.rank, self.rank)
        a, b = (left @ self.lift)[:, : shape[0]], (right @ self.lift)[:, : shape[1]]
        return a.T @ b / (shape[0] * self.rank) ** 0.5


def hyper_network(key: jax.Array, *, code: int, rank: int, most: int) -> HyperNetwork:
    """Draw a random hyper-network for kernels up to (most, most), with codes of `code` numbers. Consumes `key`."""
    key_trunk, key_lift = jax.random.split(key)
    trunk = jax.random.normal(key_trunk, (code, 2 * rank * rank)) * (2 / code) ** 0.5
    return HyperNetwork(trunk=trunk, lift=jax.random.normal(key_lift, (rank, most)) / rank**0.5, rank=rank)
