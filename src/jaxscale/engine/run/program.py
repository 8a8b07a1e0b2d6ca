"""One run as pure functions of its coordinates: what one bucket of a sweep computes, before blocks and devices."""

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from hashlib import sha256
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend.core import Literal

from jaxscale.engine.ask.grid import RESERVED, Lanes
from jaxscale.engine.run import answers
from jaxscale.engine.run.cost import largest_operand, tree_bytes
from jaxscale.protocol import definitions, has_stopped


class Lane(NamedTuple):
    """What makes one run itself, on the device."""

    coords: Any  # {axis: ()}
    words: Any  # (2,) uint32
    seeds: Any  # (1,) or (2,) uint32


@dataclasses.dataclass(frozen=True)
class Program:
    """Everything that fixes the compiled code of one bucket."""

    experiment: Callable[..., Any]
    static: Mapping[str, Any]
    dtypes: Mapping[str, np.dtype]  # of the traced coordinates
    shared: bool  # disorder shared within a group
    root: int
    precision: str
    reserved: frozenset[str] = frozenset()  # names that no observable may have, beside those of every result

    def build(self, lane: Lane) -> Any:
        """Return the system of one lane."""
        return self.experiment(**lane.coords, **self.static)

    def begin_data(self, lane: Lane) -> Any:
        """Draw the frozen disorder of one lane (of one group when it is shared)."""
        system = self.build(lane)
        return answers.arrays(system.sample(_keys(self.root, lane.words, lane.seeds[:1])[0]), system, "sample")

    def begin(self, lane: Lane, data: Any) -> tuple[jax.Array, Any]:
        """Return the step key and the state at step 0 of one lane."""
        _, key_init, key_step = _keys(self.root, lane.words, lane.seeds)
        step_data, system = jax.random.key_data(key_step), self.build(lane)  # in this order: it is in the fingerprint
        return step_data, answers.state(system.init(key_init, data), system)

    def run(self, lane: Lane, key: jax.Array, state: Any, data: Any, span: Any) -> tuple[Any, jax.Array]:
        """Run one lane from step span[0] to span[1]; return its state, and the first step whose state is not finite, -1 if
        all are.

        Every step is looked at: a state that recovers counts too, so the answer does not depend on where a run is cut.
        """
        system, key_step = self.build(lane), jax.random.wrap_key_data(key, impl="threefry2x32")

        def step(t: jax.Array, carry: Any) -> Any:
            state, bad = carry
            state = answers.moved(system.step(jax.random.fold_in(key_step, t), state, data), state, system)
            return state, jnp.where((bad < 0) & ~is_finite(state), t + 1, bad)

        return jax.lax.fori_loop(span[0], span[1], step, (state, jnp.where(is_finite(state), -1, span[0])))

    def look(self, lane: Lane, state: Any, data: Any) -> tuple[dict[str, jax.Array], jax.Array]:
        """Return the observables, and whether the run has stopped."""
        system = self.build(lane)
        observed = answers.observables(system.observe(state, data), system)
        return observed, answers.flag(has_stopped(system, state, data), system)

    @cached_property
    def lane(self) -> Lane:
        """The shapes of one lane's coordinates, hash and seeds."""
        coords = {name: jax.ShapeDtypeStruct((), dtype) for name, dtype in self.dtypes.items()}
        seeds = jax.ShapeDtypeStruct((2 if self.shared else 1,), jnp.uint32)
        return Lane(coords, jax.ShapeDtypeStruct((2,), jnp.uint32), seeds)

    @cached_property
    def shapes(self) -> tuple[Any, Any, Any]:
        """Shapes of one lane's data, state and observables. Traces the experiment once."""

        def trace(lane: Lane) -> Any:
            data = self.begin_data(lane)
            _, state = self.begin(lane, data)
            return data, state, self.look(lane, state, data)[0]

        try:
            with jax.default_matmul_precision(self.precision):
                data, state, observed = jax.eval_shape(trace, self.lane)
        except (jax.errors.ConcretizationTypeError, jax.errors.TracerArrayConversionError) as error:
            raise TypeError(
                f"a traced value was used where Python needs a plain number (a shape, int(), if, math or numpy); the traced "
                f"axes are {list(self.dtypes)}. Put such an axis in static=, or compute with jax.numpy."
            ) from error
        taken = {*self.dtypes, *self.static, *RESERVED, *self.reserved}
        for name, value in observed.items():
            if name in taken:
                raise ValueError(f"observable '{name}' has the name of an axis of the result; rename one of them.")
            if not any(jnp.issubdtype(value.dtype, kind) for kind in (jnp.integer, jnp.floating, jnp.bool_)):
                raise TypeError(
                    f"observable '{name}' must be a real number or a flag; got {value.dtype}. Return its real and imaginary "
                    "parts, or its absolute value, under names of their own."
                )
            if value.shape != ():
                raise ValueError(f"observable '{name}' must be a scalar; got shape {value.shape}. Reduce it in observe().")
        return data, state, observed

    @cached_property
    def fingerprint(self) -> str:
        """Hash of what one lane computes, captured arrays and names included: it changes when the model's code does."""

        def whole(lane: Lane) -> Any:
            data = self.begin_data(lane)
            key, state = self.begin(lane, data)
            state, _ = self.run(lane, key, state, data, (jnp.int32(0), jnp.int32(1)))
            return state, data, self.look(lane, state, data)

        with jax.default_matmul_precision(self.precision):
            jaxpr, shapes = jax.make_jaxpr(whole, return_shape=True)(self.lane)
        names = str((jax.tree.structure(self.lane), jax.tree.structure(shapes)))
        digest = sha256(re.sub(r"0x[0-9a-f]+|/[^ ]*\.py:\d+", "", names + str(jaxpr)).encode())
        for constant in _constants(jaxpr):
            digest.update(np.asarray(constant).tobytes())
        return digest.hexdigest()[:16]

    @cached_property
    def can_stop(self) -> bool:
        """Whether runs of this bucket may end early."""
        return hasattr(self._example, "stopped")

    @cached_property
    def units(self) -> dict[str, tuple[str, str]]:
        """{observable: (definition, unit)}, where the system says."""
        return definitions(self._example)

    @cached_property
    def _example(self) -> Any:
        built = []

        def build(lane: Lane) -> None:
            built.append(self.build(lane))

        jax.eval_shape(build, self.lane)
        return built[0]

    @cached_property
    def operand_bytes(self) -> int:
        """Bytes of the largest array that one operation of one lane's step reads or writes as a whole."""
        data, state, _ = self.shapes
        key = jax.ShapeDtypeStruct((2,), jnp.uint32)
        span = (jax.ShapeDtypeStruct((), jnp.int32),) * 2
        return largest_operand(jax.make_jaxpr(self.run)(self.lane, key, state, data, span).jaxpr)

    @property
    def lane_bytes(self) -> int:
        """Bytes of one lane's state and data."""
        return tree_bytes(self.shapes[0]) + tree_bytes(self.shapes[1])


