"""Shapes in annotations are checked where the tests call, and cost the package nothing."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

jaxtyping = pytest.importorskip("jaxtyping")

from shape_checks import annotated  # noqa: E402

from jaxscale.engine.keep.sums import merge  # noqa: E402
from jaxscale.models.probes.discrimination import gdv  # noqa: E402


@pytest.mark.parametrize(
    "call",
    [
        lambda: merge(np.zeros((3, 7)), np.zeros((4, 7))),
        lambda: merge(np.zeros((3, 6)), np.zeros((3, 6))),
        lambda: gdv(jnp.zeros((6, 2)), jnp.zeros(5, jnp.int32), 2),
        lambda: gdv(jnp.zeros((6, 2)), jnp.zeros(6), 2),
        lambda: jax.jit(lambda x: gdv(x, jnp.zeros(6, jnp.int32), 2))(jnp.zeros(6)),
    ],
)
def test_another_shape_or_type_is_noticed(call):
    with pytest.raises(jaxtyping.TypeCheckError):
        call()


def test_many_modules_are_checked():
    some = {"jaxscale.data.margin", "jaxscale.engine.keep.reductions.median", "jaxscale.theory.random_features"}
    assert some <= {*annotated()}


def test_the_package_works_without():
    code = (
        "import sys; sys.modules['jaxtyping'] = sys.modules['beartype'] = None\n"
        f"import importlib; [importlib.import_module(m) for m in {[*annotated()]}]\n"
        "from jaxscale.shapes import Array, Float; assert Float[Array, 'n d'] is Array"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
