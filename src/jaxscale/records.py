"""`record`: a frozen, keyword-only dataclass that is a pytree.

Plain fields are traced leaves and cost nothing to sweep. `static()` fields fix a shape or a branch and cost one compile
per value. This is the only class decorator of jaxscale; models, rules of motion and laws are all records.
"""

import dataclasses
import functools
import re
from collections.abc import Callable
from typing import Any, TypeVar, dataclass_transform

import jax
import numpy as np

T = TypeVar("T")
PLAIN = frozenset({int, float, str, bool, type(None)})
Scalar = float | jax.Array  # a traced field: a plain number on the host, a () array inside a program


def static(**options: Any) -> Any:
    """A field that fixes the compiled program: a shape, a branch, a function. Takes the options of `dataclasses.field`."""
    return dataclasses.field(metadata={"static": True}, **options)


def traced(*, convert: Callable[[Any], Any], **options: Any) -> Any:
    """A traced field whose value goes through `convert` when the record is made. Takes the options of `dataclasses.field`."""
    return dataclasses.field(metadata={"convert": convert}, **options)


@dataclass_transform(kw_only_default=True, frozen_default=True, field_specifiers=(static, traced, dataclasses.field))
def record(cls: type[T]) -> type[T]:
    """Make `cls` a frozen keyword-only dataclass and a pytree. The first field may be given by position: `Until(system, ...)`.

    Raises:
      TypeError: on construction, when a static field is given a traced value or an array.
    """
    cls = dataclasses.dataclass(frozen=True, kw_only=True, eq=False)(cls)
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    fixed = tuple(f.name for f in fields if f.metadata.get("static"))
    leaves = tuple(f.name for f in fields if not f.metadata.get("static"))
    converted = tuple((f.name, f.metadata["convert"]) for f in fields if "convert" in f.metadata)
    build = cls.__init__

    def __init__(self: Any, *first: Any, **values: Any) -> None:
        if len(first) > min(len(fields), 1):
            raise TypeError(
                f"{cls.__name__} takes at most its first field by position; name the others: {[f.name for f in fields]}."
            )
        given = ({fields[0].name: first[0]} if first else {}) | values
        try:
            build(self, **given)
        except TypeError as error:
            raise _explained(cls, error, given) from None
        for name, convert in converted:
            object.__setattr__(self, name, convert(getattr(self, name)))
        for name in fixed:
            if type(value := getattr(self, name)) not in PLAIN:  # the usual case, and a sweep builds every grid point
                object.__setattr__(self, name, _plain(cls, name, value))

    def flatten_with_keys(self: Any) -> tuple[Any, Any]:
        children = tuple((jax.tree_util.GetAttrKey(name), getattr(self, name)) for name in leaves)
        return children, tuple(getattr(self, name) for name in fixed)

    def unflatten(aux: Any, children: Any) -> Any:  # JAX passes tracers and placeholders here: no checks, no __init__
        self = object.__new__(cls)
        for name, value in zip(leaves, children):
            object.__setattr__(self, name, value)
        for name, value in zip(fixed, aux):
            object.__setattr__(self, name, value)
        return self

    __init__.__doc__ = build.__doc__
    __init__.__wrapped__ = build  # type: ignore[attr-defined]  # keeps the signature for help() and editors
    cls.__init__ = __init__  # type: ignore[method-assign]
    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten)
    return cls


def _explained(cls: type, error: TypeError, given: dict[str, Any]) -> TypeError:
    """Return the error of a constructor with what the class says of the field that is missing or unknown."""
    fields = dataclasses.fields(cls)
    nothing = dataclasses.MISSING
    needed = [f.name for f in fields if f.default is nothing and f.default_factory is nothing and f.name not in given]
    if unknown := [name for name in given if name not in {f.name for f in fields}]:
        return TypeError(f"{cls.__name__} has no field '{unknown[0]}'; its fields are {[f.name for f in fields]}.")
    if not needed:
        return error
    said = re.search(rf"^ *{needed[0]}: ((?:.|\n(?! *\w+:|\n))*)", cls.__doc__ or "", re.M)
    meaning = f" ({' '.join(said[1].split()).rstrip('.')})" if said else ""
    return TypeError(f"{cls.__name__} needs {needed[0]}={meaning}; got {sorted(given)}.")


def _plain(cls: type, name: str, value: Any) -> Any:
    """A hashable Python value for a static field, or the error that says how to sweep it."""
    if isinstance(value, jax.core.Tracer):
        raise TypeError(
            f"{cls.__name__}.{name} fixes the compiled program, so it needs a plain Python value; got a traced one. "
            f"Sweep it with static={{'{name}': ...}}, not grid=."
        )
    if isinstance(value, np.generic):
        return value.item()
    if dataclasses.is_dataclass(value):  # a flax module: all of its fields fix the program
        for field in dataclasses.fields(value):
            _plain(type(value), field.name, getattr(value, field.name, None))
    if isinstance(value, jax.Array | np.ndarray):
        raise TypeError(
            f"{cls.__name__}.{name} fixes the compiled program, so it needs a plain Python value; "
            f"got an array of shape {value.shape}. Pass int(...) or float(...) of it, or a tuple."
        )
    return value


def check(tree: Any) -> None:
    """Run `check()` of every record inside `tree`, outermost first. Values must be plain numbers, so call it on the host."""
    if isinstance(tree, type) and dataclasses.is_dataclass(tree):
        raise TypeError(f"{tree.__name__} is a class where one of its kind is needed; give {tree.__name__}(...).")
    if (names := _field_names(type(tree))) is None:  # type: ignore[arg-type]
        return
    if hasattr(tree, "check"):
        tree.check()
    for name in names:
        if type(value := getattr(tree, name)) not in PLAIN:
            check(value)


@functools.cache
def _field_names(cls: Any) -> tuple[str, ...] | None:
    return tuple(f.name for f in dataclasses.fields(cls)) if dataclasses.is_dataclass(cls) else None


def replace(tree: T, **values: Any) -> T:
    """A copy of a record with some fields changed."""
    return dataclasses.replace(tree, **values)  # type: ignore[type-var]
