"""Low-rank and other adapters of a kernel: how each begins, what it adds, and what is exact about it.

Kernels are flax's, (in, out), y = x K. Every adapter is a record whose `delta(kernel)` has the kernel's shape; training it is
training a pytree. `adapted(params, {"layer0_mixer/q/kernel": adapter})` gives parameters that any network takes; `tuned` trains
adapters of a frozen network.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.models.language.tensor_roles import by_path
from jaxscale.records import record, static


@record
class LowRank:
    """An adapter that adds scale a core b to the kernel, with a (in, r), core (r, r), b (r, out). The method says which of them
    is trained, see `tuned`.
    """

    a: Any
    core: Any
    b: Any
    scale: Any = 1.0

    def delta(self, kernel: jax.Array) -> jax.Array:
        """Return what is added to the kernel, (in, out)."""
        return self.scale * (self.a @ self.core @ self.b)


def lora(key: jax.Array, kernel: jax.Array, rank: int, *, alpha: float | None = None) -> LowRank:
    """Begin LoRA: a uniform in +-1 / sqrt(in), b = 0, scale alpha / rank, so that nothing is added at the start.

    References:
      Hu et al. 2021, arXiv:2106.09685, section 4.1; their released code has Kaiming's rule with a = sqrt(5), this bound.
    """
    _check_rank("lora", rank, kernel)
    bound = kernel.shape[0] ** -0.5
    a = jax.random.uniform(key, (kernel.shape[0], rank), minval=-bound, maxval=bound)
    scale = (rank if alpha is None else alpha) / rank
    return LowRank(a=a, core=jnp.eye(rank), b=jnp.zeros((rank, kernel.shape[1])), scale=scale)


def eva(inputs: jax.Array, kernel: jax.Array, rank: int) -> tuple[LowRank, jax.Array]:
    """Begin EVA: a = the directions in which the layer's inputs vary most, b = 0. Return each direction's share of the variance
    too.

    Args:
      inputs: (n, in), what the layer reads on the new data.
      kernel: (in, out).
      rank: r.

    References:
      Paischer et al. 2024, One initialization to rule them all, arXiv:2410.07170.
    """
    _check_rank("eva", rank, kernel)
    # variance is about the mean, which the authors' incremental PCA subtracts as well
    centred = inputs - jnp.mean(inputs, axis=0, keepdims=True)
    _, s, vt = jnp.linalg.svd(centred, full_matrices=False)
    share = s**2 / jnp.maximum(jnp.sum(s**2), 1e-30)
    return LowRank(a=vt[:rank].T, core=jnp.eye(rank), b=jnp.zeros((rank, kernel.shape[1]))), share


def allocate(shares: Mapping[str, jax.Array], rank: int) -> dict[str, jax.Array]:
    """Choose which directions of each layer to keep, `rank` a layer on average: the largest shares of all layers win.

    Args:
      shares: (k,) of each layer, the shares of its k candidates, k >= rank; traced ones will do.
      rank: of a layer on average.

    Returns:
      (k,) of each layer, 1.0 for kept and 0.0 for others; a layer may be left without any.
    """
    each = jnp.concatenate(list(shares.values()))
    _, best = jax.lax.top_k(each, rank * len(shares))
    mask = jnp.zeros(each.shape).at[best].set(1.0)
    ends = np.cumsum([len(share) for share in shares.values()])
    return dict(zip(shares, jnp.split(mask, ends[:-1])))


def lora_sb(gradient: jax.Array, rank: int, *, rate: float) -> LowRank:
    """Begin LoRA-SB: a and b frozen at the singular vectors of the first Adam step, the core trained from its singular values.

    With orthonormal a and b the gradient of the core, put back, is the best approximation of the full one in their subspace.

    Args:
      gradient: (in, out), averaged over a few samples.
      rank: r.
      rate: learning rate over warm-up steps.

    References:
      Ponkshe et al. 2024, Initialization using update approximation, arXiv:2411.19557.
    """
    _check_rank("lora_sb", rank, gradient)
    u, s, vt = jnp.linalg.svd(-rate * jnp.sign(gradient), full_matrices=False)
    return LowRank(a=u[:, :rank], core=jnp.diag(s[:rank]), b=vt[:rank])


@record
class Bone:
    """An adapter that adds `block` (r, out), repeated, to the kernel, a delta of rank r: y = x K + (sum of the blocks of x)
    block.

    References:
      Kang & Yin 2024, Bone: block-affine adaptation, arXiv:2409.15371.
    """

    block: Any

    def delta(self, kernel: jax.Array) -> jax.Array:
        """Return what is added to the kernel, (in, out)."""
        return jnp.tile(self.block, (kernel.shape[0] // self.block.shape[0], 1))


def bone(kernel: jax.Array, rank: int) -> Bone:
    """Begin Bone with a zero block. `rank` must divide the kernel's inputs."""
    _check_divides("bone", rank, kernel.shape[:1])
    return Bone(block=jnp.zeros((rank, kernel.shape[1])))


