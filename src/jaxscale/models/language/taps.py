"""Taps: read, clamp, scale or ablate any named activation. Masks are traced, so an intervention is a lane, not a recompile."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp

from jaxscale.records import record


@record
class Tap:
    """Put x -> mask value + (1 - mask) scale x in place of an activation x, and multiply its gradient by `gradient`. Every
    field broadcasts against the activation.

    Attributes:
      mask: where to put `value`, 0 or 1; a mask between them mixes.
      value: what to put there: 0 ablates, a pattern clamps.
      scale: of what is left.
      gradient: factor of the gradient that flows back; the forward pass does not change. 0.1 on "embed" is the
        embedding-gradient shrink of GLM-130B.

    References:
      Singh et al. 2024, arXiv:2404.07129 (clamps through training). Zeng et al. 2022, arXiv:2210.02414 (gradient shrink).
    """

    mask: Any = 0.0
    value: Any = 0.0
    scale: Any = 1.0
    gradient: Any = 1.0

    def __call__(self, x: jax.Array) -> jax.Array:
        """Return the activation as the rest of the network sees it."""
        mask, value, scale, gradient = (_like(getattr(self, name), x, name) for name in ("mask", "value", "scale", "gradient"))
        x = x - (1 - gradient) * (x - jax.lax.stop_gradient(x))  # exactly x: the difference is zero
        return mask * value + (1 - mask) * (scale * x)


Taps = Mapping[str, Tap]


class Sites:
    """Hold the named activations of one forward pass. Call it where an activation is made: it keeps and returns it, tapped."""

    def __init__(self, taps: Taps | None):
        self.taps: dict[str, Tap] = dict(taps or {})
        self.seen: dict[str, jax.Array] = {}

    def __call__(self, name: str, x: jax.Array) -> jax.Array:
        """Return the activation `name`, tapped, and keep it as the rest of the network sees it."""
        self.seen[name] = self._tapped(name, x) if name in self.taps else x
        return self.seen[name]

    def _tapped(self, name, x):
        if not callable(tap := self.taps[name]):
            raise TypeError(f"what taps the site '{name}' must be a Tap(mask=..., value=...); got {type(tap).__name__}.")
        try:
            return tap(x)
        except ValueError as error:
            raise ValueError(f"at the site '{name}': {error}") from None

    def check(self) -> None:
        """Raise unless every tap has met its site.

        Raises:
          ValueError: a tap's name is no site; the sites are offered.
        """
        if unknown := sorted(set(self.taps) - set(self.seen)):
            raise ValueError(f"no site '{unknown[0]}' in this network to tap; choose from {sorted(self.seen)}.")


def _like(part, x, name):
    """With the leading axes that broadcasting needs, said aloud."""
    part = jnp.asarray(part, x.dtype)
    fits = len(part.shape) <= x.ndim and all(a in (1, b) for a, b in zip(part.shape[::-1], x.shape[::-1]))
    if not fits:
        raise ValueError(f"Tap.{name} must broadcast against the activation's shape {x.shape}; got {part.shape}.")
    return part.reshape((1,) * (x.ndim - part.ndim) + part.shape)
