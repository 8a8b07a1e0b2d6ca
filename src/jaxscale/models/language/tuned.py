"""A frozen language model with trained adapters: which method, on which kernels, and what of each adapter moves.

A method is a record with `trains`, the fields that are trained, and `begin(key, kernels, seen)`, one adapter per kernel.
"""

import dataclasses
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxscale.models.language import adapt
from jaxscale.models.language.model import LanguageModel
from jaxscale.models.language.tensor_roles import HIDDEN, by_path, roles
from jaxscale.records import record, replace, static


@dataclasses.dataclass(frozen=True)
class Seen:
    """Show a method what it may look at: the frozen model on the new data."""

    model: LanguageModel
    trunk: Any
    own: Any
    key: jax.Array

    def inputs(self, draws: int) -> dict[str, jax.Array]:
        """Return {path: (n, in) what its layer reads on the sequences of `draws` steps}, of every dense layer of a Linen
        network.
        """
        tokens = jax.vmap(lambda key: self.model.examples(self.own, key).tokens)(jax.random.split(self.key, draws))
        rows_of: dict[str, list[jax.Array]] = {}

        def look(call, args, kwargs, context):
            if isinstance(context.module, nn.Dense) and context.method_name == "__call__":
                rows = args[0].reshape(-1, args[0].shape[-1])
                rows_of.setdefault("/".join((*context.module.path, "kernel")), []).append(rows)
            return call(*args, **kwargs)

        with nn.intercept_methods(look):
            self.model.apply(self.trunk, tokens.reshape(-1, tokens.shape[-1]))
        return {path: jnp.concatenate(rows) for path, rows in rows_of.items()}

    def gradient(self, draws: int) -> dict[str, jax.Array]:
        """Return {path: gradient of the loss}, the mean of `draws` steps' batches."""
        keys = jax.random.split(self.key, draws)
        grads = jax.vmap(lambda key: jax.grad(self.model.loss)(self.trunk, self.own, key))(keys)
        return by_path(jax.tree.map(lambda g: jnp.mean(g, axis=0), grads))


@record
class Lora:
    """The method LoRA: a random, b zero, both trained. See `adapt.lora`."""

    rank: int = static(default=4)
    alpha: float | None = None

    trains = ("a", "b")

    def begin(self, key: jax.Array, kernels: dict[str, jax.Array], seen: Seen) -> dict[str, adapt.LowRank]:
        """Return {path: adapter}, one for each kernel. Consumes `key`."""
        keys = jax.random.split(key, len(kernels))
        return {p: adapt.lora(k, kernel, self.rank, alpha=self.alpha) for k, (p, kernel) in zip(keys, kernels.items())}


@record
class Eva:
    """The method EVA: a along the largest directions of what the layer reads on the new data, b zero, both trained. See
    `adapt.eva`.

    Attributes:
      rank: of a layer, on average. Static.
      most: a layer may have so many times the rank, those whose directions explain most; what it does not get stays zero for
        ever. 1 gives each the same. Static.
      draws: batches looked at. Static.
    """

    rank: int = static(default=4)
    most: float = static(default=1.0)
    draws: int = static(default=1)

    trains = ("a", "b")

    def check(self):
        """Raise unless there is a batch to look at and a layer may have its rank."""
        if self.draws < 1 or self.most < 1:
            raise ValueError(f"Eva needs draws >= 1 and most >= 1; got {self.draws} and {self.most}.")

    def begin(self, key: jax.Array, kernels: dict[str, jax.Array], seen: Seen) -> dict[str, adapt.LowRank]:
        """Return {path: adapter}, one for each kernel, which must be a dense layer's. Looks at what `seen` reads."""
        inputs, limit = seen.inputs(self.draws), int(self.most * self.rank)
        if unknown := sorted(set(kernels) - set(inputs)):
            raise ValueError(
                f"EVA needs the inputs of dense layers of a Linen network, and '{unknown[0]}' is none; choose from "
                f"{sorted(inputs)}."
            )
        rows = min(len(part) for part in inputs.values())
        if rows < limit:
            raise ValueError(f"EVA needs as many places in its sequences as ranks, {limit}; got {rows}. Raise batch or draws.")
        made = {path: adapt.eva(inputs[path], kernel, limit) for path, kernel in kernels.items()}
        mask = adapt.allocate({path: share[:limit] for path, (_, share) in made.items()}, self.rank)
        return {path: replace(one, a=one.a * mask[path][None]) for path, (one, _) in made.items()}


