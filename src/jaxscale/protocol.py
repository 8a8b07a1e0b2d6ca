"""The whole contract of jaxscale: what a model is, what a system is, and the checks that both must pass.

A `Model` is an energy: it knows nothing of time, optimisers or batches of seeds. A `System` is something that moves,
and the only thing the sweep engine knows. Both are written for ONE run; vmap, sharding and chunking belong to the sweep.
There is no base class: anything with these methods will do.
"""

from typing import Any, Protocol, TypeVar

import chex
import jax
import jax.numpy as jnp
import numpy as np

from jaxscale.records import check

Observables = dict[str, jax.Array]
Data = TypeVar("Data")  # a run's frozen disorder
Params = TypeVar("Params")
State = TypeVar("State")


class Model(Protocol[Data, Params]):
    """What is learned: an energy that knows nothing of time. `Data` is its frozen disorder, `Params` what descent moves."""

    def sample(self, key: jax.Array) -> Data:
        """Draw the frozen disorder: data set, teacher, sensing operator. Consumes `key`."""

    def init(self, key: jax.Array, data: Data) -> Params:
        """Draw initial parameters, a pytree of arrays. Consumes `key`."""

    def loss(self, params: Params, data: Data, key: jax.Array | None = None) -> jax.Array:
        """Return what is descended, (). `key` is for minibatches, fresh samples and noise; a full batch ignores it."""

    def observe(self, params: Params, data: Data) -> Observables:
        """Return named scalars to record."""


class System(Protocol[Data, State]):
    """How it moves. May also define `stopped(state, data) -> bool`, which lets the sweep reclaim finished runs.

    A stopped state must stay as it is under `step`, and stay stopped: the sweep drops the run at a moment of its choosing,
    and what it recorded last stands for all later records. `Until` freezes any system for you.
    """

    def sample(self, key: jax.Array) -> Data:
        """Draw the frozen disorder. Consumes `key`."""

    def init(self, key: jax.Array, data: Data) -> State:
        """Return the state at step 0. Consumes `key`."""

    def step(self, key: jax.Array, state: State, data: Data) -> State:
        """Return the state one step later. Consumes `key`, which differs from step to step."""

    def observe(self, state: State, data: Data) -> Observables:
        """Return named scalars to record."""


def fresh(model: Any, key: jax.Array | None) -> jax.Array:
    """Return the key of a loss that draws fresh examples.

    Raises:
      TypeError: there is none.
    """
    if key is None:
        raise TypeError(f"{type(model).__name__}.loss draws fresh examples at every step; pass key=, a PRNG key.")
    return key


def has_stopped(system: Any, state: Any, data: Any) -> jax.Array:
    """Whether `system` says that this run is over, (). Systems without `stopped` never are."""
    return system.stopped(state, data) if hasattr(system, "stopped") else jnp.array(False)


def advance(system: System, key: jax.Array, state: Any, data: Any, span: Any) -> Any:
    """The state at step span[1], from that at span[0]; step t uses `fold_in(key, t)`, so that cuts do not matter."""

    def step(t, state):
        return system.step(jax.random.fold_in(key, t), state, data)

    return jax.lax.fori_loop(span[0], span[1], step, state)


def definitions(system: Any) -> dict[str, tuple[str, str]]:
    """{observable: (definition, unit)} of a system or of the model inside it; what declares no `units` gives {}."""
    for part in (system, getattr(system, "model", None)):
        if (units := getattr(part, "units", None)) is not None:
            return units
    return {}


def check_model(model: Any, *, key: int = 0) -> None:
    """Assert that `model` keeps the contract: finite gradients, and `check_system` of its gradient descent.

    Raises:
      AssertionError: naming the broken promise.
    """

    def first_gradient(key):
        key_data, key_init, key_loss = jax.random.split(key, 3)
        data = model.sample(key_data)
        return jax.value_and_grad(model.loss)(model.init(key_init, data), data, key_loss)

    def first_loss(key):
        data = model.sample(key)
        return model.loss(model.init(key, data), data, key)

    shape = jnp.shape(jax.eval_shape(first_loss, jax.random.key(key)))
    assert shape == (), f"{_name(model)}.loss must return a scalar; got shape {shape}. Take the mean."
    _, grads = jax.jit(first_gradient)(jax.random.key(key))
    chex.assert_tree_all_finite(grads)
    check_system(_Descent(model), key=key)


