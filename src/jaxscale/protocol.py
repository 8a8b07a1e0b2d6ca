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

    def step(t: jax.Array, state: Any) -> Any:
        return system.step(jax.random.fold_in(key, t), state, data)

    return jax.lax.fori_loop(span[0], span[1], step, state)


def definitions(system: Any) -> dict[str, tuple[str, str]]:
    """{observable: (definition, unit)} of a system or of the model inside it; what declares no `units` gives {}."""
    for part in (system, getattr(system, "model", None)):
        if (units := getattr(part, "units", None)) is not None:
            return units
    return {}


def check_model(model: Any, *, key: int = 0, quick: bool = False) -> None:
    """Assert that `model` keeps the contract: a scalar loss with finite gradients, and what `check_system` asks of its descent.

    Args:
      model: a small instance: it is run.
      key: seed of the draws.
      quick: compile one program only. What is left out: that vmap equals a loop.

    Raises:
      AssertionError, TypeError: naming the broken promise and the model's class.
    """
    _check_parts(model, ("sample", "init", "loss", "observe"))
    check(model)

    def first(key: jax.Array) -> tuple[Any, Any]:
        key_data, key_init, key_loss = jax.random.split(key, 3)
        data = model.sample(key_data)
        params = model.init(key_init, data)
        return params, model.loss(params, data, key_loss)

    params, loss = jax.eval_shape(first, jax.random.key(key))
    shape = jnp.shape(loss)
    assert shape == (), f"{_name(model)}.loss must return a scalar; got shape {shape}. Take the mean."
    whole = [str(leaf.dtype) for leaf in jax.tree.leaves(params) if not jnp.issubdtype(leaf.dtype, jnp.floating)]
    assert not whole, f"{_name(model)}.init must return floating parameters, which descent can move; got {whole[0]}."
    _check(_Descent(model), _name(model), key, 3, quick)


def check_system(system: Any, *, key: int = 0, steps: int = 3, quick: bool = False) -> None:
    """Assert that `system` keeps the contract.

    It runs under jit and vmap, vmap equals a loop, one program serves all values of every traced field, observables are
    finite scalars with fixed names, the state keeps its shapes and types, a stopped state stays as it is, and the same key
    gives the same run.

    Args:
      system: a small instance: it is run.
      key: seed of the draws.
      steps: of each run.
      quick: as for `check_model`.

    Raises:
      AssertionError, TypeError: naming the broken promise and the system's class.
    """
    _check_parts(system, ("sample", "init", "step", "observe"))
    check(system)
    _check(system, _name(system), key, steps, quick)


def _check_parts(thing: Any, names: tuple[str, ...]) -> None:
    if missing := [name for name in names if not callable(getattr(thing, name, None))]:
        kind = "model" if "loss" in names else "system"
        raise TypeError(f"{_name(thing)} has no {missing[0]}(...); a {kind} needs {[*names]}.")


def _check(system: Any, name: str, key: int, steps: int, quick: bool) -> None:
    """Check a system; `name` is what the user calls it."""
    keys = jax.random.split(jax.random.key(key), 2 if quick else 4)
    leaves, treedef = jax.tree.flatten(system)
    leaves = [jnp.asarray(np.asarray(leaf)) for leaf in leaves]  # numpy first: a bare float would be weakly typed

    def run(leaves: Any, keys: jax.Array) -> Any:
        system = jax.tree.unflatten(treedef, leaves)
        return jax.vmap(lambda key: _observed(system, name, key, steps))(keys)

    compiled = _compiled(run, leaves, keys)
    together = compiled(leaves, keys)
    assert np.all(together.pop(FINITE)), f"a gradient of {name}.loss is not finite in the first steps"
    assert np.all(together.pop(STILL)), f"{name}.step changes a state that {name}.stopped calls stopped; wrap it in Until"
    for observable, value in together.items():
        assert np.all(np.isfinite(value)), f"observable '{observable}' of {name} is not finite: {value}"
    turned = compiled(leaves, keys[::-1])
    for observable, value in together.items():
        same = np.array_equal(value, turned[observable][::-1])
        assert same, f"observable '{observable}' of {name} depends on the runs beside it, or on more than its key"
    moved = [leaf * 1.01 if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf for leaf in leaves]
    compiled(moved, keys)  # the same program: traced fields are its arguments
    if quick:
        return
    alone = _compiled(lambda key: _observed(system, name, key, steps), keys[0])
    each = jax.tree.map(lambda *rows: jnp.stack(rows), *(alone(k) for k in keys))
    chex.assert_trees_all_close(together, {observable: each[observable] for observable in together}, rtol=2e-4, atol=1e-5)