def _keys(root: int, words: jax.Array, seeds: jax.Array) -> jax.Array:
    """Return the three streams of a run, as `simulate` splits them: disorder, initialisation, steps."""
    key = jax.random.key(root, impl="threefry2x32")
    for word in (words[0], words[1], *seeds):
        key = jax.random.fold_in(key, word)
    return jax.random.split(key, 3)


def lane_key(root: int, lanes: Lanes, row: int) -> jax.Array:
    """Return the key with which `simulate` repeats one lane of a sweep with plain seeds."""
    key = jax.random.key(root, impl="threefry2x32")
    for word in (*lanes.words[row], *lanes.seeds[row]):
        key = jax.random.fold_in(key, word)
    return key


def is_finite(state: Any) -> jax.Array:
    """Return whether every floating leaf of a state is finite, ()."""
    leaves = [leaf for leaf in jax.tree.leaves(state) if jnp.issubdtype(leaf.dtype, jnp.inexact)]
    return jnp.all(jnp.array([jnp.all(jnp.isfinite(leaf)) for leaf in leaves])) if leaves else jnp.array(True)


def _constants(jaxpr: Any) -> Iterator[Any]:
    """Give the captured arrays of a jaxpr and of every jaxpr inside it, in order."""
    yield from getattr(jaxpr, "consts", ())
    inner = getattr(jaxpr, "jaxpr", jaxpr)
    for equation in inner.eqns:
        yield from (v.val for v in equation.invars if isinstance(v, Literal))
        for value in equation.params.values():
            for part in value if isinstance(value, tuple | list) else (value,):
                if hasattr(part, "eqns") or hasattr(part, "jaxpr"):
                    yield from _constants(part)
