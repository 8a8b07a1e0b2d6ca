"""Text from a trained network, and parameters out of this package and back."""

import os
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jaxscale.models.language.tensor_roles import check_alike


def generate(model: Any, params: Any, key: jax.Array, prompt: jax.Array, length: int, *, temperature: float = 1.0) -> jax.Array:
    """Draw tokens one after another from what the network predicts.

    Args:
      model: a `LanguageModel`.
      params: its parameters.
      key: consumed.
      prompt: (n,) tokens, at least one.
      length: tokens to add.
      temperature: logits are divided by it; 0 takes the likeliest.

    Returns:
      (n + length,).

    Raises:
      ValueError: an empty prompt, tokens that the network does not have, or a length or temperature below 0.
    """
    check_drawing(length, temperature)
    context, vocabulary = model.world.context, model.world.vocabulary
    prompt = jnp.asarray(prompt, jnp.int32)
    if prompt.ndim != 1 or not prompt.size or jnp.any((prompt < 0) | (prompt >= vocabulary)):
        raise ValueError(f"the prompt must be at least one token of 0..{vocabulary - 1}; got {prompt.tolist()[:8]}.")
    window = jnp.zeros(context, jnp.int32).at[: min(prompt.size, context)].set(prompt[-context:])
    filled = jnp.array(min(prompt.size, context))

    def step(carry, key):
        window, filled = carry
        logits = model.apply(params, window[None])[0][0, filled - 1, :vocabulary]  # a network may have more
        drawn = jax.random.categorical(key, logits / jnp.maximum(temperature, 1e-6))
        token = jnp.where(temperature > 0, drawn, jnp.argmax(logits)).astype(jnp.int32)
        full = filled == context
        window = jnp.where(full, jnp.roll(window, -1), window)
        window = window.at[jnp.where(full, context - 1, filled)].set(token)
        return (window, jnp.minimum(filled + 1, context)), token

    tokens = jax.jit(lambda keys: jax.lax.scan(step, (window, filled), keys)[1])(jax.random.split(key, length))
    return jnp.concatenate([prompt, tokens])


def check_drawing(length: int, temperature: float) -> None:
    """Raise, before anything is trained for it, if a length or temperature cannot be drawn with.

    Raises:
      ValueError: below 0, or not finite.
    """
    if length < 0 or not 0 <= temperature < float("inf"):
        raise ValueError(
            f"length and temperature must be 0 or more, and finite; got {length} and {temperature}. Temperature 0 takes the "
            "likeliest token."
        )


def trained_model(system: Any, data: Any, state: Any) -> tuple[Any, Any]:
    """Return (language model, its parameters) inside a system's state, out of any wrappers; adapters are merged.

    Raises:
      ValueError: no language model is trained there.
    """
    while not hasattr(system, "model") and hasattr(system, "system"):
        system = system.system
    while hasattr(state, "inner"):
        state = state.inner
    model = getattr(system, "model", system)
    params = getattr(state, "params", None)
    if hasattr(model, "merged"):
        model, params = model.model, model.merged(params, data)
    if not hasattr(model, "world") or params is None:
        raise ValueError(f"the runs are of {type(model).__name__}, no language model.")
    return model, params


def save_params(folder: str | os.PathLike, params: Any) -> Path:
    """Write parameters, or a whole training state, as an orbax checkpoint, which flax reads; the folder must not exist."""
    import orbax.checkpoint as ocp

    path = Path(folder).absolute()
    if path.exists():
        raise ValueError(f"'{path}' exists; give a folder that does not.")
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(path, params)
    return path


def load_params(folder: str | os.PathLike, like: Any) -> Any:
    """Read parameters that `save_params` has written, for `module.apply({"params": params}, ...)`.

    Args:
      folder: as given to `save_params`.
      like: a tree of the same structure, e.g. `model.init(key, data)`, or `system.init(key, data)` for a training state.

    Raises:
      ValueError: there is none, or of another structure.
    """
    import orbax.checkpoint as ocp

    path = Path(folder).absolute()
    if not path.is_dir():
        raise ValueError(f"there is no checkpoint '{path}'; give the folder that save_params, or --export, has written.")
    with ocp.StandardCheckpointer() as checkpointer:
        saved = checkpointer.metadata(path)  # first, since a failing restore leaves its threads behind
        saved = getattr(saved, "item_metadata", saved)
        check_alike(getattr(saved, "tree", saved), like, f"'{path}' holds another tree than `like`; give what was saved.")
        return checkpointer.restore(path, jax.tree.map(ocp.utils.to_shape_dtype_struct, like))
