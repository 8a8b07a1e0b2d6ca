"""A wrapper that looks at the landscape: gradients and updates by role, sharpness, gradient noise, tangent kernel."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.flatten_util import ravel_pytree

from jaxscale.models.language.tensor_roles import Role, roles
from jaxscale.models.probes.sharpness import alignment, extreme_eigenvalues, gradient_noise, tangent_kernel, top_eigenvalue
from jaxscale.protocol import definitions
from jaxscale.records import record, static

LANCZOS = 12  # products with the Hessian at a record
WARM = 30  # products with the Hessian before the first step, so that the start's sharpness is right too


class State(NamedTuple):
    """The wrapped system's state, and what the next look needs."""

    inner: Any
    start: Any  # the parameters it began with; () where nothing is compared with them
    vector: Any  # close to the top eigenvector of the Hessian, like the parameters; () where it is not asked for
    updates: dict[str, jax.Array]  # {role: root mean square of the last step}


@record
class Watched:
    """Wrap a system and observe, beside what it observes, the landscape of its model's loss at a fixed key: "gradient_ROLE" and
    "update_ROLE" (root mean squares; roles are those of `models.language.tensor_roles`), "sharpness", "noise_scale",
    "kernel_alignment" and "representation_alignment" where asked for.

    Attributes:
      system: whose state has `params`, and whose `model` has a loss.
      sharpness: follow the Hessian's largest eigenvalue by power iteration, one product with the Hessian a step: the vector of
        the step before is the start of the next. Static.
      noise: draws of the loss's key behind the gradient noise scale, in units of one draw; 0 for none. Static.
      kernel: held-out sequences whose tangent kernel is compared with the start's; 0 for none. Needs a language model. Static.
      site: of a language model, whose representation R = H H^T of the held-out sequences, H the activations at their last
        places, is compared with the start's; "" for none. Static.
      root: of the fixed keys. Static.

    References:
      Cohen et al. 2021, arXiv:2103.00065 (sharpness). McCandlish et al. 2018, arXiv:1812.06162 (noise scale). Fort et al. 2020,
      arXiv:2010.15110 (kernel alignment). Liu et al. 2024, arXiv:2310.08513 (representation alignment).
    """

    system: Any
    sharpness: bool = static(default=True)
    noise: int = static(default=0)
    kernel: int = static(default=0)
    site: str = static(default="")
    root: int = static(default=0)

    @property
    def units(self) -> dict[str, tuple[str, str]]:
        """Return {observable: (meaning, unit)} of the wrapped system and of the landscape."""
        ours = {
            "sharpness": ("largest eigenvalue of the Hessian", "loss over parameter units squared"),
            "lowest_curvature": ("smallest eigenvalue of the Hessian", "loss over parameter units squared"),
            "sharpness_residual": ("how far at most sharpness is from an eigenvalue", "loss over parameter units squared"),
            "noise_trace": ("trace of the covariance of one draw's gradient", "squared gradient units"),
            "noise_signal": ("squared norm of the mean gradient; noise_trace over it, each averaged, is the noise scale",
                             "squared gradient units"),
            "kernel_alignment": ("cosine between the tangent kernel and the start's", "1"),
            "representation_alignment": ("cosine between the site's Gram matrix and the start's", "1"),
        }
        return definitions(self.system) | ours

    def check(self):
        """Raise unless the counts are possible and the model has what they need."""
        if self.noise == 1 or self.noise < 0 or self.kernel < 0:
            raise ValueError(
                f"Watched needs noise = 0 or at least 2 draws and kernel >= 0; got noise={self.noise}, kernel={self.kernel}."
            )
        for field, needed in (("kernel", "apply"), ("site", "activations")):
            if getattr(self, field) and not hasattr(self.system.model, needed):
                raise TypeError(
                    f"Watched.{field} needs a model with {needed}(params, ...); got {type(self.system.model).__name__}."
                )

    def sample(self, key: jax.Array) -> Any:
        """Draw the wrapped system's data. Consumes `key`."""
        return self.system.sample(key)

    def init(self, key: jax.Array, data: Any) -> State:
        """Return the wrapped system's state, a direction close to the Hessian's top one, and no update yet. Consumes `key`."""
        inner = self.system.init(key, data)
        vector: Any = ()
        if self.sharpness:
            flat, unravel = ravel_pytree(inner.params)
            vector = unravel(jax.random.normal(self._key(0), flat.shape, flat.dtype))
            vector = top_eigenvalue(self._loss(data), inner.params, start=vector, iterations=WARM)[1]
        none = jax.tree.map(jnp.zeros_like, by_role(inner.params))
        return State(inner, inner.params if self.kernel or self.site else (), vector, none)

    def step(self, key: jax.Array, state: State, data: Any) -> State:
        """Take a step of the wrapped system; one product with the Hessian turns the vector towards the top one."""
        inner = self.system.step(key, state.inner, data)
        moved = by_role(jax.tree.map(jnp.subtract, inner.params, state.inner.params))
        vector = state.vector
        if self.sharpness:
            vector = top_eigenvalue(self._loss(data), inner.params, start=vector, iterations=1)[1]
        return State(inner, state.start, vector, moved)

    def observe(self, state: State, data: Any) -> dict[str, jax.Array]:
        """Return what the wrapped system observes, and the landscape."""
        params, loss = state.inner.params, self._loss(data)
        observables = {f"gradient_{name}": value for name, value in by_role(jax.grad(loss)(params)).items()}
        observables |= {f"update_{name}": value for name, value in state.updates.items()}
        if self.sharpness:
            ends = extreme_eigenvalues(loss, params, start=state.vector, iterations=LANCZOS)
            observables |= {"sharpness": ends.largest, "lowest_curvature": ends.smallest}
            observables["sharpness_residual"] = ends.residual[0]
        if self.noise:
            keys = jax.random.split(self._key(2), self.noise)
            grads = jax.vmap(lambda key: jax.grad(self.system.model.loss)(params, data, key))(keys)
            noise = gradient_noise(grads)
            observables |= {"noise_trace": noise.trace, "noise_signal": noise.signal}
        if self.kernel:
            tokens, logits = data.test.tokens[: self.kernel], lambda p, x: self.system.model.apply(p, x)[0]
            now, then = (tangent_kernel(logits, p, tokens) for p in (params, state.start))
            observables["kernel_alignment"] = alignment(now, then)
        if self.site:
            now, then = (self._representation(p, data) for p in (params, state.start))
            observables["representation_alignment"] = alignment(now, then)
        return self.system.observe(state.inner, data) | observables

    def _representation(self, params, data):
        sites = self.system.model.activations(params, data)
        if self.site not in sites:
            raise ValueError(f"no site '{self.site}' in this network to watch; choose from {sorted(sites)}.")
        if sites[self.site].shape[:2] != data.test.tokens.shape:
            raise ValueError(
                f"Watched.site needs activations of every place, (sequences, places, ...) = {data.test.tokens.shape}; "
                f"'{self.site}' has shape {sites[self.site].shape}. Choose another, e.g. 'final'."
            )
        h = sites[self.site][:, -1].reshape(data.test.tokens.shape[0], -1)
        return h @ h.T

    def _loss(self, data):
        return lambda params: self.system.model.loss(params, data, self._key(1))

    def _key(self, number):
        return jax.random.fold_in(jax.random.key(self.root, impl="threefry2x32"), number)


def by_role(tree: Any) -> dict[str, jax.Array]:
    """Return {role: root mean square over all entries of the leaves of this role}."""
    squares: dict[str, Any] = {}
    sizes: dict[str, int] = {}
    leaves = jax.tree.leaves(roles(tree), is_leaf=lambda r: isinstance(r, Role))
    for role, leaf in zip(leaves, jax.tree.leaves(tree), strict=True):
        squares[role.kind] = squares.get(role.kind, 0.0) + jnp.sum(leaf**2)
        sizes[role.kind] = sizes.get(role.kind, 0) + leaf.size
    return {kind: jnp.sqrt(square / sizes[kind]) for kind, square in squares.items()}


def TINY() -> Watched:
    """Return the instance that the contract tests check."""
    from jaxscale.dynamics import descent

    return Watched(system=descent.TINY()[1], noise=2)