STILL, FINITE = " stopped states stay as they are", " gradients are finite"  # beside observables, under names that none has


def _observed(system: Any, name: str, key: jax.Array, steps: int) -> Any:
    """Return what a twin of `simulate`, independent of it, observes: {name: (steps + 1,)}."""
    key_data, key_init, key_step = jax.random.split(key, 3)
    data = system.sample(key_data)

    def step(state: Any, t: jax.Array) -> Any:
        seen = _scalars(system.observe(state, data), name)  # before the step: one copy of it then serves the start too
        new = system.step(jax.random.fold_in(key_step, t), state, data)
        for (path, old), fresh in zip(jax.tree_util.tree_leaves_with_path(state), jax.tree.leaves(new), strict=True):
            unchanged = jnp.shape(old) == jnp.shape(fresh) and jnp.result_type(old) == jnp.result_type(fresh)
            assert unchanged, (
                f"{name} changes its state's {jax.tree_util.keystr(path) or 'array'} from {jnp.result_type(old)}"
                f"{jnp.shape(old)} to {jnp.result_type(fresh)}{jnp.shape(fresh)} in a step; a state keeps its shapes and types."
            )
        over = has_stopped(system, state, data)
        assert over.shape == () and over.dtype == bool, f"{name}.stopped must return one bool; got {over}"
        same = [jnp.all(a == b) for a, b in zip(jax.tree.leaves(state), jax.tree.leaves(new))]
        still = ~over | (jnp.all(jnp.array(same)) & has_stopped(system, new, data))
        return new, seen | {STILL: still, FINITE: _finite(new) if isinstance(system, _Descent) else jnp.array(True)}

    return jax.lax.scan(step, system.init(key_init, data), jnp.arange(steps + 1))[1]


def _scalars(observables: Any, name: str) -> Observables:
    """Return observables that are named scalars.

    Raises:
      TypeError, AssertionError: they are not.
    """
    if not isinstance(observables, dict):
        raise TypeError(f"{name}.observe must return a dictionary of named scalars; got {type(observables).__name__}.")
    for observable, value in observables.items():
        shape = jnp.shape(value)
        assert shape == (), f"observable '{observable}' of {name} must be a scalar; got {shape}. Reduce it in observe()."
    return observables


def _finite(params: Any) -> jax.Array:
    """Return whether parameters are finite: after a step of descent they are if the gradient was."""
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(params)]))


def _compiled(function: Any, *arguments: Any) -> Any:
    """Return a function compiled as fast as may be: a check runs it a few times only."""
    lowered = jax.jit(function).lower(*arguments)
    if jax.default_backend() != "cpu":
        return lowered.compile()
    cheap: Any = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    try:  # half the seconds again, where the release knows the option
        return lowered.compile(cheap | {"xla_cpu_use_fusion_emitters": False})
    except Exception:  # of what type an unknown option is depends on the release; what else is wrong is raised below
        return lowered.compile(cheap)


class _Descent:
    """Plain gradient descent with a small step: enough to turn a model into a system for the checks."""

    def __init__(self, model: Any):
        self.model, self.sample, self.init, self.observe = model, model.sample, model.init, model.observe

    def step(self, key: jax.Array, state: Any, data: Any) -> Any:
        grads = jax.grad(self.model.loss)(state, data, key)
        return jax.tree.map(lambda p, g: p - 1e-3 * g, state, grads)


jax.tree_util.register_pytree_node(_Descent, lambda self: ((self.model,), None), lambda _, children: _Descent(children[0]))


def _name(thing: Any) -> str:
    return type(thing).__name__
