"""What a user's system answered, checked where it is traced: messages name the class and the method, and say what is wanted."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp


def arrays(value: Any, system: Any, method: str) -> Any:
    """Return a tree with its leaves as arrays.

    Raises:
      TypeError: a leaf is none.
    """
    try:
        return jax.tree.map(jnp.asarray, value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{_name(system)}.{method} must return an array or a tree of them; got {_short(value)}.") from error


def state(value: Any, system: Any) -> Any:
    """Return the state that `init` gave.

    Raises:
      TypeError: it is none.
    """
    if value is None:
        raise TypeError(f"{_name(system)}.init must return the state at step 0; got None. Is a return missing?")
    return arrays(value, system, "init")


def moved(new: Any, old: Any, system: Any) -> Any:
    """Return the state after a step.

    Raises:
      TypeError: it is not like the state before.
    """
    wanted = f"{_name(system)}.step must return a state like the one it is given"
    if new is None:
        raise TypeError(f"{wanted}; got None. Is a return missing?")
    before: Any = jax.tree.structure(old)
    after: Any = jax.tree.structure(new)
    if before != after:
        raise TypeError(f"{wanted}, a tree {before}; got {after}.")
    kinds = _kinds(old), _kinds(new)
    if kinds[0] != kinds[1]:
        raise TypeError(f"{wanted}, {kinds[0]}; got {kinds[1]}.")
    return new


def observables(value: Any, system: Any) -> dict[str, jax.Array]:
    """Return what `observe` gave.

    Raises:
      TypeError: it is no dict from names to numbers.
    """
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        raise TypeError(f"{_name(system)}.observe must return a dict from names to numbers; got {_short(value)}.")
    return {name: _number(one, name, system) for name, one in value.items()}


def _number(value: Any, name: str, system: Any) -> jax.Array:
    try:
        return jnp.asarray(value)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{_name(system)}.observe: '{name}' must be a number; got {_short(value)}.") from error


def flag(value: Any, system: Any) -> jax.Array:
    """Return what `stopped` gave.

    Raises:
      TypeError: it is not one flag.
    """
    if value is None or jnp.shape(value) != ():
        got = "None" if value is None else f"an array of shape {jnp.shape(value)}"
        raise TypeError(f"{_name(system)}.stopped must return one flag; got {got}.")
    return value


def _kinds(tree: Any) -> str:
    """Return types and shapes of all leaves, in words; no operation is traced for it, or programs would change."""
    return ", ".join(f"{jnp.result_type(leaf)}{list(jnp.shape(leaf))}" for leaf in jax.tree.leaves(tree))


def _name(system: Any) -> str:
    return type(system).__name__


def _short(value: Any) -> str:
    if value is None:
        return "None"
    if isinstance(value, jax.Array):
        return f"an array {value.dtype}{list(value.shape)}"
    text = repr(value)
    return f"{type(value).__name__} {text if len(text) <= 60 else text[:55] + '...'}"
