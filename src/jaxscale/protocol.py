"""The whole contract of jaxscale: what a model is, what a system is, and the checks that both must pass.

A `Model` is an energy: it knows nothing of time, optimisers or batches of seeds. A `System` is something that moves,
and the only thing the sweep engine knows. Both are written for ONE run; vmap, sharding and chunking belong to the sweep.
There is no base class: anything with these methods will do.
"""

from typing import Any, Protocol

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.record import check

Observables = dict[str, jax.Array]


class Model(Protocol):
    """What is learned."""

    def sample(self, key: jax.Array) -> Any:
        """Draw the frozen disorder: data set, teacher, sensing operator. Consumes `key`."""

    def init(self, key: jax.Array, data: Any) -> Any:
        """Initial parameters, a pytree of arrays. Consumes `key`."""

    def loss(self, params: Any, data: Any, key: jax.Array) -> jax.Array:
        """What is descended, (). `key` is for minibatches, fresh samples and noise; a full batch ignores it."""

    def observe(self, params: Any, data: Any) -> Observables:
        """Named scalars to record."""


class System(Protocol):
    """How it moves. May also define `stopped(state, data) -> bool`, which lets the sweep reclaim finished runs."""

    def sample(self, key: jax.Array) -> Any:
        """Draw the frozen disorder. Consumes `key`."""

    def init(self, key: jax.Array, data: Any) -> Any:
        """State at step 0. Consumes `key`."""

    def step(self, key: jax.Array, state: Any, data: Any) -> Any:
        """State one step later. Consumes `key`, which differs from step to step."""

    def observe(self, state: Any, data: Any) -> Observables:
        """Named scalars to record."""


def has_stopped(system: Any, state: Any, data: Any) -> jax.Array:
    """Whether `system` says that this run is over, (). Systems without `stopped` never are."""
    return system.stopped(state, data) if hasattr(system, "stopped") else jnp.array(False)


def check_model(model: Any, *, key: int = 0) -> None:
    """Assert that `model` keeps the contract: `check_system` of its gradient descent, and finite gradients.

    Raises:
      AssertionError: naming the broken promise.
    """
    key_data, key_init, key_loss = jax.random.split(jax.random.key(key), 3)
    data = model.sample(key_data)
    params = model.init(key_init, data)
    value, grads = jax.value_and_grad(model.loss)(params, data, key_loss)
    assert jnp.shape(value) == (), f"{_name(model)}.loss must return a scalar; got shape {jnp.shape(value)}"
    chex.assert_tree_all_finite(grads)
    check_system(_Descent(model), key=key)


def check_system(system: Any, *, key: int = 0, steps: int = 3) -> None:
    """Assert that `system` keeps the contract.

    It runs under jit and vmap, vmap equals a loop, one trace serves two values of every traced field, observables are
    finite scalars with fixed names, the state keeps its shapes and types, the same key gives the same run, and
    stopping to record does not change the trajectory.

    Raises:
      AssertionError: naming the broken promise.
    """
    check(system)
    keys = jax.random.split(jax.random.key(key), 4)
    leaves, treedef = jax.tree.flatten(system)
    leaves = [jnp.asarray(leaf) for leaf in leaves]

    @jax.jit
    @chex.assert_max_traces(n=1)
    def run(leaves, key):
        return _run(jax.tree.unflatten(treedef, leaves), key, (steps,))

    one = run(leaves, keys[0])
    for name, value in one.items():
        assert value.shape == (1,), f"observable '{name}' of {_name(system)} must be a scalar; got {value.shape[1:]}"
        assert np.all(np.isfinite(value)), f"observable '{name}' of {_name(system)} is not finite: {value}"
    chex.assert_trees_all_equal(one, run(leaves, keys[0]))
    nudged = [leaf * 1.01 if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf for leaf in leaves]
    run([leaf.astype(old.dtype) for leaf, old in zip(nudged, leaves)], keys[0])  # a second trace would raise

    each = [run(leaves, k) for k in keys]
    together = jax.vmap(lambda k: _run(jax.tree.unflatten(treedef, leaves), k, (steps,)))(keys)
    chex.assert_trees_all_close(together, jax.tree.map(lambda *xs: jnp.stack(xs), *each), rtol=2e-4, atol=1e-5)

    often = jax.jit(lambda k: _run(system, k, tuple(range(steps + 1))))(keys[0])
    rarely = jax.tree.map(lambda x: x[-1:], often)
    chex.assert_trees_all_close(rarely, one, rtol=2e-4, atol=1e-5)


def _run(system, key, times):
    """Unrolled twin of `simulate`, independent of it: {name: (len(times),)}."""
    key_data, key_init, key_step = jax.random.split(key, 3)
    data = system.sample(key_data)
    state = system.init(key_init, data)
    rows = []
    for t in range(times[-1] + 1):
        if t in times:
            rows.append(system.observe(state, data))
        new = system.step(jax.random.fold_in(key_step, t), state, data)
        chex.assert_trees_all_equal_shapes_and_dtypes(state, new)
        state = new
    return jax.tree.map(lambda *xs: jnp.stack([jnp.asarray(x) for x in xs]), *rows)


class _Descent:
    """Plain gradient descent with a small step: enough to turn a model into a system for the checks."""

    def __init__(self, model):
        self.model, self.sample, self.init, self.observe = model, model.sample, model.init, model.observe

    def step(self, key, state, data):
        grads = jax.grad(self.model.loss)(state, data, key)
        return jax.tree.map(lambda p, g: p - 1e-3 * g, state, grads)


jax.tree_util.register_pytree_node(
    _Descent, lambda self: ((self.model,), None), lambda _, children: _Descent(children[0])
)


def _name(thing: Any) -> str:
    return type(thing).__name__