def check_system(system: Any, *, key: int = 0, steps: int = 3) -> None:
    """Assert that `system` keeps the contract.

    It runs under jit and vmap, vmap equals a loop, one trace serves two values of every traced field, observables are
    finite scalars with fixed names, the state keeps its shapes and types, a stopped state stays as it is, the same key
    gives the same run, and stopping to record does not change the trajectory.

    Raises:
      AssertionError: naming the broken promise.
    """
    check(system)
    keys = jax.random.split(jax.random.key(key), 4)
    leaves, treedef = jax.tree.flatten(system)
    leaves = [jnp.asarray(np.asarray(leaf)) for leaf in leaves]  # numpy first: a bare float would be weakly typed
    traces = []

    @jax.jit
    def run(leaves, keys):
        traces.append(1)
        system = jax.tree.unflatten(treedef, leaves)
        return jax.vmap(lambda key: _observed(system, key, steps))(keys)

    together = run(leaves, keys)
    kept = together.pop("stopped states stay as they are")
    assert np.all(kept), f"{_name(system)}.step changes a state that {_name(system)}.stopped calls stopped; wrap it in Until"
    for name, value in together.items():
        assert value.shape[2:] == (), f"observable '{name}' of {_name(system)} must be a scalar; got {value.shape[2:]}"
        assert np.all(np.isfinite(value)), f"observable '{name}' of {_name(system)} is not finite: {value}"
    again = run(leaves, keys)
    again.pop("stopped states stay as they are")
    chex.assert_trees_all_equal(together, again)
    run([leaf * 1.01 if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf for leaf in leaves], keys)
    assert len(traces) == 1, f"{_name(system)} was traced again for another value of a traced field"

    alone = jax.jit(lambda key: _observed(system, key, steps))
    each = jax.tree.map(lambda *rows: jnp.stack(rows), *(alone(k) for k in keys))
    each.pop("stopped states stay as they are")
    chex.assert_trees_all_close(together, each, rtol=2e-4, atol=1e-5)
    unseen = jax.jit(lambda key: _observed(system, key, steps, only_last=True))(keys[0])
    chex.assert_trees_all_close(unseen, jax.tree.map(lambda x: x[0, -1], each), rtol=2e-4, atol=1e-5)


def _observed(system, key, steps, only_last=False):
    """A twin of `simulate`, independent of it: {name: (steps + 1,)}, or {name: ()} at the last step only."""
    key_data, key_init, key_step = jax.random.split(key, 3)
    data = system.sample(key_data)
    start = system.init(key_init, data)

    def step(state, t):
        new = system.step(jax.random.fold_in(key_step, t), state, data)
        chex.assert_trees_all_equal_shapes_and_dtypes(state, new)
        over = has_stopped(system, state, data)
        assert over.shape == () and over.dtype == bool, f"{_name(system)}.stopped must return one bool; got {over}"
        same = [jnp.all(a == b) for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(new))]
        kept = ~over | (jnp.all(jnp.array(same)) & has_stopped(system, new, data))
        return new, (None if only_last else system.observe(new, data) | {"stopped states stay as they are": kept})

    last, rows = jax.lax.scan(step, start, jnp.arange(steps))
    if only_last:
        return system.observe(last, data)
    kept = {"stopped states stay as they are": rows.pop("stopped states stay as they are")}
    return kept | jax.tree.map(
        lambda first, rest: jnp.concatenate([jnp.asarray(first)[None], rest]), system.observe(start, data), rows
    )


class _Descent:
    """Plain gradient descent with a small step: enough to turn a model into a system for the checks."""

    def __init__(self, model):
        self.model, self.sample, self.init, self.observe = model, model.sample, model.init, model.observe

    def step(self, key, state, data):
        grads = jax.grad(self.model.loss)(state, data, key)
        return jax.tree.map(lambda p, g: p - 1e-3 * g, state, grads)


jax.tree_util.register_pytree_node(_Descent, lambda self: ((self.model,), None), lambda _, children: _Descent(children[0]))


def _name(thing: Any) -> str:
    return type(thing).__name__
