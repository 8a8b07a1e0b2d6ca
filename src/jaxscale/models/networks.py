"""The door for flax: a module goes in, two pure functions come out. Parameters are plain pytrees from there on."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

import jax

Init = Callable[[jax.Array, jax.Array], Any]
Apply = Callable[..., Any]


def network(module: Any) -> tuple[Init, Apply]:
    """Make a flax module pure.

    Args:
      module: a `flax.linen.Module`, or a function of `flax.nnx.Rngs` that builds an `nnx.Module`; with parameters only (no
        batch statistics, no dropout).

    Returns:
      init(key, inputs) -> parameters, and apply(parameters, inputs, ...) -> outputs.

    Raises:
      TypeError: `module` is neither, keeps state beside its parameters, or draws random numbers.
    """
    import flax.linen as nn  # 0.15 s, and only networks need it

    if not isinstance(module, nn.Module):
        return _nnx(_builder(module))

    def init(key, inputs):
        variables = _undropped(module, lambda: module.init(key, inputs))
        if set(variables) != {"params"}:
            extra = sorted(set(variables) - {"params"})
            raise TypeError(f"network() needs a module with parameters only; {type(module).__name__} also keeps {extra}.")
        return variables["params"]

    def apply(params, *inputs):
        return _undropped(module, lambda: module.apply({"params": params}, *inputs))

    return init, apply


def _undropped(module, function):
    from flax.errors import InvalidRngError

    try:
        return function()
    except InvalidRngError as error:
        raise TypeError(
            f"network() needs a module with parameters only, and {type(module).__name__} draws random numbers: {error} Use "
            "deterministic=True."
        ) from None


def _builder(module):
    """What builds an NNX module, or the error that says what to give."""
    import flax.linen as nn
    from flax import nnx

    name = module.__name__ if isinstance(module, type) else type(module).__name__
    if isinstance(module, type) and issubclass(module, nn.Module):
        raise TypeError(f"network() takes a module, not its class; give {name}(...).")
    if isinstance(module, nnx.Module):
        raise TypeError(
            f"network() makes its own parameters, and this {name} has them already; give what builds it, "
            f"lambda rngs: {name}(..., rngs=rngs)."
        )
    if not callable(module):
        raise TypeError(
            f"network() takes a flax.linen.Module, e.g. nn.Dense(1), or a function of nnx.Rngs that builds an nnx.Module, e.g. "
            f"lambda rngs: nnx.Linear(2, 1, rngs=rngs); got {name}."
        )
    try:
        if isinstance(module, type):  # flax's metaclass takes anything
            inspect.signature(module.__init__).bind(None, None)  # type: ignore[misc]
        else:
            inspect.signature(module).bind(None)
    except TypeError as error:
        raise TypeError(f"network() calls {name}(rngs): {error}. Give lambda rngs: {name}(..., rngs=rngs).") from None
    return module


def arguments(module: Any) -> tuple[str, ...]:
    """Return the names of what a module's call takes; `module` is one that `network` takes."""
    import flax.linen as nn
    from flax import nnx

    built = module if isinstance(module, nn.Module) else nnx.eval_shape(lambda: module(nnx.Rngs(0)))
    return tuple(inspect.signature(type(built).__call__).parameters)[1:]


def _nnx(build):
    """The same for NNX, whose modules hold their parameters: they are built inside `init` and taken apart."""
    from flax import nnx

    def init(key, inputs):
        del inputs  # NNX modules know their sizes
        built = build(nnx.Rngs(key))
        if not isinstance(built, nnx.Module):
            raise TypeError(f"the function given to network() must build an nnx.Module; it built {type(built).__name__}.")
        _, params, *rest = nnx.split(built, nnx.Param, ...)
        if jax.tree.leaves(nnx.filter_state(rest[0], nnx.Not(nnx.RngState)) if hasattr(nnx, "filter_state") else ()):
            raise TypeError(f"network() needs a module with parameters only; {type(built).__name__} keeps other state too.")
        return nnx.to_pure_dict(params)

    @functools.cache
    def structure():
        return nnx.split(nnx.eval_shape(lambda: build(nnx.Rngs(0))), nnx.Param, ...)

    def apply(params, *inputs):
        graph, shapes, rest = structure()
        nnx.replace_by_pure_dict(shapes, params)
        built = nnx.merge(graph, shapes, rest)
        try:
            return built(*inputs)
        except TypeError as error:
            if not jax.tree.leaves(rest):
                raise
            raise TypeError(
                f"{type(built).__name__} holds random streams, and if it draws from them network() cannot use it: dropout must "
                f"be deterministic ({error})."
            ) from error

    return init, apply