@record
class LoraSb:
    """The method LoRA-SB: a and b frozen at the first step's singular vectors, the core alone trained. See `adapt.lora_sb`.

    Attributes:
      rank: static.
      rate: learning rate over warm-up steps.
      draws: batches behind the first gradient. Static.
    """

    rank: int = static(default=4)
    rate: float = 1e-3
    draws: int = static(default=8)

    trains = ("core",)

    def check(self):
        """Raise unless there is a batch to look at."""
        if self.draws < 1:
            raise ValueError(f"LoraSb.draws must be at least 1 batch; got {self.draws}.")

    def begin(self, key: jax.Array, kernels: dict[str, jax.Array], seen: Seen) -> dict[str, adapt.LowRank]:
        """Return {path: adapter}, one for each kernel, from the gradient of `seen`."""
        gradient = seen.gradient(self.draws)
        return {path: adapt.lora_sb(gradient[path], self.rank, rate=self.rate) for path in kernels}


@record
class Bone:
    """The method Bone: one zero block per kernel, trained. See `adapt.bone`."""

    rank: int = static(default=4)

    trains = ("block",)

    def begin(self, key: jax.Array, kernels: dict[str, jax.Array], seen: Seen) -> dict[str, adapt.Bone]:
        """Return {path: adapter}, one for each kernel."""
        return {path: adapt.bone(kernel, self.rank) for path, kernel in kernels.items()}


@record
class Bat:
    """The method BAT: zero blocks guided by the weights, trained. See `adapt.bat`."""

    rank: int = static(default=4)

    trains = ("blocks",)

    def begin(self, key: jax.Array, kernels: dict[str, jax.Array], seen: Seen) -> dict[str, adapt.Bat]:
        """Return {path: adapter}, one for each kernel."""
        return {path: adapt.bat(kernel, self.rank) for path, kernel in kernels.items()}


class Data(NamedTuple):
    """One draw of the quenched disorder."""

    trunk: Any  # the frozen parameters
    own: Any  # the language model's
    start: dict[str, Any]  # {path: adapter} as it begins; what is not trained stays


@record
class Tuned:
    """Cross-entropy of a frozen language model with adapters, as a function of what of them is trained: {path: {field: array}}.

    Attributes:
      model: the language model.
      trunk: its parameters; None draws untrained ones with the disorder.
      method: how adapters begin.
      where: parts of the paths of kernels that get one, e.g. ("q", "v"); all hidden matrices if (). Static.

    References:
      Those of the methods, in `models.language.adapt`.
    """

    model: LanguageModel
    trunk: Any = None
    method: Any = Lora()
    where: tuple[str, ...] = static(default=())

    units = LanguageModel.units

    def check(self):
        """Raise unless the model is valid and the method is one."""
        self.model.check()
        if not (hasattr(self.method, "begin") and hasattr(self.method, "trains")):
            raise TypeError(f"Tuned.method must be a record with trains and begin, e.g. Lora(); got {self.method!r}.")
        if hasattr(self.method, "check"):
            self.method.check()

    def sample(self, key: jax.Array) -> Data:
        """Draw the language model's disorder, its parameters unless they are given, and the adapters. Consumes `key`."""
        key_own, key_trunk, key_begin, key_seen = jax.random.split(key, 4)
        own = self.model.sample(key_own)
        trunk = self.model.frozen(self.trunk, key_trunk, own)
        return Data(trunk, own, self.method.begin(key_begin, self._kernels(trunk), Seen(self.model, trunk, own, key_seen)))

    def _kernels(self, trunk):
        leaves, kinds = by_path(trunk), by_path(roles(trunk))
        hidden = {path: leaf for path, leaf in leaves.items() if kinds[path].kind == HIDDEN and leaf.ndim == 2}
        named = {part for path in hidden for part in path.split("/")}
        if unknown := [part for part in self.where if part not in named]:
            raise ValueError(f"Tuned.where: '{unknown[0]}' names no hidden matrix; choose from parts of {sorted(hidden)}.")
        return {path: leaf for path, leaf in hidden.items() if not self.where or set(self.where) & set(path.split("/"))}

    def init(self, key: jax.Array, data: Data) -> dict[str, dict[str, jax.Array]]:
        """Return what is trained of every adapter, as it begins; `key` goes unused."""
        del key
        return {path: {name: getattr(one, name) for name in self.method.trains} for path, one in data.start.items()}

    def merged(self, params: dict[str, dict[str, jax.Array]], data: Data) -> Any:
        """Return the network's parameters with the adapters added."""
        adapters = {path: dataclasses.replace(data.start[path], **part) for path, part in params.items()}
        return adapt.adapted(data.trunk, adapters)

    def loss(self, params: dict[str, dict[str, jax.Array]], data: Data, key: jax.Array | None = None) -> jax.Array:
        """Return the language model's loss at the merged parameters."""
        return self.model.loss(self.merged(params, data), data.own, key)

    def observe(self, params: dict[str, dict[str, jax.Array]], data: Data) -> dict[str, jax.Array]:
        """Return what the language model observes at the merged parameters."""
        return self.model.observe(self.merged(params, data), data.own)


def TINY() -> Tuned:
    """Return the instance that the contract tests check."""
    from jaxscale.models.language import model

    return Tuned(model=model.TINY(), method=Lora(rank=2))
