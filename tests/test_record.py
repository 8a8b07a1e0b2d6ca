"""Records: frozen keyword-only dataclasses that are pytrees, with static fields that refuse what cannot be static."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxscale.records import check, record, replace, static


@record
class Inner:
    width: int = static(default=2)
    rate: float = 0.5

    def check(self):
        if self.rate <= 0:
            raise ValueError(f"Inner.rate must be positive; got {self.rate}.")


@record
class Outer:
    inner: Inner = Inner()
    scale: float
    label: str = static(default="a")


def test_fields_are_keywords_only():
    with pytest.raises(TypeError):
        Inner(2, 0.5)


def test_records_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Inner().rate = 1.0


def test_pytree_round_trip():
    before = Outer(scale=3.0, inner=Inner(width=7), label="b")
    leaves, structure = jax.tree.flatten(before)
    after = jax.tree.unflatten(structure, leaves)
    assert leaves == [0.5, 3.0]
    assert (type(after), after.scale, after.label, after.inner.width) == (Outer, 3.0, "b", 7)


def test_leaves_are_named_by_their_field():
    paths = [jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(Outer(scale=1.0))]
    assert paths == [".inner.rate", ".scale"]


def test_static_fields_retrace_and_plain_fields_do_not():
    traces = []

    @jax.jit
    def area(inner):
        traces.append(inner.width)
        return inner.rate * inner.width

    values = [area(Inner(width=w, rate=r)) for w, r in ((2, 1.0), (2, 5.0), (3, 5.0))]
    assert [float(v) for v in values] == [2.0, 10.0, 15.0]
    assert traces == [2, 3]


def test_traced_value_in_a_static_field_names_field_and_remedy():
    with pytest.raises(TypeError, match=r"Inner\.width.*static=\{'width': \.\.\.\}"):
        jax.jit(lambda width: Inner(width=width).rate)(3)


@pytest.mark.parametrize("array", [np.arange(3), jnp.arange(3), jnp.array(3)])
def test_array_in_a_static_field_is_refused(array):
    with pytest.raises(TypeError, match=r"Inner\.width.*got an array of shape"):
        Inner(width=array)


def test_numpy_scalar_in_a_static_field_becomes_plain():
    assert type(Inner(width=np.int64(3)).width) is int
    assert hash(jax.tree.structure(Inner(width=np.int64(3)))) == hash(jax.tree.structure(Inner(width=3)))


def test_check_reaches_nested_records():
    check(Outer(scale=1.0))
    with pytest.raises(ValueError, match=r"Inner\.rate must be positive; got -1\.0"):
        check(Outer(scale=1.0, inner=Inner(rate=-1.0)))


def test_check_goes_outermost_first():
    @record
    class Refusing:
        inner: Inner

        def check(self):
            raise ValueError("outer first")

    with pytest.raises(ValueError, match="outer first"):
        check(Refusing(inner=Inner(rate=-1.0)))


def test_replace_copies_and_keeps_the_static_guard():
    before = Inner(width=4, rate=1.0)
    after = replace(before, rate=2.0)
    assert (before.rate, after.rate, after.width) == (1.0, 2.0, 4)
    with pytest.raises(TypeError, match=r"Inner\.width"):
        replace(before, width=np.arange(2))