@record
class Bat:
    """An adapter like Bone that the weights guide: in W = K^T, block (j, k) becomes W_jk (1 + b_j) + b_j, a delta that can have
    full rank.
    """

    blocks: Any  # (out / r, r, r)

    def delta(self, kernel: jax.Array) -> jax.Array:
        """Return what is added to the kernel, (in, out)."""
        w = _blocks(kernel, self.blocks.shape[1])
        return _unblocked(jnp.einsum("jkab,jbc->jkac", w, self.blocks) + self.blocks[:, None])

    def unmerge(self, merged: jax.Array) -> jax.Array:
        """Return the kernel that `merged` = kernel + delta came from: (W' - b)(1 + b)^-1 block by block."""
        w = _blocks(merged, self.blocks.shape[1])
        inverse = jnp.linalg.inv(jnp.eye(self.blocks.shape[1])[None] + self.blocks)
        return _unblocked(jnp.einsum("jkab,jbc->jkac", w - self.blocks[:, None], inverse))


def bat(kernel: jax.Array, rank: int) -> Bat:
    """Begin BAT with zero blocks. `rank` must divide both sides of the kernel."""
    _check_divides("bat", rank, kernel.shape)
    return Bat(blocks=jnp.zeros((kernel.shape[1] // rank, rank, rank)))


def lora_fair(
    a: Sequence[jax.Array], b: Sequence[jax.Array], weights: jax.Array, *, ridge: float = 0.01
) -> tuple[jax.Array, jax.Array]:
    """Average the clients' factors, then correct b so that their product comes near the average of the products (LoRA-FAIR).

    Args:
      a: (in, r) of every client.
      b: (r, out) of every client.
      weights: (clients,) summing to one.
      ridge: lambda of the correction.

    Returns:
      The average a, and the average b plus (a^T a + lambda)^-1 a^T (sum_k p_k a_k b_k - mean a mean b).

    References:
      Bian et al. 2024, LoRA-FAIR, arXiv:2411.14961.
    """
    if not len(a) == len(b) == len(weights):
        raise ValueError(f"lora_fair needs a, b and weights of the same clients; got {len(a)}, {len(b)} and {len(weights)}.")
    mean_a, mean_b = (jnp.einsum("k,kij->ij", weights, jnp.stack(list(f))) for f in (a, b))
    left = jnp.einsum("k,kir,kro->io", weights, jnp.stack(list(a)), jnp.stack(list(b))) - mean_a @ mean_b
    gram = mean_a.T @ mean_a + ridge * jnp.eye(mean_a.shape[1])
    return mean_a, mean_b + jnp.linalg.solve(gram, mean_a.T @ left)


def adapted(params: Any, adapters: Mapping[str, Any]) -> Any:
    """Return parameters with every adapter's delta added at its path, e.g. "layer0_mixer/q/kernel".

    Raises:
      ValueError: a path that is none; the paths are offered.
    """
    paths = set(by_path(params))
    if unknown := sorted(set(adapters) - paths):
        raise ValueError(f"no parameter '{unknown[0]}' to adapt; choose from {sorted(paths)}.")

    def one(path, leaf):
        name = jax.tree_util.keystr(path, simple=True, separator="/")
        return leaf + adapters[name].delta(leaf) if name in adapters else leaf

    return jax.tree_util.tree_map_with_path(one, params)


@record
class Emulated:
    """Emulated fine-tuning: add to a large model's log-probabilities what fine-tuning did to a small one's.

    Two fine-tunings are blended by emulating one on top of the other, with strengths that sum to one.

    Attributes:
      strength: of the difference; 0 is the large model, 1 the published rule.
      floor: the difference is limited to this size in nats, since it is unbounded on tokens the small base calls impossible.

    References:
      Mitchell et al. 2023, An emulator for fine-tuning large language models using small ones, arXiv:2310.12962.
    """

    strength: Any = 1.0
    floor: float = static(default=50.0)

    def __call__(self, large: jax.Array, tuned: jax.Array, base: jax.Array) -> jax.Array:
        """Return (..., V) log-probabilities from the (..., V) logits of the large model, the tuned small one and its base."""
        large, tuned, base = (jax.nn.log_softmax(x, axis=-1) for x in (large, tuned, base))
        return jax.nn.log_softmax(large + self.strength * jnp.clip(tuned - base, -self.floor, self.floor), axis=-1)


def distilled(
    logits: jax.Array, teacher: jax.Array, targets: jax.Array, similarity: jax.Array | float, weight: jax.Array | float = 1.0
) -> jax.Array:
    """Return PANDA's loss of a soft prompt: cross-entropy plus similarity times KL(teacher || student), mean over places, nats.

    Args:
      logits: (..., V) with the prompt that is trained.
      teacher: (..., V) with the source task's prompt, on the same data.
      targets: (...,) tokens.
      similarity: predicted transferability of the source.
      weight: (...,) how much each place counts.

    References:
      Zhong et al. 2022, PANDA: prompt transfer meets knowledge distillation, arXiv:2208.10160.
    """
    student, teach = jax.nn.log_softmax(logits, axis=-1), jax.nn.log_softmax(teacher, axis=-1)
    cross = -jnp.take_along_axis(student, targets[..., None], axis=-1)[..., 0]
    apart = jnp.sum(jnp.exp(teach) * (teach - student), axis=-1)
    weight = jnp.broadcast_to(weight, targets.shape)
    return jnp.sum(weight * (cross + similarity * apart)) / jnp.sum(weight)


def hull_rows(key: jax.Array, old: jax.Array, count: int, *, inner: int = 64) -> jax.Array:
    """Draw (count, D) new embeddings inside the convex hull of the (V, D) old ones: softmax(A1 A2) old.

    A new token's logit is then a convex combination of the old ones, so that the likeliest token stays an old one.

    References:
      Mundra et al. 2024, An empirical comparison of vocabulary expansion and initialization approaches, arXiv:2407.05841.
    """
    if count < 1:
        raise ValueError(f"hull_rows.count must be at least 1 new row; got {count}.")
    key_1, key_2 = jax.random.split(key)
    mix = jax.random.uniform(key_1, (count, inner)) @ jax.random.uniform(key_2, (inner, old.shape[0]))
    return jax.nn.softmax(mix, axis=-1) @ old


def cross_row(trunk: Any, references: jax.Array) -> jax.Array:
    """Return a new token's embedding, (D,), by cross initialisation: what the trunk makes of the references' mean embedding.

    Args:
      trunk: function of (1, 1, D) embeddings giving (1, 1, D) states.
      references: (n, D) embeddings of tokens like the new one.

    References:
      Pang et al. 2023, Cross initialization for personalized text-to-image generation, arXiv:2312.15905.
    """
    return trunk(jnp.mean(references, axis=0)[None, None, :])[0, 0]


def _blocks(kernel, r):
    """(out / r, in / r, r, r) blocks of W = K^T."""
    w = kernel.T
    return w.reshape(w.shape[0] // r, r, w.shape[1] // r, r).swapaxes(1, 2)


def _unblocked(blocks):
    j, k, r, _ = blocks.shape
    return blocks.swapaxes(1, 2).reshape(j * r, k * r).T


def _check_rank(name, rank, kernel):
    if not 1 <= rank <= min(kernel.shape):
        raise ValueError(f"{name} needs 1 <= rank <= {min(kernel.shape)}, the smaller side of the kernel; got {rank}.")


def _check_divides(name, rank, sides):
    if rank < 1 or any(side % rank for side in sides):
        offered = [r for r in range(1, min(sides) + 1) if not any(side % r for side in sides)]
        raise ValueError(
            f"{name} cuts the kernel into blocks, so rank must divide {' and '.join(map(str, sides))}; got {rank}. Choose from "
            f"{offered}."
        )
