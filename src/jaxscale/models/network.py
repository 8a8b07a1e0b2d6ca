"""The door for flax: a module goes in, two pure functions come out. Parameters are plain pytrees from there on."""

from collections.abc import Callable
from typing import Any

import jax

Init = Callable[[jax.Array, jax.Array], Any]
Apply = Callable[[Any, jax.Array], jax.Array]


def network(module: Any) -> tuple[Init, Apply]:
    """Make a flax Linen module pure.

    Args:
      module: a `flax.linen.Module` with parameters only (no batch statistics, no dropout).

    Returns:
      init(key, inputs) -> parameters, and apply(parameters, inputs) -> outputs.

    Raises:
      TypeError: `module` is not a Linen module, or keeps state beside its parameters.
    """
    import flax.linen as nn  # 0.15 s, and only networks need it

    if not isinstance(module, nn.Module):
        raise TypeError(
            f"network() takes a flax.linen.Module; got {type(module).__name__}. Pass an instance, e.g. nn.Dense(1)."
        )

    def init(key, inputs):
        variables = module.init(key, inputs)
        if set(variables) != {"params"}:
            extra = sorted(set(variables) - {"params"})
            raise TypeError(f"network() needs a module with parameters only; {type(module).__name__} also keeps {extra}.")
        return variables["params"]

    def apply(params, inputs):
        return module.apply({"params": params}, inputs)

    return init, apply
