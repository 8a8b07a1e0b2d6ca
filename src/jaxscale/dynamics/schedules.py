"""Learning-rate schedules with traced peak, warm-up and length: functions of the step, relative to the peak."""

import jax
import jax.numpy as jnp

from jaxscale.records import record, static


@record
class Schedule:
    """A linear warm-up, then a shape, down to `floor` of the peak at step `steps`, the first one not taken.

    Attributes:
      shape: "constant", "cosine", "wsd" (constant, then linear decay over the last `cooldown` share), or "two-stage" (a drop to
        `floor` at the `cooldown` share before the end). Static.
      steps: length.
      warmup: steps of it.
      floor: at the end, relative to the peak.
      cooldown: share of the steps.

    References:
      Loshchilov & Hutter 2017 (cosine); Hu et al. 2024, arXiv:2404.06395 (warm-up, stable, decay).
    """

    shape: str = static(default="constant")
    steps: float = 1.0
    warmup: float = 0.0
    floor: float = 0.0
    cooldown: float = 0.2

    def check(self):
        """Raise unless the shape is known, and warm-up, cooldown and length follow one another."""
        if self.shape not in ("constant", "cosine", "wsd", "two-stage"):
            raise ValueError(f"Schedule.shape must be 'constant', 'cosine', 'wsd' or 'two-stage'; got {self.shape!r}.")
        if not self.warmup >= 0:
            raise ValueError(f"Schedule.warmup must not be negative; got {self.warmup}. 0 begins at the peak.")
        if self.shape != "constant" and not self.warmup < self.steps:
            raise ValueError(f"Schedule.warmup must be shorter than its steps; got {self.warmup} of {self.steps}.")
        if self.shape in ("wsd", "two-stage") and self.warmup > (1 - self.cooldown) * self.steps:
            raise ValueError(
                f"Schedule.warmup must end before the cooldown begins, at step {(1 - self.cooldown) * self.steps:g}; got "
                f"{self.warmup}. Warm up for less, or cool down later."
            )
        if not (0 <= self.floor <= 1 and 0 < self.cooldown <= 1):
            raise ValueError(f"Schedule needs 0 <= floor <= 1 and 0 < cooldown <= 1; got {self.floor} and {self.cooldown}.")

    def __call__(self, step: jax.Array) -> jax.Array:
        """Return the factor of the peak at a step, ()."""
        rise = jnp.where(self.warmup > 0, jnp.minimum((step + 1) / jnp.maximum(self.warmup, 1), 1), 1.0)
        if self.shape == "constant":
            return rise
        done = jnp.clip((step - self.warmup) / (self.steps - self.warmup), 0, 1)
        if self.shape == "cosine":
            return rise * (self.floor + (1 - self.floor) * (1 + jnp.cos(jnp.pi * done)) / 2)
        late = jnp.clip((step / self.steps - (1 - self.cooldown)) / self.cooldown, 0, 1)
        if self.shape == "wsd":
            return rise * (1 - (1 - self.floor) * late)
        low = step - (1 - self.cooldown) * self.steps > 0.5  # half a step: a product of floats is not exactly a step
        return rise * jnp.where(low, self.floor, 1.0)


CONSTANT = Schedule()
