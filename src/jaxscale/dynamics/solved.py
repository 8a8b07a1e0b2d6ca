"""No motion at all: the state is the minimiser, in closed form, from the first step on."""

from typing import Any

import jax

from jaxscale.records import record


@record
class Solved:
    """Put a model at its minimum, where it stays. Record at times=[0].

    Attributes:
      model: what is learned; it must offer `solution(data)`.
    """

    model: Any

    def check(self):
        """Raise unless the model knows its minimiser."""
        if not hasattr(self.model, "solution"):
            raise TypeError(
                f"Solved.model must offer solution(data); {type(self.model).__name__} does not. "
                "Imitate RandomFeatures.solution, or use Descent."
            )

    def sample(self, key: jax.Array) -> Any:
        """Draw the model's data. Consumes `key`."""
        return self.model.sample(key)

    def init(self, key: jax.Array, data: Any) -> Any:
        """Return the minimiser; `key` goes unused."""
        del key
        return self.model.solution(data)

    def step(self, key: jax.Array, state: Any, data: Any) -> Any:
        """Return the state as it is: nothing moves."""
        del key, data
        return state

    def observe(self, state: Any, data: Any) -> dict[str, jax.Array]:
        """Return the model's observables at the minimum."""
        return self.model.observe(state, data)


def TINY() -> Solved:
    """Return the instance that the contract tests check."""
    from jaxscale.models.random_features import RandomFeatures

    return Solved(
        model=RandomFeatures(modes=16, samples_max=8, features_max=6, samples=6.0, features=5.0, ridge=0.1, noise=0.1)
    )
